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

namespace flopledger {

/// A quantity beside the time (a counter of the benchmark), as medians of all runs.
struct Quantities {
  std::string name;
  double baseline = 0, candidate = 0;
};

struct RowReport {
  std::string name;
  Decision decision = Decision::kInconclusive;
  std::string sentence;                           // the one line
  std::optional<RatioEstimate> estimate;          // absent where nothing was timed
  std::optional<RatioEstimate> confirmation;      // from the fresh blocks
  std::optional<double> baseline_s, candidate_s;  // medians of all runs
  std::vector<Quantities> quantities;             // that both have
};

struct GateReport {
  Decision decision = Decision::kInconclusive;
  std::string headline;  // the one line on the whole
  std::vector<RowReport> rows;
  std::vector<std::string> warnings;
  std::vector<std::string> profiles;  // what --profile left, or why it left nothing
  nlohmann::json settings = nlohmann::json::object();  // rule, seed, binaries, arguments, machine
  nlohmann::json slots = nlohmann::json::array();      // every run as it was
};

/// Of a row that fails: what else moved by more than 2 %, seconds by what they add to the whole
/// first, then the others by their ratio; at most `most`.
std::vector<Quantities> Moved(const RowReport& row, std::size_t most);

/// The worst of the rows, and a headline to it.
void Conclude(GateReport& report);

std::string ToText(const GateReport& report);
std::string ToMarkdown(const GateReport& report);
/// GitHub's workflow commands: ::error for FAIL and NOT COMPARABLE, ::warning for INCONCLUSIVE and
/// warnings; at most ten of each, then "+N more".
std::string ToAnnotations(const GateReport& report);
/// FAIL is a failure, INCONCLUSIVE is skipped, NOT COMPARABLE is an error.
std::string ToJUnit(const GateReport& report);
/// Measures "latency" (the candidate's, in ns) and "ratio" (B/A with its interval) of each row.
nlohmann::json ToBencher(const GateReport& report);
nlohmann::json ToJson(const GateReport& report);

}  // namespace flopledger
