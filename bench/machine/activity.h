// What the system does while something is timed: what else runs on our processors.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "analysis/ledger/trial.h"
#include "bench/machine/kernel_files.h"
#include "bench/machine/stopwatch.h"

namespace flopledger {

/// Processor time since boot, as /proc/stat counts it.
struct ProcessorTime {
  double busy_s = 0;  // of all processes
  double stolen_s = 0;

  bool operator==(const ProcessorTime&) const = default;
};
/// Of `processors` together; absent where they are not listed.
std::optional<ProcessorTime> ReadProcessorTime(const KernelFiles& files,
                                               const std::vector<int>& processors);

/// Watches from its construction on. It costs a few system calls at the beginning and at the end,
/// nothing between.
class ActivityWatch {
 public:
  ActivityWatch();

  /// What happened since then.
  SystemActivity Stop() const;

 private:
  struct Snapshot {
    std::optional<ProcessorTime> all;
    std::optional<double> throttled_s;
    double own_s = 0;
    int64_t involuntary_switches = 0;
  };
  static Snapshot Read();

  Clock::time_point start_;
  Snapshot before_;
};

}  // namespace flopledger
