#include "analysis/regression/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "analysis/text/stats.h"

namespace flopledger {
namespace {

std::string_view PlaceOfBudget(const RatioEstimate& estimate, double bound) {
  if (estimate.upper <= bound) return "lies above";
  return estimate.lower > bound ? "lies below" : "lies inside";
}

/// A bound such as 1.05 or 1.125, without zeros that say nothing.
std::string Bound(double value) {
  std::string text = fmt::format("{:.4f}", value);
  while (text.ends_with('0') && text[text.size() - 3] != '.') text.pop_back();
  return text;
}

}  // namespace

std::string_view NameOf(Decision decision) {
  switch (decision) {
    case Decision::kPass: return "PASS";
    case Decision::kFail: return "FAIL";
    case Decision::kInconclusive: return "INCONCLUSIVE";
    case Decision::kNotComparable: return "NOT COMPARABLE";
    case Decision::kNew: return "NEW";
    case Decision::kMissing: return "MISSING";
    case Decision::kSkipped: return "SKIPPED";
  }
  return "";
}

Decision Overall(std::span<const Decision> rows, bool allow_missing) {
  const auto has = [&](Decision decision) {
    return std::ranges::find(rows, decision) != rows.end();
  };
  if (has(Decision::kFail)) return Decision::kFail;
  if (has(Decision::kNotComparable)) return Decision::kNotComparable;
  if (has(Decision::kMissing) && !allow_missing) return Decision::kNotComparable;
  if (has(Decision::kInconclusive)) return Decision::kInconclusive;
  return has(Decision::kPass) ? Decision::kPass : Decision::kNotComparable;
}

RatioEstimate Inverse(const RatioEstimate& estimate) {
  RatioEstimate inverse = estimate;
  inverse.ratio = 1 / estimate.ratio;
  inverse.lower = 1 / estimate.upper;
  inverse.upper = 1 / estimate.lower;
  inverse.higher_is_better = !estimate.higher_is_better;
  return inverse;
}

RatioEstimate EstimateRatio(std::span<const double> log_ratios, double confidence) {
  const Interval interval = StudentInterval(log_ratios, confidence);
  return {.blocks = static_cast<int>(log_ratios.size()),
          .ratio = std::exp(interval.mean),
          .lower = std::exp(interval.lower),
          .upper = std::exp(interval.upper),
          .sigma = StandardDeviation(log_ratios)};
}

Decision Decide(const RatioEstimate& estimate, double budget) {
  if (estimate.higher_is_better) return Decide(Inverse(estimate), budget);
  if (estimate.upper <= 1 + budget) return Decision::kPass;
  return estimate.lower > 1 + budget ? Decision::kFail : Decision::kInconclusive;
}

double SmallestCaught(double sigma, int blocks, const GateRule& rule) {
  return rule.budget + PowerFactor(blocks, rule.confidence, rule.power) * sigma;
}

std::optional<int> BlocksNeeded(double sigma, double effect, const GateRule& rule) {
  constexpr int kMost = 10'000;
  int too_few = 1, enough = kMost;
  if (effect <= rule.budget || SmallestCaught(sigma, enough, rule) > effect) return std::nullopt;
  while (enough - too_few > 1) {
    const int middle = (too_few + enough) / 2;
    (SmallestCaught(sigma, middle, rule) <= effect ? enough : too_few) = middle;
  }
  return enough;
}

std::string Explain(std::string_view row, Decision decision, const RatioEstimate& estimate,
                    const GateRule& rule, std::string_view remark) {
  const double bound = estimate.higher_is_better ? 1 / (1 + rule.budget) : 1 + rule.budget;
  std::string line = fmt::format(
      "{} {}: B/A {:.3f} [{:.3f}, {:.3f}] ({:.4g} %, {} blocks). Budget {} {}.", NameOf(decision),
      row, estimate.ratio, estimate.lower, estimate.upper, 100 * rule.confidence, estimate.blocks,
      Bound(bound), PlaceOfBudget(estimate, bound));
  if (!remark.empty()) line += fmt::format(" {}", remark);
  line += fmt::format(
      " sigma {:.1f} %; this run catches {} or more with {:.0f} % power", 100 * estimate.sigma,
      SignedPercent(SmallestCaught(estimate.sigma, estimate.blocks, rule) + estimate.widened),
      100 * rule.power);
  if (decision == Decision::kInconclusive) {
    const double effect =
        rule.budget + 0.02;  // a round figure that a reader can set beside his own
    const auto blocks = BlocksNeeded(estimate.sigma, effect, rule);
    line += blocks ? fmt::format("; about {} blocks for {:+.4g} %", *blocks, 100 * effect)
                   : fmt::format("; more than 10,000 blocks for {:+.4g} %", 100 * effect);
  }
  return line + ".";
}

std::string SignedPercent(double fraction) { return fmt::format("{:+.1f} %", 100 * fraction); }

}  // namespace flopledger
