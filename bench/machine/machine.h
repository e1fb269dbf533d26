// What machine and build this is: read from /proc and /sys, for records and for decisions about
// memory. A fact that cannot be read is absent, never guessed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

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

/// How many ranks share the processors that this process may use: 1 where it has its own.
int64_t RanksSharingProcessors();

/// What limits the threads that run where none are asked for.
const ProcessorLimits& Threads();

/// Processors that the machine lets this process use, whatever OpenMP's variables say: what a
/// calibration holds for. Absent under a launcher of several ranks, which binds them as it is told.
std::optional<int64_t> ProcessorsOfMachine();

/// The threads that run where none are asked for: the least of those limits.
int DefaultThreads();

/// Bytes that this process can still take: the least of the kernel's MemAvailable, what its control
/// groups leave, and the address-space limit. Absent where none can be read.
std::optional<int64_t> AvailableMemoryBytes();

/// Seconds that the hypervisor has withheld since boot from the processors that this process was
/// started on, together; absent where unknown.
std::optional<double> StealSeconds();

/// The widest SIMD level that the processor itself has, by the names of BuildSimdLevel; absent
/// where it cannot be read.
std::optional<std::string> CpuSimdLevel();

/// An environment with the facts of machine and build.
Environment DescribeMachine();

}  // namespace flopledger
