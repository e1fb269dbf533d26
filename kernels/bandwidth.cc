#include "kernels/bandwidth.h"

#include "kernels/exp.h"
#include "kernels/simd.h"

namespace flopledger {
namespace {

using Packet = simd::PacketOf<float>;
constexpr int kWidth = simd::kLanes<Packet>;
constexpr int kStreams = 4;  // read at a time: one a thread leaves memory idle
constexpr int kSums = 2;     // of each; together enough to cover the latency of an addition
static_assert(kStreamStep % (kStreams * kSums * kWidth) == 0);

}  // namespace

float StreamRead(const float* x, int64_t n) {
  using namespace simd;
  const int64_t length = n / kStreams;  // of a stream
  Packet sums[kStreams][kSums];
  for (auto& of_stream : sums) {
    for (Packet& sum : of_stream) sum = pset1<Packet>(0.0f);
  }
  for (int64_t i = 0; i < length; i += kSums * kWidth) {
#pragma GCC unroll 8
    for (int s = 0; s < kStreams; ++s) {
#pragma GCC unroll 8
      for (int j = 0; j < kSums; ++j) {
        sums[s][j] = padd(sums[s][j], pload<Packet>(x + s * length + i + j * kWidth));
      }
    }
  }
  Packet total = pset1<Packet>(0.0f);
  for (const auto& of_stream : sums) {
    for (const Packet& sum : of_stream) total = padd(total, sum);
  }
  return predux(total);
}

void StreamTriad(float* a, const float* b, const float* c, float s, int64_t n) {
  using namespace simd;
  const Packet scale = pset1<Packet>(s);
  for (int64_t i = 0; i < n; i += kWidth) {
    pstore(a + i, pmadd(scale, pload<Packet>(c + i), pload<Packet>(b + i)));
  }
}

void ExponentiateAll(const float* x, float* y, int64_t n) {
  using namespace simd;
  for (int64_t i = 0; i < n; i += kWidth) pstore(y + i, Exp2OfNonPositive(pload<Packet>(x + i)));
}

}  // namespace flopledger
