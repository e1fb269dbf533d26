// A saved result as `flopledger compare` sees it: a ledger of ours, or a file of Google Benchmark.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "analysis/ledger/record.h"
#include "analysis/regression/benchmark_json.h"

namespace flopledger {

/// One op of a ledger, or one row of Google Benchmark.
struct SavedRow {
  BenchmarkRow measured;                // of a ledger its real_time alone
  std::map<std::string, double> exact;  // FLOPs that must be equal, by quantity
  std::map<std::string, double> other;  // what may move, and is shown where it did
  std::string flops_source;             // of a ledger
  std::string flops_note;

  const std::string& name() const { return measured.name; }
  bool operator==(const SavedRow&) const = default;
};

struct SavedRun {
  std::map<std::string, std::string> identity;  // what must be equal for rows to be comparable
  std::map<std::string, std::string> machine;   // and where the machines are to be the same
  nlohmann::json context = nlohmann::json::object();  // Google Benchmark's, on machine and library
  std::string when_and_where;                         // date and host, or run ids; empty: unknown
  std::vector<SavedRow> rows;

  const SavedRow* Find(const std::string& name) const;
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

}  // namespace flopledger
