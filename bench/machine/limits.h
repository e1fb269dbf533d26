// How many processors and how much memory this process may use, and which limit decides.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "bench/machine/kernel_files.h"
#include "bench/machine/topology.h"

namespace flopledger {

/// One thing that limits processors.
struct ProcessorLimit {
  std::string name;  // "the machine's processors", "OMP_NUM_THREADS", …
  int64_t processors = 0;
};

/// All limits that are set, of processors or of threads. The least decides; of equal ones the
/// first.
struct ProcessorLimits {
  std::vector<ProcessorLimit> limits;

  const ProcessorLimit& Decisive() const;
};

/// What is asked of the system: tests answer for themselves.
struct LimitSources {
  KernelFiles files;
  /// Processors in the affinity mask that the process was started with: OpenMP narrows the mask of
  /// the main thread where it binds threads (OMP_PROC_BIND, OMP_PLACES).
  int64_t affinity = 1;
  std::function<const char*(const char*)> variable;  // getenv
  int64_t online = 0;                                // processors of the machine; 0: not known
};
/// Numbers of the processors that the process was started on, rising; at least one.
std::vector<int> InitialAffinity();
/// Those of this process.
LimitSources SystemLimitSources();

/// The machine's processors, the affinity, the quota of each control group from the process's own
/// up to the root (version 1 and 2; a quota of 2.5 processors lets 2 run all the time),
/// OMP_THREAD_LIMIT and OMP_NUM_THREADS.
ProcessorLimits FindProcessorLimits(const LimitSources& sources);

/// What limits the threads that run where none are asked for: those, and the physical performance
/// cores; all physical cores where none of them is a performance core. Where `ranks` share those
/// cores, an equal part of them.
ProcessorLimits FindThreadLimits(ProcessorLimits processors, const Topology& topology,
                                 int64_t ranks = 1);

/// Seconds for which the processes of a control group (the process's own, or one above it) had used
/// up its CPU quota, since the group was made: of that which waited longest. Absent where none
/// counts it.
std::optional<double> ThrottledSeconds(const KernelFiles& files);

/// Bytes that the control groups (version 1 and 2) leave, if any of them sets a limit: what their
/// processes use counts less the page cache, which the kernel takes back when memory is short.
std::optional<int64_t> ControlGroupBytes(const KernelFiles& files);

}  // namespace flopledger
