// `compare`: two saved results, which were not paired.
#include <fmt/format.h>
#include <fmt/ostream.h>

#include <nlohmann/json.hpp>

#include "analysis/regression/saved_runs.h"
#include "analysis/text/table.h"
#include "bench/cli/cli.h"
#include "bench/cli/commands.h"
#include "model/json.h"

namespace flopledger {
namespace {

using nlohmann::json;

std::string Fixed(const std::optional<double>& value, double scale, int digits) {
  return value ? fmt::format("{:.{}f}", *value * scale, digits) : "";
}

Table ToTable(const UnpairedComparison& comparison) {
  Table table{{{"row", false},
               {"A ms"},
               {"B ms"},
               {"B/A"},
               {"interval"},
               {"A % of peak"},
               {"B % of peak"},
               {"verdict", false},
               {"exact", false}},
              {}};
  for (const UnpairedRow& row : comparison.rows) {
    std::string exact;
    for (const std::string& text : row.exact) exact += (exact.empty() ? "" : "; ") + text;
    const auto& e = row.estimate;
    table.rows.push_back({row.name, Fixed(row.baseline_s, 1e3, 3), Fixed(row.candidate_s, 1e3, 3),
                          e ? fmt::format("{:.3f}", e->ratio) : "",
                          e ? fmt::format("[{:.3f}, {:.3f}]", e->lower, e->upper) : "",
                          Fixed(row.baseline_pct_peak, 1, 1), Fixed(row.candidate_pct_peak, 1, 1),
                          std::string(NameOf(row.decision)), exact});
  }
  return table;
}

/// What can be concluded, and what cannot.
std::string Conclusion(const UnpairedComparison& comparison, const UnpairedRule& rule) {
  if (comparison.same_run) return "A and B are the same run.\n";
  return fmt::format(
      "FLOPs are exact, and decide. Times are advisory: A and B did not run in turn, so the "
      "interval "
      "({:.4g} %) allows each run a drift of {:.1f} % (one sigma; --drift) beside the spread of "
      "its "
      "repetitions. Budget {:+.4g} %. 'flopledger gate' pairs its runs, and sees less than that.\n",
      100 * rule.confidence, 100 * rule.drift, 100 * rule.budget);
}

json ToJson(const UnpairedComparison& comparison, const UnpairedRule& rule) {
  const auto or_null = [](const std::optional<double>& value) {
    return value ? json(*value) : json();
  };
  json rows = json::array();
  for (const UnpairedRow& row : comparison.rows) {
    const auto& e = row.estimate;
    rows.push_back({{"name", row.name},
                    {"verdict", NameOf(row.decision)},
                    {"baseline_s", or_null(row.baseline_s)},
                    {"candidate_s", or_null(row.candidate_s)},
                    {"ratio", e ? json(e->ratio) : json()},
                    {"lower", e ? json(e->lower) : json()},
                    {"upper", e ? json(e->upper) : json()},
                    {"exact_differences", row.exact}});
  }
  return {{"verdict", NameOf(comparison.decision)},
          {"same_run", comparison.same_run},
          {"not_comparable", comparison.reasons},
          {"budget", rule.budget},
          {"drift", rule.drift},
          {"confidence", rule.confidence},
          {"rows", std::move(rows)}};
}

}  // namespace

int ExitCodeOf(Decision decision) {
  switch (decision) {
    case Decision::kPass: return kDone;
    case Decision::kFail: return kCheckFailed;
    default: return kNoAnswer;
  }
}

int RunCompare(const CompareOptions& options, std::ostream& out) {
  const Format format = ParseFormat(options.format);
  UnpairedRule rule;
  rule.budget = CheckedPercent("--budget", options.budget);
  rule.drift = CheckedPercent("--drift", options.drift);
  const SavedRun baseline = SavedFromText(ReadTextFile(options.baseline), options.baseline);
  const SavedRun candidate = SavedFromText(ReadTextFile(options.candidate), options.candidate);
  const UnpairedComparison comparison = CompareUnpaired(baseline, candidate, rule);
  const Table table = ToTable(comparison);
  switch (format) {
    case Format::kJson: fmt::print(out, "{}\n", ToJson(comparison, rule).dump(1)); break;
    case Format::kCsv: out << table.ToCsv(); break;
    case Format::kTable:
    case Format::kMarkdown:
      for (const std::string& reason : comparison.reasons) {
        fmt::print(out, "not comparable: {}\n", reason);
      }
      if (comparison.reasons.empty()) {
        out << (format == Format::kTable ? table.ToText() : table.ToMarkdown()) << '\n'
            << Conclusion(comparison, rule);
      }
      fmt::print(out, "compare: {}\n", NameOf(comparison.decision));
  }
  return ExitCodeOf(comparison.decision);
}

}  // namespace flopledger
