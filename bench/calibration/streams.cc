#include "bench/calibration/streams.h"

#include <algorithm>
#include <vector>

#include "bench/calibration/team_rate.h"
#include "kernels/bandwidth.h"

namespace flopledger {
namespace {

constexpr int64_t kFloatsOfCall = int64_t{1} << 19;  // 2 MiB: some 10 µs from the nearest cache

/// Floats a second that the threads take together when each streams through `floats`:
/// loop(thread, first, n) takes n of them, from `first` on. A call takes kFloatsOfCall of a longer
/// stream; a shorter one goes round so often.
template <class Loop>
double StreamRate(TeamBuffer& buffer, int64_t floats, double seconds, Loop&& loop) {
  const int threads = buffer.threads();
  const bool warm = 6 * floats < buffer.share();  // no cache holds a buffer, or a third of it
  const int64_t part = std::min(floats, kFloatsOfCall);
  const int64_t parts = floats / part;  // of a pass; what is left of a long stream is not taken
  const int64_t rounds = std::max<int64_t>(1, kFloatsOfCall / floats);
  std::vector<int64_t> next(static_cast<std::size_t>(threads), 0);
  const auto call = [&](int thread) {
    int64_t& at = next[static_cast<std::size_t>(thread)];
    float sum = 0;
    for (int64_t i = 0; i < rounds; ++i) {
      sum += loop(thread, at * part, part);
      __asm__ volatile("" ::: "memory");
    }
    at = (at + 1) % parts;
    return sum;
  };
  if (warm) RunTogether(threads, 0, parts, call);  // into the cache
  const TeamRate rate = RunTogether(threads, seconds, parts, call);
  return rate.per_s * static_cast<double>(rounds * part);
}

}  // namespace

double ReadRate(TeamBuffer& buffer, int64_t floats, double seconds) {
  const auto loop = [&](int thread, int64_t first, int64_t n) {
    return StreamRead(buffer.of(thread) + first, n);
  };
  return StreamRate(buffer, floats, seconds, loop) * sizeof(float);
}

double TriadRate(TeamBuffer& buffer, int64_t floats, double seconds) {
  const int64_t third = floats / 3 / kStreamStep * kStreamStep;
  const auto loop = [&](int thread, int64_t first, int64_t n) {
    float* a = buffer.of(thread) + first;
    StreamTriad(a, a + third, a + 2 * third, 0.5f, n);
    return a[0];
  };
  return 3 * StreamRate(buffer, third, seconds, loop) * sizeof(float);
}

}  // namespace flopledger
