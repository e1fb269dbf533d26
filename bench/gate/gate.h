// The gate: two builds of a Google Benchmark binary run in turn, each run a fresh process, and what
// they say of each row. Any binary that knows --benchmark_out can be gated.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "analysis/regression/gate_report.h"
#include "analysis/regression/gate_schedule.h"
#include "bench/machine/progress.h"

namespace flopledger {

struct GateSettings {
  std::string baseline, candidate;     // paths of the binaries
  std::vector<std::string> arguments;  // handed to both
  GateRule rule;
  uint64_t seed = 0;
  double time_limit_s = 300;       // of one run
  bool time_identical = false;     // time binaries of equal content too
  bool flops_may_change = false;   // exact differences are warnings
  bool across_builds = false;      // the same of different flags and compilers
  std::vector<std::string> exact;  // counters to hold exact beside those that always are
  /// The same work beside A and B, in work per second; none: contamination goes unnoticed.
  std::function<double()> sentinel;
};

/// Throws InputError unless both are files that can be executed and no argument is one that the
/// gate itself sets.
void CheckGateSettings(const GateSettings& settings);
/// The latter alone.
void CheckGateArguments(const GateSettings& settings);

/// Runs to the verdict, or as far as it came when interrupted. A binary that crashes, hangs, leaves
/// no results or changes its rows is NOT COMPARABLE, said in the headline.
GateReport RunGate(const GateSettings& settings, Progress& progress);

/// The flag that selects exactly these rows.
std::string FilterOf(const std::vector<std::string>& rows);

/// What `--plan` measures: how much this machine scatters a row from block to block.
struct PlanRow {
  std::string name;
  RatioEstimate estimate;  // of the binary against itself
};
struct Plan {
  std::vector<PlanRow> rows;
  double seconds = 0;
  std::optional<double> contamination;  // as Contamination() has it
};

/// Gates the baseline against itself for about `seconds` (at least three blocks), deciding nothing.
/// Throws CannotMeasure where it cannot, or is interrupted before that.
Plan RunPlan(const GateSettings& settings, double seconds, Progress& progress);

}  // namespace flopledger
