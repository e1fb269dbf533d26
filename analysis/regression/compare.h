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

enum class Decision { kPass, kFail, kInconclusive, kNotComparable };

/// "PASS", "FAIL", "INCONCLUSIVE", "NOT COMPARABLE".
std::string_view NameOf(Decision decision);

/// The worst of two: FAIL, then NOT COMPARABLE, then INCONCLUSIVE, then PASS.
Decision Worse(Decision a, Decision b);

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
};

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
