// Two saved results side by side (`flopledger compare`): what can be concluded from runs that were
// not paired. FLOPs are exact and decide. Times are not: between two runs a machine drifts by far
// more than the repetitions of one run show, so a time decides only where its ratio lies beyond
// that drift too. Every row decides for itself.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "analysis/regression/compare.h"
#include "analysis/regression/metric.h"
#include "analysis/regression/saved_runs.h"

namespace flopledger {

struct UnpairedRule {
  double budget = 0.05;
  double confidence = 0.99;
  /// Standard deviation of one run's level about another's, as a fraction. The default is what a
  /// replay of 87 CI jobs on shared runners found between jobs (within one: 2.8 %).
  double drift = 0.148;
  std::vector<Metric> metrics{Metric{}};
  bool across_machines = false;  // compare results of different machines all the same
  bool allow_missing = false;    // rows of A that B lacks do not block
  bool same_file = false;        // both were read from one content
};

/// One row under one metric.
struct UnpairedRow {
  std::string name;
  Metric metric;
  Decision decision = Decision::kInconclusive;
  std::string reason;                         // of all but a decision by times
  std::optional<double> baseline, candidate;  // medians of the metric
  std::optional<RatioEstimate> estimate;      // sigma: of the ratio, drift included
  std::vector<std::string> exact;             // what is not equal, a sentence each
  std::optional<double> baseline_pct_peak, candidate_pct_peak;
};

struct UnpairedComparison {
  Decision decision = Decision::kInconclusive;
  std::vector<std::string> reasons;   // why times of the two are not comparable at all
  std::vector<std::string> warnings;  // what differs and does not forbid it
  bool same_run = false;              // one run, beside itself
  std::vector<UnpairedRow> rows;      // in A's order, then those of B alone
};

/// Throws InputError for a metric that no row has.
UnpairedComparison CompareUnpaired(const SavedRun& baseline, const SavedRun& candidate,
                                   const UnpairedRule& rule);

}  // namespace flopledger
