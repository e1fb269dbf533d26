// What a Google Benchmark binary leaves under --benchmark_out: times and counters of every
// repetition.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace flopledger {

struct BenchmarkRow {
  std::string name;
  std::vector<double> seconds;       // real time of one iteration, for each repetition in order
  std::vector<double> repetition_s;  // real time that each repetition lasted
  std::map<std::string, std::vector<double>> counters;  // what else the repetitions report
  std::string error;                                    // why the benchmark skipped itself
  bool duplicate_name = false;  // two benchmarks go by this name and cannot be told apart
};

struct BenchmarkFile {
  nlohmann::json context = nlohmann::json::object();
  std::vector<BenchmarkRow> rows;  // in order of their first repetition
  bool has_aggregates = false;     // which are not among them

  const BenchmarkRow* Find(std::string_view name) const;
};

/// Whether `json` is of this form, rather than a ledger.
bool IsBenchmarkJson(const nlohmann::json& json);

/// Parses `text`, in which Google Benchmark writes bare NaN and Infinity: they are read as null,
/// and a counter without a number is left out. Throws InputError naming `where`.
nlohmann::json ParseLooseJson(std::string_view text, const std::string& where);

/// Repetitions only: aggregates (mean, median, …) are passed over. Throws InputError naming
/// `where`.
BenchmarkFile BenchmarkFromJson(const nlohmann::json& json, const std::string& where);

}  // namespace flopledger
