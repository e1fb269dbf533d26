// Two saved results side by side (`flopledger compare`): what can be concluded from runs that were
// not paired. FLOPs are exact and decide. Times are not: between two runs a machine drifts by far
// more than the repetitions of one run show, so a time decides only where its ratio lies beyond
// that drift too.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "analysis/ledger/record.h"
#include "analysis/regression/benchmark_json.h"
#include "analysis/regression/compare.h"

namespace flopledger {

/// One op of a ledger, or one row of Google Benchmark.
struct SavedRow {
  std::string name;
  std::vector<double> samples_s;
  std::map<std::string, double> exact;  // FLOPs that must be equal, by quantity
  std::map<std::string, double> other;  // what may move, and is shown where it did
  std::string flops_source;             // of a ledger
  std::string flops_note;
  bool duplicate_name = false;  // another row goes by this name

  bool operator==(const SavedRow&) const = default;
};

struct SavedRun {
  std::map<std::string, std::string> identity;  // what must be equal for rows to be comparable
  std::vector<SavedRow> rows;

  bool operator==(const SavedRun&) const = default;
};

SavedRun SavedFromLedger(const Ledger& ledger);
SavedRun SavedFromBenchmark(const BenchmarkFile& file);
/// Either of the two, told apart by what stands in it. Throws InputError naming `where`.
SavedRun SavedFromText(std::string_view text, const std::string& where);

/// An exact quantity that differs, or that only one of the two has.
struct ExactDifference {
  std::string quantity;
  std::optional<double> baseline, candidate;

  /// "predicted_flops 1,024 → 2,048 (+100.0 %)".
  std::string ToText() const;
};
std::vector<ExactDifference> ExactDifferences(const std::map<std::string, double>& baseline,
                                              const std::map<std::string, double>& candidate);

/// Names of counters of Google Benchmark rows that are held to be exact.
bool IsExactCounter(std::string_view name);

struct UnpairedRule {
  double budget = 0.05;
  double confidence = 0.99;
  /// Standard deviation of one run's level about another's, as a fraction. The default is what a
  /// replay of 87 CI jobs on shared runners found between jobs (within one: 2.8 %).
  double drift = 0.148;
};

struct UnpairedRow {
  std::string name;
  Decision decision = Decision::kInconclusive;
  std::optional<double> baseline_s, candidate_s;  // medians
  std::optional<RatioEstimate> estimate;          // sigma: of the ratio, drift included
  std::vector<std::string> exact;                 // what is not equal, a sentence each
  std::optional<double> baseline_pct_peak, candidate_pct_peak;
};

struct UnpairedComparison {
  Decision decision = Decision::kInconclusive;
  std::vector<std::string> reasons;  // why the two are not comparable
  bool same_run = false;             // nothing differs at all
  std::vector<UnpairedRow> rows;     // in A's order
};

UnpairedComparison CompareUnpaired(const SavedRun& baseline, const SavedRun& candidate,
                                   const UnpairedRule& rule);

}  // namespace flopledger
