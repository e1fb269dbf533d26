#include "kernels/fma_chains.h"

#include <Eigen/Core>
#include <utility>

namespace flopledger {
namespace {

using Packet = Eigen::internal::packet_traits<float>::type;
constexpr int kLanes = Eigen::internal::packet_traits<float>::size;

// Enough chains to cover latency × pipes (Haswell 5 × 2, Neoverse V1 4 × 4), few enough that they
// and the two factors stay in registers.
constexpr int kChains = EIGEN_ARCH_DEFAULT_NUMBER_OF_REGISTERS >= 32 ? 24 : 12;

template <int... chain>
float Run(int64_t rounds, Packet x, Packet y, std::integer_sequence<int, chain...>) {
  using Eigen::internal::padd;
  using Eigen::internal::pmadd;
  Packet sums[] = {Eigen::internal::pset1<Packet>(static_cast<float>(chain))...};
  for (int64_t round = 0; round < rounds; ++round) {
    ((sums[chain] = pmadd(x, y, sums[chain])), ...);
  }
  Packet total = sums[0];
  for (int i = 1; i < kChains; ++i) total = padd(total, sums[i]);
  return Eigen::internal::predux(total);
}

}  // namespace

int64_t FmaChainsFlops(int64_t rounds) { return rounds * kChains * kLanes * 2; }

float RunFmaChains(int64_t rounds) {
  // Read through volatile: with factors known when compiling, a chain could be folded away.
  static volatile float factor = 1e-3f;
  const float x = factor, y = factor;
  return Run(rounds, Eigen::internal::pset1<Packet>(x), Eigen::internal::pset1<Packet>(y),
             std::make_integer_sequence<int, kChains>{});
}

const char* BuildSimdLevel() {
#if defined(__AVX512F__)
  return "AVX-512";
#elif defined(__AVX2__) && defined(__FMA__)
  return "AVX2+FMA";
#elif defined(__AVX__)
  return "AVX";
#elif defined(__SSE2__)
  return "SSE2";
#elif defined(__ARM_NEON)
  return "NEON";
#else
  return "scalar";
#endif
}

}  // namespace flopledger
