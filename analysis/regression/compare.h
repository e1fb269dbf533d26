// Baseline (A) against candidate (B): from log ratios to PASS, FAIL or INCONCLUSIVE, and the
// sentence that says why. Arithmetic only; the runs come from bench/gate. One *block* is four runs
// in the order ABBA or BAAB, and gives one ratio r = mean ln B − mean ln A, from which linear drift
// cancels; n counts blocks, never the repetitions inside a run. Student's t and no bootstrap: with
// ten blocks the percentile bootstrap's false alarms are three times its nominal ones (both
// simulated; tests/analysis/regression/compare_test.cc repeats the simulation of Student's t).
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace flopledger {

enum class Decision {
  kPass,
  kFail,
  kInconclusive,
  kNotComparable,
  kNew,      // a row of B alone: does not block
  kMissing,  // a row of A alone: as NOT COMPARABLE, unless that is allowed
  kSkipped,  // a row that neither side measures, for the same reason: does not block
};

/// "PASS", "FAIL", "INCONCLUSIVE", "NOT COMPARABLE", "NEW", "MISSING", "SKIPPED".
std::string_view NameOf(Decision decision);

/// Every decision, those first that need a reader first.
inline constexpr Decision kWorstFirst[] = {
    Decision::kFail, Decision::kNotComparable, Decision::kMissing, Decision::kInconclusive,
    Decision::kNew,  Decision::kSkipped,       Decision::kPass};

/// FAIL where a row fails; else NOT COMPARABLE where a row is, or is missing without leave to be,
/// or where no row was compared at all; else INCONCLUSIVE where a row is; else PASS.
Decision Overall(std::span<const Decision> rows, bool allow_missing);

/// A decision and, where times did not make it, why.
struct RowVerdict {
  Decision decision = Decision::kInconclusive;
  std::string reason;
};

struct GateRule {
  double budget = 0.05;          // the slowdown that is let pass: 0.05 is +5 %
  double confidence = 0.99;      // of the two-sided interval
  double power = 0.90;           // with which a slowdown is called caught
  int first_blocks = 10;         // after which the first decision falls
  int most_blocks = 30;          // to which an inconclusive row goes on, once
  double sentinel_limit = 0.02;  // the sentinel's ratio may move by this much
};

/// What blocks say of one row.
struct RatioEstimate {
  int blocks = 0;
  double ratio = 1, lower = 1, upper = 1;  // B/A and its interval
  double sigma = 0;                        // standard deviation of one block's log ratio
  double widened = 0;                      // by what the sentinel moved: part of the interval
  bool higher_is_better = false;           // B/A of a rate: below 1 is a slowdown
};

/// The same of a quantity that is 1 / quantity: A/B becomes B/A.
RatioEstimate Inverse(const RatioEstimate& estimate);

/// From the log ratios of at least two blocks.
RatioEstimate EstimateRatio(std::span<const double> log_ratios, double confidence);

/// PASS where the whole interval is within the budget, FAIL where all of it is beyond.
Decision Decide(const RatioEstimate& estimate, double budget);

/// The smallest slowdown (0.05 is +5 %) that `blocks` blocks of this sigma put beyond the budget
/// with the rule's power: budget + k·sigma, to first order (exactly, (1 + budget)·e^(k·sigma) − 1).
double SmallestCaught(double sigma, int blocks, const GateRule& rule);

/// How many blocks catch a slowdown of `effect` with the rule's power; absent where it lies within
/// the budget, or where ten thousand do not suffice.
std::optional<int> BlocksNeeded(double sigma, double effect, const GateRule& rule);

/// The one line on a row: decision, ratio with interval, where the budget lies, sigma, and what
/// such a run can catch. `remark` (may be empty) stands after the budget.
std::string Explain(std::string_view row, Decision decision, const RatioEstimate& estimate,
                    const GateRule& rule, std::string_view remark = "");

/// A fraction as a signed percentage: 0.089 is "+8.9 %".
std::string SignedPercent(double fraction);

}  // namespace flopledger
