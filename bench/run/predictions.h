// Predictions beside measurements: fills a ledger's columns of predicted time from a calibration.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "analysis/ledger/record.h"
#include "analysis/ledger/trial.h"
#include "analysis/prediction/predict.h"

namespace flopledger {

/// The median speed of a rank around the trials, all ranks being at work; a reference speed that
/// was not measured is taken as calibrated.
MachineSpeed SpeedAround(std::span<const Trial> trials, const Calibration& calibration,
                         int64_t threads);

/// The pass's predicted seconds, were everything scaled with the FMA peak; absent where
/// unavailable.
std::optional<double> PredictedByPeakAlone(const MeasuredRun& run, const Calibration& calibration,
                                           double peak_flops_per_s);

/// Sets predicted_time_s, bound and time_ratio of every row, as MakeRecords gives them; the speed
/// scales what was calibrated. The extrapolated total has no ratio, for its time is not measured.
/// Returns why a row has no prediction; empty where every row has one.
std::string SetPredictions(std::vector<Record>& rows, const MeasuredRun& run,
                           const Calibration& calibration, const MachineSpeed& speed);

}  // namespace flopledger
