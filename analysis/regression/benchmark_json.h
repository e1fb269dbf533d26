// What a Google Benchmark binary leaves under --benchmark_out, of any version of the library: every
// repetition of every row. What cannot be read of an entry spoils its row, never the file.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace flopledger {

/// One benchmark. Where the file has aggregates alone of it, `values` holds its median (else its
/// mean) and `deviations` the standard deviation of `repetitions` repetitions.
struct BenchmarkRow {
  std::string name;
  /// One value for each repetition, in order: "real_time" and "cpu_time" in seconds for one
  /// iteration, and every counter. NaN where the file has no finite number.
  std::map<std::string, std::vector<double>> values;
  std::map<std::string, double> deviations;
  int repetitions = 0;               // behind an aggregate; 0: the file does not say
  std::vector<double> repetition_s;  // real time that each repetition lasted, where it is known
  bool has_threads = false;          // more than one
  bool duplicate_name = false;       // two benchmarks go by this name and cannot be told apart
  std::string error;                 // the first message of a repetition that failed
  std::string skipped;               // of one that was skipped without an error
  std::string unreadable;            // what about its entries cannot be read

  bool ran() const { return error.empty() && skipped.empty(); }
  bool operator==(const BenchmarkRow&) const = default;
};

struct BenchmarkFile {
  nlohmann::json context = nlohmann::json::object();
  std::vector<BenchmarkRow> rows;  // in order of their first entry

  const BenchmarkRow* Find(std::string_view name) const;
};

/// Whether `json` is of this form, rather than a ledger.
bool IsBenchmarkJson(const nlohmann::json& json);

/// Throws InputError naming `where` unless it is.
void CheckBenchmarkJson(const nlohmann::json& json, const std::string& where);

/// Parses what Google Benchmark writes although it is no JSON: bare NaN and Infinity (read as
/// null), control characters and stray backslashes in names, bytes that are no UTF-8, and counters
/// named like a standard key (the first of two equal keys is the standard one, and stays). Throws
/// InputError naming `where`.
nlohmann::json ParseLooseJson(std::string_view text, const std::string& where);

/// A saved file may be merged from several, so one name with the same repetition_index again is
/// more repetitions; what one process wrote (`one_run`) holds two benchmarks of one name then.
/// Throws InputError naming `where`.
BenchmarkFile BenchmarkFromJson(const nlohmann::json& json, const std::string& where,
                                bool one_run = false);

/// Of a row's values the median; absent where the row has none or one of them is not a number.
std::optional<double> MedianOf(const BenchmarkRow& row, const std::string& metric);

}  // namespace flopledger
