#include "analysis/ledger/extrapolation.h"

#include <algorithm>
#include <cmath>

#include "analysis/text/stats.h"

namespace flopledger {

Extrapolation ExtrapolatePass(const MeasuredRun& run, std::span<const Trial> trials,
                              const std::optional<double>& drift) {
  const std::vector<Op> ops = ForwardOps(run.model, run.shape);
  const auto ran = static_cast<double>(run.shape.num_layers);
  const auto missing = static_cast<double>(run.model.num_layers) - ran;
  std::vector<double> peaks, passes;
  for (const Trial& trial : trials) peaks.push_back(trial.peak());
  const double peak = Median(peaks);
  const double part_s = std::ranges::min_element(trials, {}, &Trial::pass_s)->pass_s;
  for (const Trial& trial : trials) {
    double layer_s = 0, all_s = 0;
    for (std::size_t i = 0; i < ops.size(); ++i) {
      if (ops[i].per_layer) layer_s += trial.op_s[i] / ran;
      all_s += trial.op_s[i];
    }
    // Of several ranks an op's seconds are its slowest rank's, while others wait: more than the
    // pass.
    if (all_s > trial.pass_s) layer_s *= trial.pass_s / all_s;
    passes.push_back((trial.pass_s + missing * layer_s) * trial.peak() / peak);
  }
  if (passes.size() == 1) return {passes[0], passes[0], passes[0]};
  const Interval next = PredictionInterval(passes, kExtrapolationConfidence);
  const double seconds = Median(passes);
  const double half = std::hypot(next.upper - next.mean, drift.value_or(0) * seconds);
  // No pass is shorter than a part of it.
  return {
      .seconds = seconds, .lower = std::max(next.mean - half, part_s), .upper = next.mean + half};
}

}  // namespace flopledger
