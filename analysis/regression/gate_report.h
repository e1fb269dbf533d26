// What a gate found, and its forms: for people (text, Markdown), for CI (annotations, JUnit XML),
// for services that keep history (Bencher Metric Format), and whole (JSON with every raw run).
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "analysis/regression/compare.h"
#include "analysis/regression/gate_schedule.h"
#include "analysis/regression/metric.h"

namespace flopledger {

/// A quantity beside the time (a counter of the benchmark), as medians of all runs.
struct Quantities {
  std::string name;
  double baseline = 0, candidate = 0;
};

/// One row under one metric.
struct RowReport {
  std::string name;
  Metric metric;
  Decision decision = Decision::kInconclusive;
  std::string reason;                         // of all but a decision by times
  std::string sentence;                       // the one line
  std::optional<RatioEstimate> estimate;      // absent where nothing was timed
  std::optional<RatioEstimate> confirmation;  // from the fresh blocks
  std::optional<double> baseline, candidate;  // medians of the metric over all runs
  std::vector<Quantities> quantities;         // that both have
};

/// The report on a row that was not timed: its sentence says the reason.
RowReport NotTimed(const std::string& name, const RowVerdict& verdict);

struct GateReport {
  Decision decision = Decision::kInconclusive;
  std::string headline;  // the one line on the whole
  std::vector<RowReport> rows;
  bool allow_missing = false;  // rows of A that B lacks do not block
  std::vector<std::string> warnings;
  std::vector<std::string> profiles;  // what --profile left, or why it left nothing
  nlohmann::json settings = nlohmann::json::object();  // rule, seed, binaries, arguments, machine
  nlohmann::json slots = nlohmann::json::array();      // every run as it was
};

/// The row's name, and its metric where that is not real_time: "row (cpu_time)".
std::string LabelOf(const RowReport& row);

/// Of a row that fails: what else moved by more than 2 %, seconds by what they add to the whole
/// first, then the others by their ratio; at most `most`.
std::vector<Quantities> Moved(const RowReport& row, std::size_t most);

/// The decision on the whole (Overall), and a headline to it.
void Conclude(GateReport& report);

/// For people: a sentence a row, in lines of at most `width` characters.
std::string ToText(const GateReport& report, std::size_t width = std::string::npos);
/// A line a row, values with their unit beside them; where there is no row, one on the whole.
std::string ToCsv(const GateReport& report);
std::string ToMarkdown(const GateReport& report);
/// GitHub's workflow commands: ::error for FAIL, NOT COMPARABLE and MISSING, ::warning for
/// INCONCLUSIVE and warnings; at most ten of each, then "+N more".
std::string ToAnnotations(const GateReport& report);
/// FAIL is a failure; NOT COMPARABLE and MISSING are errors; INCONCLUSIVE, NEW and SKIPPED are
/// skipped.
std::string ToJUnit(const GateReport& report);
/// Measures "latency" (the candidate's, in ns; of another metric its name and value) and "ratio"
/// (B/A with its interval) of each row.
nlohmann::json ToBencher(const GateReport& report);
nlohmann::json ToJson(const GateReport& report);

}  // namespace flopledger
