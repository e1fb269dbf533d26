#include "analysis/regression/unpaired_report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "analysis/regression/escaped_name.h"

namespace flopledger {
namespace {

using nlohmann::json;

std::string Cell(const std::optional<double>& value, const char* format) {
  return value ? fmt::format(fmt::runtime(format), *value) : "";
}

/// Whether any row has this; a column that no row fills is left out of a table for people.
bool Any(const UnpairedComparison& comparison, auto&& has) {
  return std::ranges::any_of(comparison.rows, has);
}

json OrNull(const std::optional<double>& value) { return value ? json(*value) : json(); }

}  // namespace

json ToJson(const UnpairedComparison& comparison, const UnpairedRule& rule) {
  json rows = json::array();
  for (const UnpairedRow& row : comparison.rows) {
    const auto& e = row.estimate;
    json entry{{"name", row.name},
               {"verdict", NameOf(row.decision)},
               {"reason", row.reason},
               {"baseline", OrNull(row.baseline)},
               {"candidate", OrNull(row.candidate)},
               {"ratio", e ? json(e->ratio) : json()},
               {"lower", e ? json(e->lower) : json()},
               {"upper", e ? json(e->upper) : json()},
               {"exact_differences", row.exact}};
    entry["metric"] = row.baseline || row.candidate || e ? json(row.metric.name) : json();
    rows.push_back(std::move(entry));
  }
  return {{"verdict", NameOf(comparison.decision)},
          {"reason", fmt::format("{}", fmt::join(comparison.reasons, "; "))},
          {"warnings", comparison.warnings},
          {"same_run", comparison.same_run},
          {"budget", rule.budget},
          {"drift", rule.drift},
          {"confidence", rule.confidence},
          {"rows", std::move(rows)}};
}

std::string ToCsv(const UnpairedComparison& comparison) {
  Table table{{{"row", false},
               {"metric", false},
               {"verdict", false},
               {"a"},
               {"b"},
               {"unit", false},
               {"ratio"},
               {"low"},
               {"high"},
               {"a_pct_peak"},
               {"b_pct_peak"},
               {"reason", false}},
              {}};
  for (const UnpairedRow& row : comparison.rows) {
    const bool measured = row.baseline || row.candidate;
    const DisplayUnit unit =
        measured ? DisplayUnitOf(row.metric, row.baseline.value_or(row.candidate.value_or(0)))
                 : DisplayUnit{};
    const auto value = [&](const std::optional<double>& of) {
      return of ? fmt::format("{:.6g}", *of * unit.factor) : "";
    };
    const auto bound = [&](double RatioEstimate::*field) {
      return row.estimate ? fmt::format("{:.6g}", *row.estimate.*field) : "";
    };
    table.rows.push_back({EscapedName(row.name), measured ? EscapedName(row.metric.name) : "",
                          std::string(NameOf(row.decision)), value(row.baseline),
                          value(row.candidate), std::string(unit.name),
                          bound(&RatioEstimate::ratio), bound(&RatioEstimate::lower),
                          bound(&RatioEstimate::upper), Cell(row.baseline_pct_peak, "{:.4g}"),
                          Cell(row.candidate_pct_peak, "{:.4g}"), EscapedName(row.reason)});
  }
  if (comparison.rows.empty()) {
    std::vector<std::string> whole(table.columns.size());
    whole[0] = "(all)";
    whole[2] = NameOf(comparison.decision);
    whole.back() = EscapedName(fmt::format("{}", fmt::join(comparison.reasons, "; ")));
    table.rows.push_back(std::move(whole));
  }
  return table.ToCsv();
}

Table ToTable(const UnpairedComparison& comparison) {
  const bool several = Any(comparison, [&](const UnpairedRow& row) {
    return !row.metric.name.empty() && row.metric != Metric{};
  });
  const bool shares = Any(comparison, [](const UnpairedRow& row) {
    return row.baseline_pct_peak || row.candidate_pct_peak;
  });
  Table table{{{"row", false}}, {}};
  if (several) table.columns.push_back({"metric", false});
  for (const char* title : {"A", "B", "B/A", "low", "high"}) table.columns.push_back({title});
  if (shares) table.columns.insert(table.columns.end(), {{"A % of peak"}, {"B % of peak"}});
  table.columns.insert(table.columns.end(), {{"verdict", false}, {"reason", false}});
  for (const UnpairedRow& row : comparison.rows) {
    std::vector<std::string> cells{EscapedName(row.name)};
    if (several) cells.push_back(EscapedName(row.metric.name));
    const auto value = [&](const std::optional<double>& of) {
      return of ? ShowValue(row.metric, *of) : "";
    };
    cells.insert(cells.end(), {value(row.baseline), value(row.candidate)});
    if (const auto& e = row.estimate) {
      for (const double number : {e->ratio, e->lower, e->upper}) {
        cells.push_back(fmt::format("{:.3f}", number));
      }
    } else {
      cells.insert(cells.end(), 3, "");
    }
    if (shares) {
      cells.push_back(Cell(row.baseline_pct_peak, "{:.1f}"));
      cells.push_back(Cell(row.candidate_pct_peak, "{:.1f}"));
    }
    cells.insert(cells.end(), {std::string(NameOf(row.decision)), EscapedName(row.reason)});
    table.rows.push_back(std::move(cells));
  }
  return table;
}

std::string Conclusion(const UnpairedComparison& comparison, const UnpairedRule& rule) {
  std::string text;
  for (const std::string& reason : comparison.reasons) {
    text += fmt::format("not comparable: {}\n", EscapedName(reason));
  }
  for (const std::string& warning : comparison.warnings) {
    text += fmt::format("differs: {}\n", EscapedName(warning));
  }
  if (comparison.same_run) {
    text += "A and B are the same run.\n";
  } else if (comparison.reasons.empty()) {
    text += fmt::format(
        "FLOPs are exact, and decide. Times are advisory: A and B did not run in turn, so the "
        "interval ({:.4g} %) allows each run a drift of {:.1f} % (one sigma; --drift) beside the "
        "spread of its repetitions. Budget {:+.4g} %. 'flopledger gate' pairs its runs, and sees "
        "less than that.\n",
        100 * rule.confidence, 100 * rule.drift, 100 * rule.budget);
  }
  return text + fmt::format("compare: {}\n", NameOf(comparison.decision));
}

}  // namespace flopledger
