#include "kernels/bandwidth.h"

#include <Eigen/Core>

#include "kernels/exp.h"

namespace flopledger {
namespace {

using Packet = Eigen::internal::packet_traits<float>::type;
constexpr int kLanes = Eigen::internal::packet_traits<float>::size;
constexpr int kSums = 8;  // enough to cover the latency of an addition
static_assert(kStreamStep % (kSums * kLanes) == 0);

}  // namespace

float StreamRead(const float* x, int64_t n) {
  using namespace Eigen::internal;  // NOLINT: the packet primitives, in this function alone
  Packet sums[kSums];
  for (Packet& sum : sums) sum = pset1<Packet>(0.0f);
  for (int64_t i = 0; i < n; i += kSums * kLanes) {
#pragma GCC unroll 8
    for (int s = 0; s < kSums; ++s) sums[s] = padd(sums[s], pload<Packet>(x + i + s * kLanes));
  }
  for (int s = 1; s < kSums; ++s) sums[0] = padd(sums[0], sums[s]);
  return predux(sums[0]);
}

void StreamTriad(float* a, const float* b, const float* c, float s, int64_t n) {
  using namespace Eigen::internal;  // NOLINT: the packet primitives, in this function alone
  const Packet scale = pset1<Packet>(s);
  for (int64_t i = 0; i < n; i += kLanes) {
    pstore(a + i, pmadd(scale, pload<Packet>(c + i), pload<Packet>(b + i)));
  }
}

void ExponentiateAll(const float* x, float* y, int64_t n) {
  using namespace Eigen::internal;  // NOLINT: the packet primitives, in this function alone
  for (int64_t i = 0; i < n; i += kLanes) pstore(y + i, Exp2OfNonPositive(pload<Packet>(x + i)));
}

}  // namespace flopledger
