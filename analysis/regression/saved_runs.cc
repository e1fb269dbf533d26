#include "analysis/regression/saved_runs.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <boost/math/distributions/normal.hpp>
#include <cmath>

#include "analysis/text/stats.h"
#include "analysis/text/table.h"
#include "model/input_error.h"

namespace flopledger {
namespace {

using nlohmann::json;

/// Hardware counters of FLOPs are not exact: they must agree this closely, and so must what was
/// measured with what the formulas say is executed.
constexpr double kStatedResidual = 0.01;

std::string Text(const json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

void AddIfKnown(std::map<std::string, double>& to, const char* name, const auto& value) {
  if (value) to[name] = static_cast<double>(*value);
}

std::optional<double> Find(const std::map<std::string, double>& values, const std::string& name) {
  const auto found = values.find(name);
  if (found == values.end()) return std::nullopt;
  return found->second;
}

std::string Count(const std::optional<double>& value) {
  if (!value) return "none";
  if (*value == std::floor(*value) && std::abs(*value) < 9e15) {
    return Grouped(static_cast<int64_t>(*value));
  }
  return fmt::format("{:.6g}", *value);
}

std::vector<std::string> IdentityDifferences(const SavedRun& a, const SavedRun& b) {
  std::vector<std::string> differences;
  for (const auto& [key, value] : a.identity) {
    const auto other = b.identity.find(key);
    const std::string theirs = other == b.identity.end() ? "unknown" : other->second;
    if (theirs != value) differences.push_back(fmt::format("{}: A {}, B {}", key, value, theirs));
  }
  for (const auto& [key, value] : b.identity) {
    if (!a.identity.contains(key)) {
      differences.push_back(fmt::format("{}: A unknown, B {}", key, value));
    }
  }
  return differences;
}

std::vector<std::string> MissingRows(const SavedRun& of, const SavedRun& in, const char* side) {
  std::vector<std::string> missing;
  for (const SavedRow& row : of.rows) {
    if (std::ranges::find(in.rows, row.name, &SavedRow::name) == in.rows.end()) {
      missing.push_back(fmt::format("row {} is missing in {}", row.name, side));
    }
  }
  return missing;
}

/// Measured FLOPs and what they rest on: counted ones must be equal, a PMU's nearly, and a formula
/// that met its counted samples must still meet them.
std::vector<std::string> MeasuredDifferences(const SavedRow& a, const SavedRow& b) {
  std::vector<std::string> found;
  if (a.flops_source == "confirmed" && b.flops_source == "none") {
    found.push_back("counted samples: the formula met them all in A; in B " +
                    (b.flops_note.empty() ? "none were counted" : b.flops_note));
  }
  const auto measured_a = Find(a.other, "measured_flops"),
             measured_b = Find(b.other, "measured_flops");
  if (!measured_a || !measured_b || a.flops_source != b.flops_source) return found;
  const bool counted = a.flops_source == "counted";
  if (!counted && a.flops_source != "pmu") return found;
  const double tolerance = counted ? 0 : kStatedResidual;
  if (std::abs(*measured_b - *measured_a) > tolerance * *measured_a) {
    found.push_back(ExactDifference{"measured_flops", measured_a, measured_b}.ToText());
  }
  const auto executed = Find(b.other, "executed_flops");
  if (executed && std::abs(*measured_b - *executed) > kStatedResidual * *executed) {
    found.push_back(fmt::format("residual of B: measured {} where the formula says {}",
                                Count(measured_b), Count(executed)));
  }
  return found;
}

/// Squared standard error of ln(median) from the repetitions of one run.
double SquaredError(const std::vector<double>& samples) {
  const double relative = 1.4826 * MedianAbsoluteDeviation(samples) / Median(samples);
  return relative * relative / static_cast<double>(samples.size());
}

UnpairedRow CompareRow(const SavedRow& a, const SavedRow& b, const UnpairedRule& rule) {
  UnpairedRow row{.name = a.name,
                  .baseline_s = {},
                  .candidate_s = {},
                  .estimate = {},
                  .exact = {},
                  .baseline_pct_peak = {},
                  .candidate_pct_peak = {}};
  for (const ExactDifference& difference : ExactDifferences(a.exact, b.exact)) {
    row.exact.push_back(difference.ToText());
  }
  for (std::string& text : MeasuredDifferences(a, b)) row.exact.push_back(std::move(text));
  row.baseline_pct_peak = Find(a.other, "pct_peak");
  row.candidate_pct_peak = Find(b.other, "pct_peak");
  if (!a.samples_s.empty()) row.baseline_s = Median(a.samples_s);
  if (!b.samples_s.empty()) row.candidate_s = Median(b.samples_s);
  if (row.baseline_s.value_or(0) > 0 && row.candidate_s.value_or(0) > 0) {
    const bool same = a == b;
    const double sigma = same ? 0
                              : std::sqrt(2 * rule.drift * rule.drift + SquaredError(a.samples_s) +
                                          SquaredError(b.samples_s));
    const double half =
        boost::math::quantile(boost::math::normal(), (1 + rule.confidence) / 2) * sigma;
    const double centre = std::log(*row.candidate_s / *row.baseline_s);
    row.estimate = RatioEstimate{.blocks = 0,
                                 .ratio = std::exp(centre),
                                 .lower = std::exp(centre - half),
                                 .upper = std::exp(centre + half),
                                 .sigma = sigma};
    row.decision = Decide(*row.estimate, rule.budget);
  }
  if (!row.exact.empty()) row.decision = Decision::kFail;
  return row;
}

}  // namespace

bool IsExactCounter(std::string_view name) {
  return name == "predicted_flops" || name == "counted_flops" || name == "sample_counted_flops";
}

std::string ExactDifference::ToText() const {
  std::string text = fmt::format("{} {} → {}", quantity, Count(baseline), Count(candidate));
  if (baseline && candidate && *baseline != 0) {
    text += fmt::format(" ({})", SignedPercent(*candidate / *baseline - 1));
  }
  return text;
}

std::vector<ExactDifference> ExactDifferences(const std::map<std::string, double>& baseline,
                                              const std::map<std::string, double>& candidate) {
  std::vector<ExactDifference> differences;
  for (const auto& [name, value] : baseline) {
    const auto other = Find(candidate, name);
    if (other != value) differences.push_back({name, value, other});
  }
  for (const auto& [name, value] : candidate) {
    if (!baseline.contains(name)) differences.push_back({name, std::nullopt, value});
  }
  return differences;
}

SavedRun SavedFromLedger(const Ledger& ledger) {
  SavedRun run;
  run.identity = FactsUsed(ledger.environment, kCompared);
  if (const std::string& text = ledger.environment.settings.model; !text.empty()) {
    json model = json::parse(text);
    model.erase("num_layers");  // a layer more or less is found by its FLOPs
    run.identity["model"] = model.dump();
  }
  const auto backends = Distinct(ledger.rows, &Record::matmul);  // several of `--matmul all`
  run.identity["matmul"] = fmt::format("{}", fmt::join(backends, ", "));
  for (const Record& record : ledger.rows) {
    if (record.kind == "extrapolated") continue;
    const auto identify = [&](const char* name, const auto& value) {
      run.identity[name] = fmt::format("{}", value);
    };
    identify("context", record.context);
    identify("batch", record.batch);
    identify("threads", record.threads);
    identify("attention", record.attention);
    identify("convention", record.convention);
    SavedRow row;
    row.name = backends.size() > 1 ? record.matmul + "/" + record.op : record.op;
    row.duplicate_name = std::ranges::find(run.rows, row.name, &SavedRow::name) != run.rows.end();
    row.samples_s = record.samples_s;
    if (row.samples_s.empty() && record.time_s) row.samples_s = {*record.time_s};
    row.flops_source = record.flops_source;
    row.flops_note = record.flops_note;
    AddIfKnown(row.exact, "predicted_flops", record.predicted_flops);
    AddIfKnown(row.other, "executed_flops", record.executed_flops);
    AddIfKnown(row.other, "measured_flops", record.measured_flops);
    AddIfKnown(row.other, "pct_peak", record.pct_peak);
    run.rows.push_back(std::move(row));
  }
  return run;
}

SavedRun SavedFromBenchmark(const BenchmarkFile& file) {
  SavedRun run;
  for (const char* key : {"num_cpus", "caches", "library_build_type", "environment", "build"}) {
    if (file.context.contains(key)) run.identity[key] = Text(file.context[key]);
  }
  for (const BenchmarkRow& benchmark : file.rows) {
    SavedRow row;
    row.name = benchmark.name;
    row.duplicate_name = benchmark.duplicate_name;
    row.samples_s = benchmark.seconds;
    for (const auto& [name, values] : benchmark.counters) {
      (IsExactCounter(name) ? row.exact : row.other)[name] = Median(values);
    }
    if (const auto share = Find(row.other, "of_peak")) row.other["pct_peak"] = 100 * *share;
    run.rows.push_back(std::move(row));
  }
  return run;
}

SavedRun SavedFromText(std::string_view text, const std::string& where) {
  const json json = ParseLooseJson(text, where);
  SavedRun run = IsBenchmarkJson(json) ? SavedFromBenchmark(BenchmarkFromJson(json, where))
                                       : SavedFromLedger(LedgerFromJson(json, where));
  if (run.rows.empty()) throw InputError(fmt::format("{}: holds no rows", where));
  return run;
}

UnpairedComparison CompareUnpaired(const SavedRun& baseline, const SavedRun& candidate,
                                   const UnpairedRule& rule) {
  UnpairedComparison comparison;
  comparison.same_run = baseline == candidate;
  comparison.reasons = IdentityDifferences(baseline, candidate);
  for (std::string& reason : MissingRows(baseline, candidate, "B")) {
    comparison.reasons.push_back(std::move(reason));
  }
  for (std::string& reason : MissingRows(candidate, baseline, "A")) {
    comparison.reasons.push_back(std::move(reason));
  }
  for (const SavedRun* run : {&baseline, &candidate}) {
    const auto row = std::ranges::find(run->rows, true, &SavedRow::duplicate_name);
    if (row == run->rows.end()) continue;
    comparison.reasons.push_back(
        fmt::format("two rows of {} are called {}", run == &baseline ? "A" : "B", row->name));
  }
  if (!comparison.reasons.empty()) {
    comparison.decision = Decision::kNotComparable;
    return comparison;
  }
  comparison.decision = Decision::kPass;
  for (const SavedRow& row : baseline.rows) {
    const auto other = std::ranges::find(candidate.rows, row.name, &SavedRow::name);
    comparison.rows.push_back(CompareRow(row, *other, rule));
    comparison.decision = Worse(comparison.decision, comparison.rows.back().decision);
  }
  return comparison;
}

}  // namespace flopledger
