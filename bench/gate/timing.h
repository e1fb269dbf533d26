// The timing of a gate: feeds a schedule from real runs, and keeps every run.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "analysis/regression/gate_schedule.h"
#include "bench/gate/pilot.h"
#include "bench/gate/runner.h"
#include "bench/gate/settings.h"
#include "bench/machine/progress.h"

namespace flopledger {

/// Medians of every run of one row, of A and of B, and what went wrong.
struct RowHistory {
  std::map<std::string, std::vector<double>> values[2];  // of each metric and counter
  BenchmarkRow last[2];              // as it was last seen, an odd one before a sound one
  bool missing[2] = {false, false};  // a run lacked it
};

class Timing {
 public:
  Timing(const GateSettings& settings, Runner& runner, const Pilot& pilot);

  /// Runs until every row is decided, or `seconds` (absent: no limit) and three blocks are over.
  /// Throws CannotMeasure where a binary fails, Interrupted; what came before stays.
  void Run(Progress& progress, std::optional<double> seconds = std::nullopt);

  const GateSchedule& schedule() const { return schedule_; }
  const nlohmann::json& slots() const { return slots_; }
  const RowHistory& history(std::size_t row) const { return history_[row]; }

 private:
  std::optional<double> MeasureSentinel() const;
  std::string ProgressLine(const SlotRequest& request, double elapsed_s,
                           std::optional<double> limit_s) const;
  std::optional<double> RunSlot(const SlotRequest& request, std::optional<double> before);
  std::optional<double> TakeRow(const SlotRequest& request, std::size_t index,
                                const BenchmarkFile& file, nlohmann::json& rows);

  const GateSettings& settings_;
  Runner& runner_;
  const Pilot& pilot_;
  GateSchedule schedule_;
  std::vector<RowHistory> history_;
  nlohmann::json slots_ = nlohmann::json::array();
};

}  // namespace flopledger
