// Which other programs took processors meanwhile: what to stop, where a measurement was disturbed.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "bench/machine/kernel_files.h"

namespace flopledger {

struct BusyProcess {
  int64_t id = 0;
  std::string name;
  double processor_s = 0;  // seconds of a processor
};

/// Processor time of every process, by id, as /proc has it; those that end are missed.
using ProcessTimes = std::map<int64_t, BusyProcess>;
ProcessTimes ReadProcessTimes(const KernelFiles& files = KernelFiles());

/// Those but `self` that took at least a twentieth of a processor in `elapsed_s` between the two
/// readings, the busiest first, at most three. One that began meanwhile counts from its start.
std::vector<BusyProcess> BusyBetween(const ProcessTimes& before, const ProcessTimes& after,
                                     double elapsed_s, int64_t self);

}  // namespace flopledger
