#include "analysis/regression/benchmark_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <optional>
#include <set>

#include "analysis/text/stats.h"
#include "model/input_error.h"
#include "model/json.h"

namespace flopledger {
namespace {

using nlohmann::json;

constexpr double kNotANumber = std::numeric_limits<double>::quiet_NaN();

/// Numbers of an entry that are neither a time nor a counter.
constexpr std::string_view kFixedKeys[] = {"family_index", "per_family_instance_index",
                                           "repetitions",  "repetition_index",
                                           "threads",      "iterations"};

// --- Text that is almost JSON ------------------------------------------------------------------

/// The length of a bare word at the start of `text` that stands for no finite number; else 0.
std::size_t NotFiniteWord(std::string_view text) {
  const std::size_t sign = text.starts_with('-') || text.starts_with('+') ? 1 : 0;
  for (const std::string_view word :
       {"NaN", "nan", "NAN", "Infinity", "infinity", "INFINITY", "Inf", "inf", "INF"}) {
    if (text.substr(sign).starts_with(word)) return sign + word.size();
  }
  return 0;
}

/// Appends what of a string stands at `i`, as JSON wants it, and returns how many characters it
/// was.
std::size_t CopyInString(std::string_view text, std::size_t i, std::string& strict) {
  const char c = text[i], next = i + 1 < text.size() ? text[i + 1] : ' ';
  if (static_cast<unsigned char>(c) < 0x20) {
    strict += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
  } else if (c != '\\') {
    strict += c;
  } else if (std::string_view("\"\\/bfnrtu").find(next) != std::string_view::npos) {
    strict += text.substr(i, 2);
    return 2;
  } else {
    strict += "\\\\";  // a backslash that begins no escape, as in names of old versions
  }
  return 1;
}

std::string StrictText(std::string_view text) {
  std::string strict;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size();) {
    if (text[i] == '"') {
      in_string = !in_string;
      strict += text[i++];
    } else if (in_string) {
      i += CopyInString(text, i, strict);
    } else if (const std::size_t length = NotFiniteWord(text.substr(i)); length > 0) {
      strict += "null";
      i += length;
    } else {
      strict += text[i++];
    }
  }
  // Bytes that are no UTF-8 become U+FFFD.
  return json::parse(json(strict).dump(-1, ' ', false, json::error_handler_t::replace))
      .get<std::string>();
}

// --- Values of an entry ------------------------------------------------------------------------

std::string TextOf(const json& entry, const char* key) {
  const auto found = entry.find(key);
  return found != entry.end() && found->is_string() ? found->get<std::string>() : "";
}

bool IsTrue(const json& entry, const char* key) {
  const auto found = entry.find(key);
  return found != entry.end() && found->is_boolean() && found->get<bool>();
}

double NumberOf(const json& entry, const char* key) {
  const auto found = entry.find(key);
  if (found == entry.end() || !found->is_number()) return kNotANumber;
  const double value = found->get<double>();
  return std::isfinite(value) ? value : kNotANumber;
}

/// Seconds of one time_unit; absent for one that is not known.
std::optional<double> SecondsOf(const std::string& unit) {
  if (unit == "ns" || unit.empty()) return 1e-9;
  if (unit == "us") return 1e-6;
  if (unit == "ms") return 1e-3;
  if (unit == "s") return 1;
  return std::nullopt;
}

/// Every time (in seconds) and counter of an entry, by name.
std::map<std::string, double> ValuesOf(const json& entry, double unit_s) {
  std::map<std::string, double> values{{"real_time", NumberOf(entry, "real_time") * unit_s}};
  if (entry.contains("cpu_time")) values["cpu_time"] = NumberOf(entry, "cpu_time") * unit_s;
  for (const auto& [key, value] : entry.items()) {
    const bool is_counter = (value.is_number() || value.is_null()) && !values.contains(key) &&
                            std::ranges::find(kFixedKeys, key) == std::end(kFixedKeys);
    if (is_counter) values[key] = NumberOf(entry, key.c_str());
  }
  return values;
}

// --- Entries to rows ---------------------------------------------------------------------------

/// What an entry is: a repetition, or an aggregate ("mean", "median", "stddev", …) of a row.
struct Kind {
  std::string row;
  std::string aggregate;  // empty: a repetition
};

/// "BM_x_mean" and "mean" to "BM_x".
std::string WithoutSuffix(const std::string& name, const std::string& suffix) {
  const std::string end = "_" + suffix;
  return name.ends_with(end) ? name.substr(0, name.size() - end.size()) : name;
}

/// How often each name occurs; for files from before run_type, whose aggregates are told by names.
using NameCounts = std::map<std::string, int>;

/// Before run_type (1.4) an aggregate is known by its name alone. One repetition has no aggregates,
/// so a base that occurs once is a benchmark of its own beside "base_mean".
std::string OldAggregate(const std::string& name, const NameCounts& names) {
  for (const char* suffix : {"mean", "median", "stddev"}) {
    const std::string base = WithoutSuffix(name, suffix);
    if (base == name) continue;
    const auto repetitions = names.find(base);
    const bool whole = names.contains(base + "_mean") && names.contains(base + "_stddev");
    if (whole && (repetitions == names.end() || repetitions->second > 1)) return suffix;
  }
  return "";
}

Kind KindOf(const json& entry, const NameCounts& names) {
  const std::string name = TextOf(entry, "name"), run_name = TextOf(entry, "run_name");
  const std::string type = TextOf(entry, "run_type");
  if (type == "iteration") return {run_name.empty() ? name : run_name, ""};
  if (type.empty()) {
    const bool complexity = (name.ends_with("_BigO") && entry.contains("big_o")) ||
                            (name.ends_with("_RMS") && entry.contains("rms"));
    if (complexity) return {name, "BigO"};
    const std::string aggregate = OldAggregate(name, names);
    return {WithoutSuffix(name, aggregate), aggregate};
  }
  std::string aggregate = TextOf(entry, "aggregate_name");
  if (aggregate.empty()) aggregate = "unnamed";
  return {WithoutSuffix(run_name.empty() ? name : run_name, aggregate), aggregate};
}

bool HasThreads(const json& entry, const std::string& name) {
  const double threads = NumberOf(entry, "threads");
  if (std::isfinite(threads)) return threads > 1;
  const auto found = name.find("/threads:");  // before 1.5 the name alone says it
  return found != std::string::npos && std::atoi(name.c_str() + found + 9) > 1;
}

/// Builds rows from the entries of a file, one after the other.
class RowBuilder {
 public:
  explicit RowBuilder(bool one_run) : one_run_(one_run) {}

  void Add(const json& entry, const NameCounts& names) {
    if (!entry.is_object() || TextOf(entry, "name").empty()) {
      RowOf("(an entry without a name)").unreadable = "an entry of 'benchmarks' has no name";
      return;
    }
    const Kind kind = KindOf(entry, names);
    if (!kind.aggregate.empty()) {
      AddAggregate(kind, entry);
      return;
    }
    BenchmarkRow& row = RowOf(kind.row);
    row.has_threads = row.has_threads || HasThreads(entry, kind.row);
    NoteIndex(row, entry);
    AddRepetition(row, entry);
  }

  /// Rows of which there are repetitions, and of those with aggregates alone these.
  std::vector<BenchmarkRow> Finish() {
    for (auto& [name, aggregates] : aggregates_) {
      BenchmarkRow& row = RowOf(name);
      const bool has_repetitions = !row.values.empty() || !row.error.empty() ||
                                   !row.skipped.empty() || !row.unreadable.empty();
      if (!has_repetitions) TakeAggregates(row, aggregates);
    }
    return std::move(rows_);
  }

 private:
  struct Aggregates {
    std::map<std::string, std::map<std::string, double>> values;  // of "median", "mean", "stddev"
    int repetitions = 0;
    bool has_threads = false;
    std::string unreadable;
  };

  BenchmarkRow& RowOf(const std::string& name) {
    const auto [at, is_new] = index_.emplace(name, rows_.size());
    if (is_new) rows_.emplace_back().name = name;
    return rows_[at->second];
  }

  /// Sees whether two benchmarks go by the row's name. Instances of one run are told apart by
  /// their place in the registration; files of old versions do not have it.
  void NoteIndex(BenchmarkRow& row, const json& entry) {
    const double repetition = NumberOf(entry, "repetition_index");
    if (!std::isfinite(repetition)) return;
    const auto place =
        std::pair(NumberOf(entry, "family_index"), NumberOf(entry, "per_family_instance_index"));
    const auto [first, is_new] = seen_.emplace(std::pair(row.name, repetition), place);
    const bool other_place = std::isfinite(place.first) && first->second != place;
    if (!is_new && (one_run_ || other_place)) row.duplicate_name = true;
  }

  static void AddRepetition(BenchmarkRow& row, const json& entry) {
    if (IsTrue(entry, "error_occurred")) {
      const std::string message = TextOf(entry, "error_message");
      if (row.error.empty()) row.error = message.empty() ? "no message" : message;
      return;
    }
    if (IsTrue(entry, "skipped")) {
      const std::string message = TextOf(entry, "skip_message");
      if (row.skipped.empty()) row.skipped = message.empty() ? "no message" : message;
      return;
    }
    const std::string unit = TextOf(entry, "time_unit");
    const auto unit_s = SecondsOf(unit);
    if (!unit_s) row.unreadable = fmt::format("time_unit '{}' is not known", unit);
    for (const auto& [name, value] : ValuesOf(entry, unit_s.value_or(kNotANumber))) {
      row.values[name].push_back(value);
    }
    const double seconds = row.values["real_time"].back() * NumberOf(entry, "iterations");
    if (std::isfinite(seconds)) row.repetition_s.push_back(seconds);
  }

  void AddAggregate(const Kind& kind, const json& entry) {
    // Of complexity ("BigO", "RMS") there is one for a whole family: no row goes by its name.
    if (kind.aggregate == "BigO" || kind.aggregate == "RMS") return;
    RowOf(kind.row);  // keeps its place among the rows
    Aggregates& aggregates = aggregates_[kind.row];
    const auto unit_s = SecondsOf(TextOf(entry, "time_unit"));
    if (!unit_s) aggregates.unreadable = "an aggregate's time_unit is not known";
    aggregates.values[kind.aggregate] = ValuesOf(entry, unit_s.value_or(kNotANumber));
    aggregates.has_threads = aggregates.has_threads || HasThreads(entry, kind.row);
    const double repetitions = NumberOf(entry, "repetitions");
    if (repetitions > 0 && repetitions < 1e9) {
      aggregates.repetitions = static_cast<int>(repetitions);
    }
  }

  static void TakeAggregates(BenchmarkRow& row, const Aggregates& aggregates) {
    row.has_threads = aggregates.has_threads;
    row.unreadable = aggregates.unreadable;
    row.repetitions = aggregates.repetitions;
    auto centre = aggregates.values.find("median");
    if (centre == aggregates.values.end()) centre = aggregates.values.find("mean");
    if (centre == aggregates.values.end()) {
      row.unreadable = "has aggregates alone, among them neither a median nor a mean";
      return;
    }
    for (const auto& [name, value] : centre->second) row.values[name] = {value};
    const auto spread = aggregates.values.find("stddev");
    if (spread != aggregates.values.end()) row.deviations = spread->second;
  }

  bool one_run_;
  std::vector<BenchmarkRow> rows_;
  std::map<std::string, std::size_t> index_;
  std::map<std::string, Aggregates> aggregates_;
  std::map<std::pair<std::string, double>, std::pair<double, double>> seen_;
};

}  // namespace

const BenchmarkRow* BenchmarkFile::Find(std::string_view name) const {
  const auto row = std::ranges::find(rows, name, &BenchmarkRow::name);
  return row == rows.end() ? nullptr : &*row;
}

bool IsBenchmarkJson(const json& json) { return json.is_object() && json.contains("benchmarks"); }

json ParseLooseJson(std::string_view text, const std::string& where) {
  constexpr int kDeepest = 64;
  std::vector<std::set<std::string>> open_objects;
  const auto keep_the_first = [&](int depth, json::parse_event_t event, json& value) {
    if (depth > kDeepest) {
      throw InputError(fmt::format("{}: nested more than {} deep", where, kDeepest));
    }
    if (event == json::parse_event_t::object_start) open_objects.emplace_back();
    if (event == json::parse_event_t::object_end) open_objects.pop_back();
    if (event != json::parse_event_t::key) return true;
    return open_objects.back().insert(value.get<std::string>()).second;
  };
  const std::string strict = StrictText(text);
  try {
    return json::parse(strict, keep_the_first);
  } catch (const json::exception&) {
    return ParseJson(strict, where);  // says where it is wrong
  }
}

void CheckBenchmarkJson(const json& json, const std::string& where) {
  if (IsBenchmarkJson(json) && json["benchmarks"].is_array()) return;
  throw InputError(fmt::format("{}: no JSON of Google Benchmark: 'benchmarks' is missing", where));
}

BenchmarkFile BenchmarkFromJson(const json& json, const std::string& where, bool one_run) {
  CheckBenchmarkJson(json, where);
  BenchmarkFile file;
  if (json.contains("context") && json["context"].is_object()) file.context = json["context"];
  NameCounts names;
  for (const auto& entry : json["benchmarks"]) {
    if (entry.is_object()) ++names[TextOf(entry, "name")];
  }
  RowBuilder builder(one_run);
  for (const auto& entry : json["benchmarks"]) builder.Add(entry, names);
  file.rows = builder.Finish();
  return file;
}

std::optional<double> MedianOf(const BenchmarkRow& row, const std::string& metric) {
  const auto found = row.values.find(metric);
  if (found == row.values.end() || found->second.empty()) return std::nullopt;
  const bool finite = std::ranges::all_of(found->second, [](double v) { return std::isfinite(v); });
  if (!finite) return std::nullopt;
  return Median(found->second);
}

}  // namespace flopledger
