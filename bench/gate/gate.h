// The gate: two builds of a Google Benchmark binary run in turn, each run a fresh process, and what
// they say of each row. Any binary that knows --benchmark_out can be gated.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "analysis/regression/gate_report.h"
#include "bench/gate/settings.h"
#include "bench/machine/progress.h"

namespace flopledger {

/// Runs to the verdict, or as far as it came when interrupted. A binary that crashes, hangs or
/// leaves no results is NOT COMPARABLE, said in the headline.
GateReport RunGate(const GateSettings& settings, Progress& progress);

/// What `--plan` measures: how much this machine scatters a row from block to block.
struct PlanRow {
  std::string name;
  RatioEstimate estimate;  // of the binary against itself
};
struct Plan {
  std::vector<PlanRow> rows;
  double seconds = 0;
  std::optional<double> moved_sentinel;  // as MovedSentinel() has it
};

/// Gates the baseline against itself for about `seconds` (at least three blocks), deciding nothing.
/// Throws CannotMeasure where it cannot, or is interrupted before that.
Plan RunPlan(const GateSettings& settings, double seconds, Progress& progress);

}  // namespace flopledger
