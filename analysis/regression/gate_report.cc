#include "analysis/regression/gate_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "analysis/regression/escaped_name.h"
#include "analysis/text/table.h"
#include "analysis/text/wrap.h"

namespace flopledger {
namespace {

using nlohmann::json;

bool IsSeconds(const Quantities& quantity) { return quantity.name.ends_with("_s"); }

double LogRatio(const Quantities& quantity) {
  return std::abs(std::log(std::abs(quantity.candidate / quantity.baseline)));
}

std::string Figure(double value) {
  if (value == std::floor(value) && std::abs(value) < 9e15) {
    return Grouped(static_cast<int64_t>(value));
  }
  return fmt::format("{:.5g}", value);
}

/// Rows that need a reader first, each group in the order of the benchmark.
std::vector<const RowReport*> WorstFirst(const GateReport& report) {
  std::vector<const RowReport*> rows;
  for (const Decision decision : kWorstFirst) {
    for (const RowReport& row : report.rows) {
      if (row.decision == decision) rows.push_back(&row);
    }
  }
  return rows;
}

Table MovedTable(const std::vector<Quantities>& moved) {
  Table table{{{"what else moved", false}, {"A"}, {"B"}, {"B/A"}}, {}};
  for (const Quantities& quantity : moved) {
    table.rows.push_back({quantity.name, Figure(quantity.baseline), Figure(quantity.candidate),
                          fmt::format("{:.3f}", quantity.candidate / quantity.baseline)});
  }
  return table;
}

constexpr std::size_t kMostMoved = 12;

json ToJson(const RatioEstimate& estimate) {
  return {{"blocks", estimate.blocks}, {"ratio", estimate.ratio}, {"lower", estimate.lower},
          {"upper", estimate.upper},   {"sigma", estimate.sigma}, {"widened", estimate.widened}};
}

template <class T>
json OrNull(const std::optional<T>& value) {
  if (!value) return nullptr;
  if constexpr (std::is_same_v<T, RatioEstimate>) {
    return ToJson(*value);
  } else {
    return *value;
  }
}

}  // namespace

std::string LabelOf(const RowReport& row) {
  return row.metric == Metric{} ? row.name : fmt::format("{} ({})", row.name, row.metric.name);
}

std::vector<Quantities> Moved(const RowReport& row, std::size_t most) {
  std::vector<Quantities> moved;
  for (const Quantities& quantity : row.quantities) {
    if (quantity.baseline == 0 || quantity.candidate / quantity.baseline <= 0) continue;
    if (LogRatio(quantity) > std::log(1.02)) moved.push_back(quantity);
  }
  std::ranges::stable_sort(moved, [](const Quantities& a, const Quantities& b) {
    if (IsSeconds(a) != IsSeconds(b)) return IsSeconds(a);
    if (!IsSeconds(a)) return LogRatio(a) > LogRatio(b);
    return std::abs(a.candidate - a.baseline) > std::abs(b.candidate - b.baseline);
  });
  if (moved.size() > most) moved.resize(most);
  return moved;
}

RowReport NotTimed(const std::string& name, const RowVerdict& verdict) {
  return {.name = name,
          .metric = {},
          .decision = verdict.decision,
          .reason = verdict.reason,
          .sentence = fmt::format("{} {}: {}.", NameOf(verdict.decision), name, verdict.reason),
          .estimate = {},
          .confirmation = {},
          .baseline = {},
          .candidate = {},
          .quantities = {}};
}

void Conclude(GateReport& report) {
  std::vector<Decision> decisions;
  for (const RowReport& row : report.rows) decisions.push_back(row.decision);
  report.decision = Overall(decisions, report.allow_missing);
  std::string counts;
  for (const Decision decision : kWorstFirst) {
    const auto n = std::ranges::count(decisions, decision);
    if (n > 0) counts += fmt::format("{}{} {}", counts.empty() ? "" : ", ", n, NameOf(decision));
  }
  report.headline =
      fmt::format("{} row{}: {}", report.rows.size(), Plural(std::ssize(report.rows)), counts);
}

std::string ToText(const GateReport& report, std::size_t width) {
  std::string text;
  const auto line = [&](const std::string& of) { text += Wrapped(of, width, 2); };
  for (const RowReport* row : WorstFirst(report)) {
    line(EscapedName(row->sentence));
    if (row->decision != Decision::kFail) continue;
    const auto moved = Moved(*row, kMostMoved);
    if (!moved.empty()) text += "\n" + MovedTable(moved).ToText(width) + "\n";
  }
  for (const std::string& warning : report.warnings) line("warning: " + EscapedName(warning));
  for (const std::string& profile : report.profiles) line("profile: " + profile);
  line(fmt::format("gate: {}: {}", NameOf(report.decision), EscapedName(report.headline)));
  return text;
}

std::string ToCsv(const GateReport& report) {
  Table table{{{"row"},
               {"metric"},
               {"verdict"},
               {"a"},
               {"b"},
               {"unit"},
               {"ratio"},
               {"low"},
               {"high"},
               {"sigma"},
               {"blocks"},
               {"reason"}},
              {}};
  for (const RowReport& row : report.rows) {
    const auto& e = row.estimate;
    const bool measured = row.baseline || row.candidate;
    const DisplayUnit unit =
        measured ? DisplayUnitOf(row.metric, row.baseline.value_or(row.candidate.value_or(0)))
                 : DisplayUnit{};
    const auto value = [&](const std::optional<double>& of) {
      return of ? fmt::format("{:.6g}", *of * unit.factor) : "";
    };
    const auto figure = [&](double RatioEstimate::*field) {
      return e ? fmt::format("{:.6g}", *e.*field) : "";
    };
    table.rows.push_back({EscapedName(row.name), measured ? EscapedName(row.metric.name) : "",
                          std::string(NameOf(row.decision)), value(row.baseline),
                          value(row.candidate), std::string(unit.name),
                          figure(&RatioEstimate::ratio), figure(&RatioEstimate::lower),
                          figure(&RatioEstimate::upper), figure(&RatioEstimate::sigma),
                          e ? fmt::format("{}", e->blocks) : "", EscapedName(row.reason)});
  }
  if (report.rows.empty()) {
    std::vector<std::string> whole(table.columns.size());
    whole[0] = "(all)";
    whole[2] = NameOf(report.decision);
    whole.back() = EscapedName(report.headline);
    table.rows.push_back(std::move(whole));
  }
  return table.ToCsv();
}

std::string ToMarkdown(const GateReport& report) {
  std::string text =
      fmt::format("### Gate: {}\n\n{}\n\n", NameOf(report.decision), EscapedName(report.headline));
  Table table{{{"row", false},
               {"verdict", false},
               {"A"},
               {"B"},
               {"B/A"},
               {"low"},
               {"high"},
               {"sigma"},
               {"blocks"}},
              {}};
  for (const RowReport* row : WorstFirst(report)) {
    const auto value = [&](const std::optional<double>& of) {
      return of ? ShowValue(row->metric, *of) : "";
    };
    std::vector<std::string> cells{EscapedName(LabelOf(*row)), std::string(NameOf(row->decision)),
                                   value(row->baseline), value(row->candidate)};
    if (const auto& e = row->estimate) {
      cells.push_back(fmt::format("{:.3f}", e->ratio));
      cells.push_back(fmt::format("{:.3f}", e->lower));
      cells.push_back(fmt::format("{:.3f}", e->upper));
      cells.push_back(fmt::format("{:.1f} %", 100 * e->sigma));
      cells.push_back(fmt::format("{}", e->blocks));
    }
    cells.resize(table.columns.size());
    table.rows.push_back(std::move(cells));
  }
  if (!table.rows.empty()) text += table.ToMarkdown() + "\n";
  for (const RowReport* row : WorstFirst(report)) {
    if (row->decision == Decision::kPass) continue;
    text += EscapedName(row->sentence) + "\n\n";
    const auto moved = Moved(*row, kMostMoved);
    if (row->decision == Decision::kFail && !moved.empty()) {
      text += MovedTable(moved).ToMarkdown() + "\n";
    }
  }
  for (const std::string& warning : report.warnings)
    text += "Warning: " + EscapedName(warning) + "\n\n";
  return text;
}

json ToJson(const GateReport& report) {
  json rows = json::array();
  for (const RowReport& row : report.rows) {
    json quantities = json::object();
    for (const Quantities& quantity : row.quantities) {
      quantities[quantity.name] = {{"baseline", quantity.baseline},
                                   {"candidate", quantity.candidate}};
    }
    rows.push_back({{"name", row.name},
                    {"metric", row.metric.name},
                    {"verdict", NameOf(row.decision)},
                    {"reason", row.reason},
                    {"sentence", row.sentence},
                    {"estimate", OrNull(row.estimate)},
                    {"confirmation", OrNull(row.confirmation)},
                    {"baseline", OrNull(row.baseline)},
                    {"candidate", OrNull(row.candidate)},
                    {"quantities", std::move(quantities)}});
  }
  return {{"schema", 2},
          {"verdict", NameOf(report.decision)},
          {"headline", report.headline},
          {"allow_missing", report.allow_missing},
          {"settings", report.settings},
          {"rows", std::move(rows)},
          {"warnings", report.warnings},
          {"profiles", report.profiles},
          {"slots", report.slots}};
}

}  // namespace flopledger
