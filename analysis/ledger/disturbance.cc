#include "analysis/ledger/disturbance.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace flopledger {
namespace {

// The kernel counts processor time in steps of 10 ms: shorter times are not told from none.
constexpr double kShortestTime = 0.03;

std::string WhyByPeak(const Trial& trial, double best, const TeamFacts& team) {
  constexpr double kMostChange = 0.05, kMostBelowCalibrated = 0.10;
  const double before = trial.peak_before_flops_per_s, after = trial.peak_after_flops_per_s;
  if (std::abs(after / before - 1) > kMostChange) {
    return fmt::format("the FMA peak changed by {:+.1f} % from before it to after it",
                       100 * (after / before - 1));
  }
  if (trial.peak() < (1 - kMostChange) * best) {
    return fmt::format("the FMA peak around it was {:.1f} % below the best of this run",
                       100 * (1 - trial.peak() / best));
  }
  if (const auto calibrated = team.calibrated_flops_per_s;
      calibrated && trial.peak() < (1 - kMostBelowCalibrated) * *calibrated) {
    return fmt::format("the FMA peak around it was {:.1f} % below the calibrated one",
                       100 * (1 - trial.peak() / *calibrated));
  }
  return "";
}

}  // namespace

std::string WhyDisturbed(const SystemActivity& activity, const TeamFacts& team) {
  constexpr double kMostStolen = 0.01, kMostOfOthers = 0.1;
  const auto threads = static_cast<double>(team.threads);
  const double stolen_s = activity.stolen_s.value_or(0);
  if (stolen_s > kShortestTime && stolen_s > kMostStolen * activity.seconds) {
    return fmt::format("the hypervisor withheld {:.2f} s of processor time in {:.2f} s", stolen_s,
                       activity.seconds);
  }
  const double throttled_s = activity.throttled_s.value_or(0);
  if (throttled_s > kMostStolen * activity.seconds) {
    return fmt::format("the CPU quota of its control group held it up for {:.2f} s in {:.2f} s",
                       throttled_s, activity.seconds);
  }
  const double room_s =
      static_cast<double>(std::max<int64_t>(0, team.processors - team.threads)) * activity.seconds;
  const double others_s = activity.others_s.value_or(0);
  if (others_s > kShortestTime && others_s - room_s > kMostOfOthers * activity.seconds) {
    return fmt::format("other processes took {:.2f} s of processor time in {:.2f} s", others_s,
                       activity.seconds);
  }
  const auto switches = static_cast<double>(activity.involuntary_switches);
  if (switches > kMostSwitches * threads * std::max(activity.seconds, 0.2)) {
    return fmt::format("its threads were driven off their processors {} times in {:.2f} s",
                       activity.involuntary_switches, activity.seconds);
  }
  return "";
}

void MarkDisturbed(std::span<Trial> trials, const TeamFacts& team) {
  double best = 0;
  for (const Trial& trial : trials) best = std::max(best, trial.peak());
  for (Trial& trial : trials) {
    trial.disturbed = WhyDisturbed(trial.activity, team);
    if (trial.disturbed.empty()) trial.disturbed = WhyByPeak(trial, best, team);
  }
}

std::vector<Disturbance> DisturbancesOf(std::span<const Trial> trials, const std::string& matmul) {
  std::vector<Disturbance> found;
  for (std::size_t i = 0; i < trials.size(); ++i) {
    const Trial& trial = trials[i];
    const bool is_calm = trial.disturbed.empty();
    if (is_calm && trial.replaces.empty()) continue;
    found.push_back({.matmul = matmul,
                     .repetition = static_cast<int64_t>(i) + 1,
                     .reason = is_calm ? trial.replaces : trial.disturbed,
                     .replaced = is_calm});
  }
  return found;
}

}  // namespace flopledger
