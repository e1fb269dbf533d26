// What one untimed repetition of each binary tells: which rows can be compared, whether their exact
// counters are equal, and how long the timing will take.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "analysis/regression/gate_report.h"
#include "bench/gate/runner.h"
#include "bench/gate/settings.h"

namespace flopledger {

/// One row under one metric, to be timed.
struct TimedRow {
  std::string name;
  Metric metric;
  std::string remark;  // what differs and does not forbid it: goes into the report as the reason
};

struct Pilot {
  std::vector<TimedRow> rows;
  std::vector<RowReport> settled;  // rows that are not timed, with their verdict
  std::vector<std::string> exact;  // "row: predicted_flops 8 → 9", of rows to be timed
  std::string not_comparable;      // why nothing at all can be compared; else empty
  std::vector<std::string> warnings;
  nlohmann::json context;
  double sample_s = 0;  // of a repetition at least
  int warm_ups = 1;     // repetitions before the samples
  double slot_s = 0;    // that one run will take, about
};

/// Throws CannotMeasure where a binary leaves nothing, Interrupted where it was interrupted.
Pilot RunPilot(const GateSettings& settings, const Runner& runner);

/// The first few of many names: "a, b, c, +4 more".
std::string FirstFew(const std::vector<std::string>& names);

}  // namespace flopledger
