// The verdicts of `flopledger compare` on the page: a bar for each operation.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "analysis/regression/unpaired.h"
#include "analysis/regression/unpaired_report.h"
#include "analysis/report/html_page.h"
#include "analysis/report/html_table.h"
#include "analysis/text/markup.h"
#include "analysis/text/numbers.h"

namespace flopledger {
namespace {

/// The class of a verdict's colour.
const char* StyleOf(Decision decision) {
  switch (decision) {
    case Decision::kPass: return "pass";
    case Decision::kFail: return "fail";
    case Decision::kInconclusive: return "open";
    default: return "apart";
  }
}

HtmlCell VerdictCell(Decision decision) {
  return {
      fmt::format("<span class=\"decision {}\">{}</span>", StyleOf(decision), NameOf(decision))};
}

/// Ratios from 1/`furthest` to `furthest` on a logarithmic line; 1 is in its middle.
class RatioLine {
 public:
  RatioLine(const UnpairedComparison& comparison, const UnpairedRule& rule) : budget_(rule.budget) {
    for (const UnpairedRow& row : comparison.rows) {
      if (!row.estimate) continue;
      for (const double ratio : {row.estimate->lower, row.estimate->upper}) {
        if (ratio > 0) furthest_ = std::max({furthest_, ratio, 1 / ratio});
      }
    }
    furthest_ = std::min(furthest_ * 1.03, kFurthestRatio);
  }

  /// The line's ends and its middle, for the heading.
  std::string Ends() const {
    return fmt::format("{:.2f} … 1 … {:.2f}, logarithmic", 1 / furthest_, furthest_);
  }

  HtmlCell Bar(const UnpairedRow& row) const {
    if (!row.estimate) return {};
    const RatioEstimate& e = *row.estimate;
    const std::string about =
        fmt::format("{:.3f}, between {:.3f} and {:.3f}", e.ratio, e.lower, e.upper);
    return {fmt::format("<div class=\"ratio {0}\" title=\"{1}\"><u></u><s style=\"left:{2:.2f}%\">"
                        "</s><b style=\"left:{3:.2f}%;width:{4:.2f}%\"></b><i "
                        "style=\"left:{5:.2f}%\"></i></div>",
                        StyleOf(row.decision), about, At(1 + budget_), At(e.lower),
                        At(e.upper) - At(e.lower), At(e.ratio)),
            e.ratio};
  }

 private:
  static constexpr double kFurthestRatio = 8;
  double At(double ratio) const {
    return 50 + 50 * std::clamp(std::log(ratio) / std::log(furthest_), -1.0, 1.0);
  }

  const double budget_;
  double furthest_ = 1.1;
};

std::string VerdictTable(const UnpairedComparison& comparison, const UnpairedRule& rule,
                         const std::string& letter) {
  const RatioLine line(comparison, rule);
  HtmlTable table{fmt::format("Verdicts on {} against A", letter),
                  {{"operation", "", false},
                   {letter + " / A, its interval", line.Ends()},
                   {letter + " / A", "× seconds"},
                   {"verdict", "", false},
                   {"A", "time"},
                   {letter, "time"},
                   {"reason", "", false}},
                  {},
                  {}};
  for (const UnpairedRow& row : comparison.rows) {
    const bool total = row.name == "total";
    auto& rows = total ? table.foot : table.rows;
    rows.push_back(
        {total ? "" : ColourOf(row.name),
         {TextCell(Shortened(row.name, kLongestName)), line.Bar(row),
          row.estimate ? NumberCell(row.estimate->ratio, 3) : HtmlCell{}, VerdictCell(row.decision),
          SecondsCell(row.baseline), SecondsCell(row.candidate), TextCell(row.reason)}});
  }
  TellUnavailable(table);
  return DrawTable(table);
}

std::vector<std::string> LinesOf(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::string VerdictSection(const SavedRun& first, const SavedRun& other, std::size_t index) {
  const UnpairedRule rule;
  const UnpairedComparison comparison = CompareUnpaired(first, other, rule);
  const std::string letter = LetterOf(index);
  std::string html =
      OpenSection(fmt::format("verdict{}", index),
                  fmt::format("{} against A: <span class=\"decision {}\">{}</span>", letter,
                              StyleOf(comparison.decision), NameOf(comparison.decision)),
                  "verdict");
  html += "<div class=\"lead\">\n";
  for (const std::string& line : LinesOf(Conclusion(comparison, rule))) {
    if (!line.starts_with("compare: ")) html += fmt::format("<p>{}</p>\n", EscapedHtml(line));
  }
  html += "</div>\n";
  if (comparison.reasons.empty()) html += VerdictTable(comparison, rule, letter);
  return html + "</section>\n";
}

}  // namespace

std::string VerdictSections(const std::vector<ReportView>& views,
                            std::span<const NamedLedger> files) {
  if (files.size() != views.size()) return "";  // points of a sweep: not two builds of one thing
  std::string html;
  const SavedRun first = SavedFromLedger(views.front().named.ledger);
  for (std::size_t i = 1; i < views.size(); ++i) {
    html += VerdictSection(first, SavedFromLedger(views[i].named.ledger), i);
  }
  return html;
}

}  // namespace flopledger
