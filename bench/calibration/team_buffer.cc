#include "bench/calibration/team_buffer.h"

#include <omp.h>

#include <algorithm>

#include "bench/machine/machine.h"
#include "bench/machine/threads.h"
#include "kernels/bandwidth.h"

namespace flopledger {
namespace {

/// Numbers without a pattern that a processor could find: Knuth's multiplicative hash of the index.
float NumberAt(int64_t i) {
  const auto hash = static_cast<uint32_t>(i) * 2654435761U;
  return static_cast<float>(hash >> 8) / static_cast<float>(1 << 24) - 0.5f;
}

int64_t ShareOf(int threads, int64_t bytes) {
  const int64_t floats = bytes / static_cast<int64_t>(sizeof(float)) / threads;
  return (floats + kStreamStep - 1) / kStreamStep * kStreamStep;
}

}  // namespace

DramBuffer DramBufferFor(const std::vector<TeamCache>& caches,
                         const std::optional<int64_t>& available_bytes) {
  constexpr int64_t kUnknownCaches = int64_t{64} << 20, kLeast = int64_t{32} << 20;
  int64_t wanted = kUnknownCaches;
  for (const TeamCache& cache : caches)
    wanted = std::max(wanted, kCachesABuffer * cache.reachable_bytes);
  const int64_t most = std::max(kLeast, available_bytes.value_or(4 * wanted) / 4);
  return {.bytes = std::min(wanted, most), .bounded_by_memory = most < wanted};
}

DramBuffer DramBufferOf(int threads) {
  return DramBufferFor(CachesOfTeam(MachineTopology(), threads), AvailableMemoryBytes());
}

TeamBuffer::TeamBuffer(int threads, int64_t bytes)
    : threads_(threads), share_(ShareOf(threads, bytes)), memory_(threads, share_) {
  PinTeam(threads);
  CheckTeamSize(threads);
#pragma omp parallel num_threads(threads)
  {
    const int thread = omp_get_thread_num();
    for (int64_t i = 0; i < share_; ++i) of(thread)[i] = NumberAt(thread * share_ + i);
  }
}

}  // namespace flopledger
