// What a pass of all layers would take, from trials of some of them.
#pragma once

#include <optional>
#include <span>

#include "analysis/ledger/trial.h"

namespace flopledger {

struct Extrapolation {
  double seconds = 0;  // the median over the trials: one that was disturbed moves it little
  double lower = 0;    // one more pass lies between these two; `seconds` where there is one trial
  double upper = 0;

  bool operator==(const Extrapolation&) const = default;
};
inline constexpr double kExtrapolationConfidence = 0.95;

/// For each trial, scaled to the median FMA peak: its ops outside the layers once and those of a
/// layer as often as the model has layers. The interval is Student's, and in quadrature `drift`:
/// passes some minutes apart differ by so much of their time, at that confidence, although their
/// FMA peaks are the same, which trials of half a minute do not show (Ceilings::product_drift).
/// Without it the interval is too narrow by what drifts, and its reader must say so.
Extrapolation ExtrapolatePass(const MeasuredRun& run, std::span<const Trial> trials,
                              const std::optional<double>& drift);

}  // namespace flopledger
