#include "analysis/regression/gate_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "analysis/text/table.h"

namespace flopledger {
namespace {

using nlohmann::json;

bool IsSeconds(const Quantities& quantity) { return quantity.name.ends_with("_s"); }

double LogRatio(const Quantities& quantity) {
  return std::abs(std::log(std::abs(quantity.candidate / quantity.baseline)));
}

std::string Milliseconds(const std::optional<double>& seconds) {
  return seconds ? fmt::format("{:.4f}", *seconds * 1e3) : "";
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
  for (const Decision decision :
       {Decision::kFail, Decision::kNotComparable, Decision::kInconclusive, Decision::kPass}) {
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
  return {{"blocks", estimate.blocks},
          {"ratio", estimate.ratio},
          {"lower", estimate.lower},
          {"upper", estimate.upper},
          {"sigma", estimate.sigma}};
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

/// Text of a workflow command; in its properties ':' and ',' end a value.
std::string CommandText(std::string_view text, bool is_property) {
  std::string escaped;
  for (const char c : text) {
    const bool special =
        c == '%' || c == '\r' || c == '\n' || (is_property && (c == ':' || c == ','));
    escaped += special ? fmt::format("%{:02X}", static_cast<unsigned char>(c)) : std::string(1, c);
  }
  return escaped;
}

/// Whether the verdict is that of no row: nothing was timed, or a binary failed in between.
bool HeadlineSaysMore(const GateReport& report) {
  const bool of_a_row = std::ranges::any_of(
      report.rows, [&](const RowReport& row) { return row.decision == report.decision; });
  return report.decision != Decision::kPass && !of_a_row;
}

std::string XmlText(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&': escaped += "&amp;"; break;
      case '<': escaped += "&lt;"; break;
      case '>': escaped += "&gt;"; break;
      case '"': escaped += "&quot;"; break;
      default: escaped += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;  // XML 1.0 has no others
    }
  }
  return escaped;
}

std::string Commands(const char* kind,
                     const std::vector<std::pair<std::string, std::string>>& all) {
  constexpr std::size_t kMost = 10;  // GitHub shows no more of one step
  std::string text;
  for (std::size_t i = 0; i < std::min(all.size(), kMost); ++i) {
    std::string message = all[i].second;
    if (i + 1 == kMost && all.size() > kMost)
      message += fmt::format(" +{} more", all.size() - kMost);
    text += fmt::format("::{} title={}::{}\n", kind, CommandText("gate: " + all[i].first, true),
                        CommandText(message, false));
  }
  return text;
}

}  // namespace

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

void Conclude(GateReport& report) {
  report.decision = Decision::kPass;
  std::string counts;
  for (const RowReport& row : report.rows) report.decision = Worse(report.decision, row.decision);
  for (const Decision decision :
       {Decision::kFail, Decision::kNotComparable, Decision::kInconclusive, Decision::kPass}) {
    const auto n = std::ranges::count(report.rows, decision, &RowReport::decision);
    if (n > 0) counts += fmt::format("{}{} {}", counts.empty() ? "" : ", ", n, NameOf(decision));
  }
  report.headline =
      fmt::format("{} row{}: {}", report.rows.size(), report.rows.size() == 1 ? "" : "s", counts);
}

std::string ToText(const GateReport& report) {
  std::string text;
  for (const RowReport* row : WorstFirst(report)) {
    text += row->sentence + "\n";
    if (row->decision != Decision::kFail) continue;
    const auto moved = Moved(*row, kMostMoved);
    if (!moved.empty()) text += "\n" + MovedTable(moved).ToText() + "\n";
  }
  for (const std::string& warning : report.warnings) text += "warning: " + warning + "\n";
  for (const std::string& profile : report.profiles) text += "profile: " + profile + "\n";
  return text + fmt::format("gate: {}: {}\n", NameOf(report.decision), report.headline);
}

std::string ToMarkdown(const GateReport& report) {
  std::string text =
      fmt::format("### Gate: {}\n\n{}\n\n", NameOf(report.decision), report.headline);
  Table table{{{"row", false},
               {"verdict", false},
               {"A ms"},
               {"B ms"},
               {"B/A"},
               {"interval"},
               {"sigma"},
               {"blocks"}},
              {}};
  for (const RowReport* row : WorstFirst(report)) {
    std::vector<std::string> cells{row->name, std::string(NameOf(row->decision)),
                                   Milliseconds(row->baseline_s), Milliseconds(row->candidate_s)};
    if (const auto& e = row->estimate) {
      cells.push_back(fmt::format("{:.3f}", e->ratio));
      cells.push_back(fmt::format("[{:.3f}, {:.3f}]", e->lower, e->upper));
      cells.push_back(fmt::format("{:.1f} %", 100 * e->sigma));
      cells.push_back(fmt::format("{}", e->blocks));
    }
    cells.resize(table.columns.size());
    table.rows.push_back(std::move(cells));
  }
  if (!table.rows.empty()) text += table.ToMarkdown() + "\n";
  for (const RowReport* row : WorstFirst(report)) {
    if (row->decision == Decision::kPass) continue;
    text += row->sentence + "\n\n";
    const auto moved = Moved(*row, kMostMoved);
    if (row->decision == Decision::kFail && !moved.empty()) {
      text += MovedTable(moved).ToMarkdown() + "\n";
    }
  }
  for (const std::string& warning : report.warnings) text += "Warning: " + warning + "\n\n";
  return text;
}

std::string ToAnnotations(const GateReport& report) {
  std::vector<std::pair<std::string, std::string>> errors, warnings;
  for (const RowReport& row : report.rows) {
    if (row.decision == Decision::kPass) continue;
    auto& list = row.decision == Decision::kInconclusive ? warnings : errors;
    list.emplace_back(row.name, row.sentence);
  }
  if (HeadlineSaysMore(report)) {
    (report.decision == Decision::kInconclusive ? warnings : errors)
        .emplace_back(NameOf(report.decision), report.headline);
  }
  for (const std::string& warning : report.warnings) warnings.emplace_back("warning", warning);
  return Commands("error", errors) + Commands("warning", warnings);
}

std::string ToJUnit(const GateReport& report) {
  std::vector<RowReport> cases = report.rows;
  if (cases.empty() || HeadlineSaysMore(report)) {
    cases.push_back({.name = "gate",
                     .decision = report.decision,
                     .sentence = report.headline,
                     .estimate = {},
                     .confirmation = {},
                     .baseline_s = {},
                     .candidate_s = {},
                     .quantities = {}});
  }
  const auto count = [&](Decision decision) {
    return std::ranges::count(cases, decision, &RowReport::decision);
  };
  std::string text = fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n<testsuite name=\"flopledger "
      "gate\" "
      "tests=\"{}\" failures=\"{}\" skipped=\"{}\" errors=\"{}\">\n",
      cases.size(), count(Decision::kFail), count(Decision::kInconclusive),
      count(Decision::kNotComparable));
  for (const RowReport& row : cases) {
    text += fmt::format("<testcase classname=\"gate\" name=\"{}\"", XmlText(row.name));
    if (row.decision == Decision::kPass) {
      text += fmt::format("><system-out>{}</system-out></testcase>\n", XmlText(row.sentence));
      continue;
    }
    const char* element = row.decision == Decision::kFail           ? "failure"
                          : row.decision == Decision::kInconclusive ? "skipped"
                                                                    : "error";
    text += fmt::format("><{} message=\"{}\"/></testcase>\n", element, XmlText(row.sentence));
  }
  return text + "</testsuite>\n</testsuites>\n";
}

json ToBencher(const GateReport& report) {
  json metrics = json::object();
  for (const RowReport& row : report.rows) {
    json& measures = metrics[row.name] = json::object();
    if (row.candidate_s) measures["latency"] = {{"value", *row.candidate_s * 1e9}};
    if (const auto& e = row.estimate) {
      measures["ratio"] = {
          {"value", e->ratio}, {"lower_value", e->lower}, {"upper_value", e->upper}};
    }
    if (measures.empty()) metrics.erase(row.name);
  }
  return metrics;
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
                    {"verdict", NameOf(row.decision)},
                    {"sentence", row.sentence},
                    {"estimate", OrNull(row.estimate)},
                    {"confirmation", OrNull(row.confirmation)},
                    {"baseline_s", OrNull(row.baseline_s)},
                    {"candidate_s", OrNull(row.candidate_s)},
                    {"quantities", std::move(quantities)}});
  }
  return {{"schema", 1},
          {"verdict", NameOf(report.decision)},
          {"headline", report.headline},
          {"settings", report.settings},
          {"rows", std::move(rows)},
          {"warnings", report.warnings},
          {"profiles", report.profiles},
          {"slots", report.slots}};
}

}  // namespace flopledger
