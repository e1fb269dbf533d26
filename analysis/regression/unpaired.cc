#include "analysis/regression/unpaired.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <limits>
#include <numbers>
#include <set>

#include "analysis/regression/row_state.h"
#include "analysis/text/stats.h"
#include "analysis/text/table.h"
#include "model/input_error.h"

namespace flopledger {
namespace {

/// Hardware counters of FLOPs are not exact: they must agree this closely, and so must what was
/// measured with what the formulas say is executed.
constexpr double kStatedResidual = 0.01;

using Facts = std::map<std::string, std::string>;

std::vector<std::string> FactDifferences(const Facts& a, const Facts& b) {
  std::vector<std::string> differences;
  for (const auto& [key, value] : a) {
    const auto other = b.find(key);
    const std::string theirs = other == b.end() ? "unknown" : other->second;
    if (theirs != value) differences.push_back(fmt::format("{}: A {}, B {}", key, value, theirs));
  }
  for (const auto& [key, value] : b) {
    if (!a.contains(key)) differences.push_back(fmt::format("{}: A unknown, B {}", key, value));
  }
  return differences;
}

std::optional<double> Find(const std::map<std::string, double>& values, const std::string& name) {
  const auto found = values.find(name);
  if (found == values.end()) return std::nullopt;
  return found->second;
}

/// Measured FLOPs and what they rest on: counted ones must be equal, a PMU's nearly, and a formula
/// that met its counted samples must still meet them.
std::vector<std::string> MeasuredDifferences(const SavedRow& a, const SavedRow& b) {
  std::vector<std::string> found;
  if (a.flops_source == "confirmed" && b.flops_source == "none") {
    found.push_back("counted samples: the formula met them all in A; in B " +
                    (b.flops_note.empty() ? "none were counted" : b.flops_note));
  }
  const auto measured_a = Find(a.other, "measured_flops"),
             measured_b = Find(b.other, "measured_flops");
  if (!measured_a || !measured_b || a.flops_source != b.flops_source) return found;
  const bool counted = a.flops_source == "counted";
  if (!counted && a.flops_source != "pmu") return found;
  const double tolerance = counted ? 0 : kStatedResidual;
  if (std::abs(*measured_b - *measured_a) > tolerance * *measured_a) {
    found.push_back(ExactDifference{"measured_flops", measured_a, measured_b}.ToText());
  }
  const auto executed = Find(b.other, "executed_flops");
  if (executed && std::abs(*measured_b - *executed) > kStatedResidual * *executed) {
    found.push_back(fmt::format("residual of B: measured {} where the formula says {}",
                                Grouped(static_cast<int64_t>(*measured_b)),
                                Grouped(static_cast<int64_t>(*executed))));
  }
  return found;
}

/// One run's level of a metric: its median, and the squared standard error of ln(median) with the
/// degrees of freedom that it rests on.
struct Level {
  double median = 0;
  double squared_error = 0;  // 0: one repetition, whose spread is not known
  double freedom = std::numeric_limits<double>::infinity();
};

/// From the standard deviation of the logarithms, and not from the median deviation: four samples
/// of two modes may have none of the latter. π/2 is what a median costs against a mean.
Level LevelOf(const BenchmarkRow& row, const std::string& metric) {
  const std::vector<double>& values = row.values.at(metric);
  Level level{.median = Median(values)};
  double deviation = 0;
  auto n = static_cast<double>(values.size());
  if (const auto aggregate = Find(row.deviations, metric)) {
    deviation = std::isfinite(*aggregate) ? *aggregate / level.median : 0;
    n = std::max(row.repetitions, 1);  // an old file does not say how many: as if one
  } else if (values.size() > 1) {
    std::vector<double> logs;
    for (const double value : values) logs.push_back(std::log(value));
    deviation = StandardDeviation(logs);
  }
  level.squared_error = std::numbers::pi / 2 * deviation * deviation / n;
  if (n > 1) level.freedom = n - 1;
  return level;
}

/// The two-sided quantile of a sum of variances, by Welch's and Satterthwaite's degrees of freedom;
/// the drift is a known variance, and has infinitely many.
double Quantile(double variance, const Level& a, const Level& b, double confidence) {
  const double p = (1 + confidence) / 2;
  const auto term = [](const Level& l) { return l.squared_error * l.squared_error / l.freedom; };
  const double freedom = variance * variance / (term(a) + term(b));
  constexpr double kAsGoodAsNormal = 1e6;
  if (!(freedom < kAsGoodAsNormal)) return boost::math::quantile(boost::math::normal(), p);
  return boost::math::quantile(boost::math::students_t(freedom), p);
}

RatioEstimate EstimateUnpaired(const Level& a, const Level& b, const UnpairedRule& rule,
                               bool same_run) {
  const double variance = 2 * rule.drift * rule.drift + a.squared_error + b.squared_error;
  const double half =
      same_run ? 0 : Quantile(variance, a, b, rule.confidence) * std::sqrt(variance);
  const double centre = std::log(b.median / a.median);
  return {.blocks = 0,
          .ratio = std::exp(centre),
          .lower = std::exp(centre - half),
          .upper = std::exp(centre + half),
          .sigma = same_run ? 0 : std::sqrt(variance)};
}

/// Compares row by row, and keeps what holds for all rows.
class Comparison {
 public:
  Comparison(const SavedRun& a, const SavedRun& b, const UnpairedRule& rule)
      : a_(a), b_(b), rule_(rule) {
    const bool same_time = !a.when_and_where.empty() && a.when_and_where == b.when_and_where;
    result_.same_run = rule.same_file || (same_time && a.rows == b.rows);
    result_.reasons = FactDifferences(a.identity, b.identity);
    auto machine = FactDifferences(a.machine, b.machine);
    for (auto& difference : MachineDifferences(a.context, b.context, /*saved=*/true)) {
      machine.push_back(std::move(difference));
    }
    auto& list = rule.across_machines ? result_.warnings : result_.reasons;
    list.insert(list.end(), machine.begin(), machine.end());
    undecidable_ = result_.reasons.size() == machine.size() && OnlyLooksLikeAnotherMachine();
    library_ = LibraryDifference(a.context, b.context);
    if (!library_.empty()) result_.warnings.push_back(library_);
  }

  UnpairedComparison Run() {
    for (const SavedRow& row : a_.rows) AddRow(&row, b_.Find(row.name()));
    for (const SavedRow& row : b_.rows) {
      if (a_.Find(row.name()) == nullptr) AddRow(nullptr, &row);
    }
    std::vector<Decision> decisions;
    for (const UnpairedRow& row : result_.rows) decisions.push_back(row.decision);
    result_.decision = Overall(decisions, rule_.allow_missing);
    const bool compared = std::ranges::any_of(decisions, [](Decision d) {
      return d == Decision::kPass || d == Decision::kFail || d == Decision::kInconclusive;
    });
    if (decisions.empty()) result_.reasons.push_back("neither file has a row");
    if (!compared && !decisions.empty() && result_.reasons.empty()) {
      result_.reasons.push_back("no row could be compared");
    }
    return std::move(result_);
  }

 private:
  /// A container gets a new host_name for every job, and mhz_per_cpu is the frequency of a moment.
  /// Where nothing but these differs, and every value of every row is equal, no row can show
  /// another machine, and none can pass or fail: all are INCONCLUSIVE.
  bool OnlyLooksLikeAnotherMachine() const {
    const auto weak = [](const std::string& reason) {
      return reason.starts_with("host_name:") || reason.starts_with("mhz_per_cpu:");
    };
    return !result_.reasons.empty() && std::ranges::all_of(result_.reasons, weak) &&
           a_.rows == b_.rows;
  }

  void AddRow(const SavedRow* a, const SavedRow* b) {
    const auto state = VerdictOnState(a == nullptr ? nullptr : &a->measured,
                                      b == nullptr ? nullptr : &b->measured);
    UnpairedRow row{.name = a != nullptr ? a->name() : b->name(),
                    .metric = {},
                    .decision = Decision::kInconclusive,
                    .reason = {},
                    .baseline = {},
                    .candidate = {},
                    .estimate = {},
                    .exact = {},
                    .baseline_pct_peak = {},
                    .candidate_pct_peak = {}};
    if (state) {
      Settle(std::move(row), *state);
    } else if (!result_.reasons.empty() && !undecidable_) {
      Settle(std::move(row),
             {Decision::kNotComparable, fmt::format("{}", fmt::join(result_.reasons, "; "))});
    } else if (const auto why = WhyLibraryMatters(a->measured, b->measured, library_);
               !why.empty()) {
      Settle(std::move(row), {Decision::kNotComparable, why});
    } else {
      for (const Metric& metric : rule_.metrics) CompareMetric(row, *a, *b, metric);
    }
  }

  void Settle(UnpairedRow row, const RowVerdict& verdict) {
    row.decision = verdict.decision;
    row.reason = verdict.reason;
    result_.rows.push_back(std::move(row));
  }

  void CompareMetric(UnpairedRow row, const SavedRow& a, const SavedRow& b, const Metric& metric) {
    row.metric = metric;
    row.baseline = MedianOf(a.measured, metric.name);
    row.candidate = MedianOf(b.measured, metric.name);
    row.baseline_pct_peak = Find(a.other, "pct_peak");
    row.candidate_pct_peak = Find(b.other, "pct_peak");
    for (const ExactDifference& difference : ExactDifferences(a.exact, b.exact)) {
      row.exact.push_back(difference.ToText());
    }
    for (std::string& text : MeasuredDifferences(a, b)) row.exact.push_back(std::move(text));
    const auto odd = VerdictOnValues(a.measured, b.measured, metric);
    if (!odd) {
      row.estimate = EstimateUnpaired(LevelOf(a.measured, metric.name),
                                      LevelOf(b.measured, metric.name), rule_, result_.same_run);
      row.estimate->higher_is_better = metric.higher_is_better;
    }
    if (!row.exact.empty()) {
      const std::string why = fmt::format("{}", fmt::join(row.exact, "; "));
      Settle(std::move(row), {Decision::kFail, why});
    } else if (odd) {
      Settle(std::move(row), *odd);
    } else if (undecidable_) {
      Settle(std::move(row),
             {Decision::kInconclusive,
              fmt::format("{}; yet all values are equal", fmt::join(result_.reasons, "; "))});
    } else {
      const Decision decision = Decide(*row.estimate, rule_.budget);
      Settle(std::move(row), {decision, library_});
    }
  }

  const SavedRun &a_, &b_;
  const UnpairedRule& rule_;
  UnpairedComparison result_;
  std::string library_;
  bool undecidable_ = false;
};

/// Throws InputError for a metric that no row of either has.
void CheckMetrics(const SavedRun& a, const SavedRun& b, const std::vector<Metric>& metrics) {
  std::set<std::string> known{"real_time"};
  for (const SavedRun* run : {&a, &b}) {
    for (const SavedRow& row : run->rows) {
      for (const auto& [name, values] : row.measured.values) known.insert(name);
    }
  }
  for (const Metric& metric : metrics) {
    if (known.contains(metric.name)) continue;
    throw InputError(fmt::format("no row has a '{}' (--metric){}", metric.name,
                                 Suggest(metric.name, {known.begin(), known.end()})));
  }
}

}  // namespace

UnpairedComparison CompareUnpaired(const SavedRun& baseline, const SavedRun& candidate,
                                   const UnpairedRule& rule) {
  CheckMetrics(baseline, candidate, rule.metrics);
  return Comparison(baseline, candidate, rule).Run();
}

}  // namespace flopledger
