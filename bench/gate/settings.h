// What a gate is asked to do.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "analysis/regression/compare.h"
#include "analysis/regression/metric.h"

namespace flopledger {

struct GateSettings {
  std::string baseline, candidate;     // paths of the binaries
  std::vector<std::string> arguments;  // handed to both
  GateRule rule;
  std::vector<Metric> metrics{Metric{}};
  uint64_t seed = 0;
  double sample_s = 0.1;           // what a repetition lasts at least
  double warm_up_s = 0.5;          // of repetitions before the samples, at least one, discarded
  double time_limit_s = 300;       // of one run
  double quick_slot_s = 0;         // above 0: shorter repetitions, so that one run lasts about this
  bool time_identical = false;     // time binaries of equal content too
  bool flops_may_change = false;   // exact differences are warnings
  bool across_builds = false;      // the same of different flags and compilers
  bool across_machines = false;    // and of binaries that report another machine
  bool allow_missing = false;      // rows of A that B lacks do not block
  std::vector<std::string> exact;  // counters to hold exact beside those that always are
  /// The same work beside A and B, in work per second; none: what the machine favours stays unseen.
  std::function<double()> sentinel;
};

/// Repetitions of which a run's value is the median.
inline constexpr int kSamples = 3;

inline const char* SideName(bool candidate) { return candidate ? "candidate" : "baseline"; }

/// Throws InputError unless both are files that can be executed and no argument is one that the
/// gate itself sets.
void CheckGateSettings(const GateSettings& settings);
/// The latter alone.
void CheckGateArguments(const GateSettings& settings);

}  // namespace flopledger
