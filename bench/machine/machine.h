// What machine and build this is: read from /proc and /sys, for records and for decisions about
// memory. A fact that cannot be read is absent, never guessed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "analysis/ledger/environment.h"
#include "bench/machine/limits.h"

namespace flopledger {

/// What limits the processors of this process; read once, when first asked for.
const ProcessorLimits& Processors();

/// Logical processors that this process may use: the least of those limits.
int AvailableProcessors();

/// Several ranks are on this host and may use `of_host` of its processors together, each
/// an equal part where `ranks` of them have the same. Before anything asks for them.
void DivideProcessors(int64_t of_host, int64_t ranks);

/// Cores that those belong to, as far as the system says which of them share one.
int AvailableCores();

/// Bytes that this process can still take: the least of the kernel's MemAvailable, what its control
/// groups leave, and the address-space limit. Absent where none can be read.
std::optional<int64_t> AvailableMemoryBytes();

/// Seconds that the hypervisor has withheld from all processors since boot; absent where unknown.
std::optional<double> StealSeconds();

/// The widest SIMD level that the processor itself has, by the names of BuildSimdLevel; absent
/// where it cannot be read.
std::optional<std::string> CpuSimdLevel();

/// One level of cache for data, as the first processor sees it.
struct CacheLevel {
  int level = 1;
  int64_t bytes = 0;
  int shared_by = 1;  // processors
};
/// The nearest first; empty where they cannot be read.
std::vector<CacheLevel> DataCaches();

/// An environment with the facts of machine and build.
Environment DescribeMachine();

}  // namespace flopledger
