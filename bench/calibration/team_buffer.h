// Memory that bandwidth is measured on.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "bench/machine/topology.h"
#include "kernels/tensor.h"

namespace flopledger {

/// A buffer is so many times as large as the caches.
inline constexpr int64_t kCachesABuffer = 4;

/// How large a buffer is read for the bandwidth of memory, by all threads of a team together.
struct DramBuffer {
  int64_t bytes = 0;
  bool bounded_by_memory = false;  // too small for what is below

  /// Of the caches, as far as it is larger than they are.
  int64_t cache_bytes() const { return bytes / kCachesABuffer; }
  bool operator==(const DramBuffer&) const = default;
};

/// kCachesABuffer times every level of cache that the team can reach, and at least 64 MiB; at most
/// a quarter of the memory that may be used, but never less than 32 MiB.
DramBuffer DramBufferFor(const std::vector<TeamCache>& caches,
                         const std::optional<int64_t>& available_bytes);

/// The same for a team on this machine, now.
DramBuffer DramBufferOf(int threads);

/// Floats between −1/2 and 1/2, in equal shares for the threads of a team. Each thread touches its
/// share first, so that it lies in the memory of the NUMA node that the thread runs on.
class TeamBuffer {
 public:
  TeamBuffer(int threads, int64_t bytes);

  int threads() const { return threads_; }
  int64_t share() const { return share_; }  // floats of each thread
  float* of(int thread) { return memory_.data() + thread * share_; }
  const float* data() const { return memory_.data(); }

 private:
  int threads_;
  int64_t share_;
  Matrix<float> memory_;
};

}  // namespace flopledger
