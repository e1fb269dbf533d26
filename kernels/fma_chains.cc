#include "kernels/fma_chains.h"

#include <type_traits>
#include <utility>

#include "kernels/simd.h"

namespace flopledger {
namespace {

using simd::HalfOf;
using simd::kLanes;
using WidestPacket = simd::PacketOf<float>;

// Enough chains to cover latency × pipes (Haswell 5 × 2, Neoverse V1 4 × 4), few enough that they
// and the two factors stay in registers.
constexpr int kChains = kManyRegisters ? 24 : 12;

template <class Packet, int... chain>
float Run(int64_t rounds, float x_value, float y_value, std::integer_sequence<int, chain...>) {
  using namespace simd;
  const auto x = pset1<Packet>(x_value);
  const auto y = pset1<Packet>(y_value);
  Packet sums[] = {pset1<Packet>(static_cast<float>(chain))...};
  for (int64_t round = 0; round < rounds; ++round) {
    ((sums[chain] = pmadd(x, y, sums[chain])), ...);
  }
  Packet total = sums[0];
  for (int i = 1; i < kChains; ++i) total = padd(total, sums[i]);
  return predux(total);
}

/// Calls visit(packet) for the widest packet, and for each of its halves that is one.
template <class Packet, class Visit>
void ForEachWidth(Visit&& visit) {
  visit(Packet{});
  if constexpr (!std::is_same_v<HalfOf<Packet>, Packet> && kLanes < Packet >> 1) {
    ForEachWidth<HalfOf<Packet>>(visit);
  }
}

}  // namespace

std::vector<int> FmaWidths() {
  std::vector<int> lanes;
  ForEachWidth<WidestPacket>([&](auto packet) { lanes.push_back(kLanes<decltype(packet)>); });
  return lanes;
}

int64_t FmaChainsFlops(int64_t rounds, int lanes) { return rounds * kChains * lanes * 2; }

int64_t FmaChainsFlops(int64_t rounds) { return FmaChainsFlops(rounds, kLanes<WidestPacket>); }

float RunFmaChains(int64_t rounds) { return RunFmaChains(rounds, kLanes<WidestPacket>); }

float RunFmaChains(int64_t rounds, int lanes) {
  // Read through volatile: with factors known when compiling, a chain could be folded away.
  static volatile float factor = 1e-3f;
  const float x = factor, y = factor;
  float result = 0;
  ForEachWidth<WidestPacket>([&](auto packet) {
    using Packet = decltype(packet);
    if (kLanes<Packet> != lanes) return;
    result = Run<Packet>(rounds, x, y, std::make_integer_sequence<int, kChains>{});
  });
  return result;
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
