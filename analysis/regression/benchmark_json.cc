#include "analysis/regression/benchmark_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "model/input_error.h"
#include "model/json.h"

namespace flopledger {
namespace {

using nlohmann::json;

/// Keys of a repetition that are no counters.
constexpr std::string_view kFixedKeys[] = {"family_index", "per_family_instance_index",
                                           "repetitions",  "repetition_index",
                                           "threads",      "iterations",
                                           "real_time",    "cpu_time"};

double SecondsOf(const std::string& unit, const std::string& where) {
  if (unit == "ns") return 1e-9;
  if (unit == "us") return 1e-6;
  if (unit == "ms") return 1e-3;
  if (unit == "s") return 1;
  throw InputError(fmt::format("{}: '{}' is no time_unit", where, unit));
}

void AddRepetition(BenchmarkRow& row, const json& run, const std::string& where) {
  if (run.value("error_occurred", false) || run.value("skipped", false)) {
    row.error = run.value("error_message", run.value("skip_message", std::string()));
    if (row.error.empty()) row.error = "skipped";
    return;
  }
  const double seconds =
      run.at("real_time").get<double>() * SecondsOf(run.value("time_unit", "ns"), where);
  row.seconds.push_back(seconds);
  row.repetition_s.push_back(seconds * run.at("iterations").get<double>());
  for (const auto& [key, value] : run.items()) {
    if (!value.is_number() || std::ranges::find(kFixedKeys, key) != std::end(kFixedKeys)) continue;
    row.counters[key].push_back(value.get<double>());
  }
}

}  // namespace

const BenchmarkRow* BenchmarkFile::Find(std::string_view name) const {
  const auto row = std::ranges::find(rows, name, &BenchmarkRow::name);
  return row == rows.end() ? nullptr : &*row;
}

bool IsBenchmarkJson(const json& json) { return json.is_object() && json.contains("benchmarks"); }

json ParseLooseJson(std::string_view text, const std::string& where) {
  std::string strict;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (!in_string) {
      const std::size_t sign = text[i] == '-' ? 1 : 0;
      bool replaced = false;
      for (const std::string_view word : {"NaN", "nan", "Infinity", "inf"}) {
        if (text.substr(i + sign, word.size()) != word) continue;
        strict += "null";
        i += sign + word.size() - 1;
        replaced = true;
        break;
      }
      if (replaced) continue;
    } else if (text[i] == '\\' && i + 1 < text.size()) {
      strict += text.substr(i++, 2);
      continue;
    }
    if (text[i] == '"') in_string = !in_string;
    strict += text[i];
  }
  return ParseJson(strict, where);
}

BenchmarkFile BenchmarkFromJson(const json& json, const std::string& where) {
  if (!IsBenchmarkJson(json) || !json["benchmarks"].is_array()) {
    throw InputError(
        fmt::format("{}: no JSON of Google Benchmark: 'benchmarks' is missing", where));
  }
  BenchmarkFile file;
  if (json.contains("context") && json["context"].is_object()) file.context = json["context"];
  std::set<std::pair<std::string, int>> seen;
  try {
    for (const auto& run : json["benchmarks"]) {
      if (run.value("run_type", "iteration") != "iteration") {
        file.has_aggregates = true;
        continue;
      }
      const auto name = run.value("run_name", run.at("name").get<std::string>());
      auto row = std::ranges::find(file.rows, name, &BenchmarkRow::name);
      if (row == file.rows.end()) {
        file.rows.push_back({.name = name,
                             .seconds = {},
                             .repetition_s = {},
                             .counters = {},
                             .error = "",
                             .duplicate_name = false});
        row = file.rows.end() - 1;
      }
      if (run.contains("repetition_index") &&
          !seen.emplace(name, run["repetition_index"].get<int>()).second) {
        row->duplicate_name = true;
      }
      AddRepetition(*row, run, where);
    }
  } catch (const nlohmann::json::exception& error) {
    throw InputError(fmt::format("{}: no JSON of Google Benchmark: {}", where, error.what()));
  }
  return file;
}

}  // namespace flopledger
