#include "bench/calibration/team_rate.h"

#include <algorithm>

#include "analysis/text/stats.h"

namespace flopledger {
namespace {

double SpreadOf(const std::vector<double>& rates) {
  if (rates.empty()) return 0;
  const auto [slowest, fastest] = std::ranges::minmax(rates);
  return 1 - slowest / fastest;
}

}  // namespace

TeamRate SumOfRates(std::span<const ThreadRate> rates) {
  TeamRate team;
  std::vector<double> performance, efficiency;
  for (const ThreadRate& rate : rates) {
    team.per_s += rate.per_s;
    team.fastest_per_s = std::max(team.fastest_per_s, rate.per_s);
    (rate.on_efficiency_core ? efficiency : performance).push_back(rate.per_s);
  }
  team.spread = std::max(SpreadOf(performance), SpreadOf(efficiency));
  if (!performance.empty() && !efficiency.empty()) {
    team.performance_core_per_s = Median(performance);
    team.efficiency_core_per_s = Median(efficiency);
  }
  return team;
}

std::vector<std::size_t> CalmRounds(std::span<const TeamRate> peaks) {
  const double best = std::ranges::max_element(peaks, {}, &TeamRate::per_s)->per_s;
  std::vector<std::size_t> calm;
  for (std::size_t round = 0; round < peaks.size(); ++round) {
    if (peaks[round].per_s >= kCalmPeak * best) calm.push_back(round);
  }
  return calm;
}

}  // namespace flopledger
