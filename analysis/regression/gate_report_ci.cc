// The forms of a gate's verdict that services of CI read.
#include <fmt/format.h>

#include <algorithm>

#include "analysis/regression/escaped_name.h"
#include "analysis/regression/gate_report.h"

namespace flopledger {
namespace {

using nlohmann::json;

/// Whether this row stops a merge.
bool IsError(const RowReport& row, const GateReport& report) {
  return row.decision == Decision::kFail || row.decision == Decision::kNotComparable ||
         (row.decision == Decision::kMissing && !report.allow_missing);
}

/// Text of a workflow command; in its properties ':' and ',' end a value.
std::string CommandText(std::string_view text, bool is_property) {
  std::string escaped;
  for (const char c : EscapedName(text)) {
    const bool special = c == '%' || (is_property && (c == ':' || c == ','));
    escaped += special ? fmt::format("%{:02X}", static_cast<unsigned char>(c)) : std::string(1, c);
  }
  return escaped;
}

/// Whether the verdict is that of no row: nothing was timed, or a binary failed in between.
bool HeadlineSaysMore(const GateReport& report) {
  const bool of_a_row = std::ranges::any_of(report.rows, [&](const RowReport& row) {
    const bool missing = row.decision == Decision::kMissing && IsError(row, report);
    return row.decision == report.decision ||
           (missing && report.decision == Decision::kNotComparable);
  });
  return report.decision != Decision::kPass && !of_a_row;
}

/// Control characters are written out, for XML 1.0 has none.
std::string XmlText(std::string_view text) {
  std::string escaped;
  for (const char c : EscapedName(text)) {
    switch (c) {
      case '&': escaped += "&amp;"; break;
      case '<': escaped += "&lt;"; break;
      case '>': escaped += "&gt;"; break;
      case '"': escaped += "&quot;"; break;
      default: escaped += c;
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

std::string ToAnnotations(const GateReport& report) {
  std::vector<std::pair<std::string, std::string>> errors, warnings;
  for (const RowReport& row : report.rows) {
    if (!IsError(row, report) && row.decision != Decision::kInconclusive) continue;
    auto& list = IsError(row, report) ? errors : warnings;
    list.emplace_back(LabelOf(row), row.sentence);
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
    RowReport& whole = cases.emplace_back();
    whole.name = "gate";
    whole.decision = report.decision;
    whole.sentence = report.headline;
  }
  int failures = 0, skipped = 0, errors = 0;
  std::string tests;
  for (const RowReport& row : cases) {
    tests += fmt::format("<testcase classname=\"gate\" name=\"{}\"", XmlText(LabelOf(row)));
    if (row.decision == Decision::kPass) {
      tests += fmt::format("><system-out>{}</system-out></testcase>\n", XmlText(row.sentence));
      continue;
    }
    const bool failed = row.decision == Decision::kFail, error = IsError(row, report);
    ++(failed ? failures : error ? errors : skipped);
    tests += fmt::format("><{} message=\"{}\"/></testcase>\n",
                         failed  ? "failure"
                         : error ? "error"
                                 : "skipped",
                         XmlText(row.sentence));
  }
  return fmt::format(
             "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n<testsuite "
             "name=\"flopledger gate\" tests=\"{}\" failures=\"{}\" skipped=\"{}\" "
             "errors=\"{}\">\n",
             cases.size(), failures, skipped, errors) +
         tests + "</testsuite>\n</testsuites>\n";
}

json ToBencher(const GateReport& report) {
  json metrics = json::object();
  for (const RowReport& row : report.rows) {
    json& measures = metrics[LabelOf(row)] = json::object();
    if (row.candidate && row.metric.name == "real_time") {
      measures["latency"] = {{"value", *row.candidate * 1e9}};
    } else if (row.candidate) {
      measures[row.metric.name] = {{"value", *row.candidate}};
    }
    if (const auto& e = row.estimate) {
      measures["ratio"] = {
          {"value", e->ratio}, {"lower_value", e->lower}, {"upper_value", e->upper}};
    }
    if (measures.empty()) metrics.erase(LabelOf(row));
  }
  return metrics;
}

}  // namespace flopledger
