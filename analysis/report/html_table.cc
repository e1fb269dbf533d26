#include "analysis/report/html_table.h"

#include <fmt/format.h>

#include <algorithm>

#include "analysis/text/markup.h"
#include "analysis/text/numbers.h"

namespace flopledger {
namespace {

std::string Letter(std::size_t index) {
  return index < 26 ? std::string(1, static_cast<char>('a' + index)) : fmt::format("{}", index + 1);
}

std::string DrawRow(const HtmlRow& row, const std::vector<HtmlColumn>& columns) {
  std::string html = "<tr>";
  for (std::size_t c = 0; c < columns.size(); ++c) {
    const HtmlCell& cell = row.cells.at(c);
    const std::string value = cell.value ? fmt::format(" data-v=\"{:.9g}\"", *cell.value) : "";
    const std::string mark =
        row.colour.empty() ? "" : fmt::format("<i class=\"mark {}\"></i>", row.colour);
    html += c == 0 ? fmt::format("<th scope=\"row\">{}{}</th>", mark, cell.html)
                   : fmt::format("<td{}{}>{}</td>", columns[c].is_number ? " class=\"n\"" : "",
                                 value, cell.html);
  }
  return html + "</tr>\n";
}

}  // namespace

std::string DrawTable(const HtmlTable& table) {
  std::string html = fmt::format(
      "<p class=\"hint\" aria-hidden=\"true\">more columns: scroll sideways →</p>\n"
      "<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"{0}\"><table "
      "class=\"sortable\">\n<caption>{0}</caption>\n<thead><tr>",
      EscapedHtml(table.caption));
  for (const HtmlColumn& column : table.columns) {
    html += fmt::format(
        "<th scope=\"col\"{}>{}{}</th>", column.is_number ? " class=\"n\"" : "",
        EscapedHtml(column.title),
        column.unit.empty() ? "" : fmt::format("<small>{}</small>", EscapedHtml(column.unit)));
  }
  html += "</tr></thead>\n<tbody>\n";
  for (const HtmlRow& row : table.rows) html += DrawRow(row, table.columns);
  html += "</tbody>\n";
  if (!table.foot.empty()) {
    html += "<tfoot>\n";
    for (const HtmlRow& row : table.foot) html += DrawRow(row, table.columns);
    html += "</tfoot>\n";
  }
  return html + "</table></div>\n";
}

HtmlCell TextCell(const std::string& text) { return {EscapedHtml(text)}; }
HtmlCell NumberCell(const std::optional<int64_t>& value) {
  if (!value) return {};
  return {Grouped(*value), static_cast<double>(*value)};
}
HtmlCell NumberCell(const std::optional<double>& value, int digits, double scale) {
  if (!value) return {};
  return {fmt::format("{:.{}f}", *value * scale, digits), *value};
}

std::string Exactly(const std::string& exact, const std::string& human) {
  return fmt::format("<span title=\"{}\">{}</span>", EscapedHtml(exact), EscapedHtml(human));
}

std::string ShownSeconds(double seconds) {
  return Exactly(fmt::format("{:.9g} s", seconds), HumanSeconds(seconds));
}

HtmlCell SecondsCell(const std::optional<double>& seconds) {
  if (!seconds) return {};
  return {ShownSeconds(*seconds), seconds};
}

HtmlCell RateCell(const std::optional<double>& flops_per_s) {
  if (!flops_per_s) return {};
  return {Exactly(fmt::format("{:.9g} GFLOP/s", *flops_per_s / 1e9),
                  HumanScaled(*flops_per_s, "FLOP/s")),
          flops_per_s};
}

HtmlCell BarCell(const std::optional<double>& seconds, double longest, const std::string& colour) {
  HtmlCell cell = SecondsCell(seconds);
  if (!seconds || longest <= 0) return cell;
  cell.html = fmt::format("<b class=\"bar {}\" style=\"width:{:.1f}%\"></b>{}", colour,
                          100 * std::clamp(*seconds / longest, 0.0, 1.0), cell.html);
  return cell;
}

HtmlCell OrUnavailable(HtmlCell cell) {
  if (cell.html.empty()) cell.html = kUnavailable;
  return cell;
}

HtmlCell ScaledCell(const std::optional<int64_t>& value, const std::string& unit) {
  if (!value) return {};
  const auto number = static_cast<double>(*value);
  return {Exactly(Grouped(*value), HumanScaled(number, unit)), number};
}

std::string TellUnavailable(HtmlTable& table) {
  std::string sentences;
  for (std::size_t c = table.columns.size(); c-- > 0;) {
    const std::string why = table.rows.empty() ? "" : table.rows.front().cells[c].why;
    const bool throughout =
        std::ranges::all_of(table.rows,
                            [&](const HtmlRow& row) {
                              return row.cells[c].html.empty() && row.cells[c].why == why;
                            }) &&
        std::ranges::all_of(table.foot,
                            [&](const HtmlRow& row) { return row.cells[c].html.empty(); });
    if (!throughout || table.rows.empty()) continue;
    if (!why.empty())
      sentences =
          fmt::format("<li>{} {} unavailable: {}</li>\n", EscapedHtml(table.columns[c].title),
                      EscapedHtml(table.columns[c].unit), EscapedHtml(why)) +
          sentences;
    const auto at = static_cast<std::ptrdiff_t>(c);
    table.columns.erase(table.columns.begin() + at);
    for (auto* rows : {&table.rows, &table.foot}) {
      for (HtmlRow& row : *rows) row.cells.erase(row.cells.begin() + at);
    }
  }
  std::vector<std::string> reasons;
  for (auto* rows : {&table.rows, &table.foot}) {
    for (HtmlRow& row : *rows) {
      for (HtmlCell& cell : row.cells) {
        if (!cell.html.empty() || cell.why.empty()) continue;
        const auto found = std::ranges::find(reasons, cell.why);
        const auto index = static_cast<std::size_t>(found - reasons.begin());
        if (found == reasons.end()) reasons.push_back(cell.why);
        cell.html =
            fmt::format("<span class=\"na\">unavailable<sup>{}</sup></span>", Letter(index));
      }
    }
  }
  for (std::size_t i = 0; i < reasons.size(); ++i) {
    sentences +=
        fmt::format("<li><sup>{}</sup> unavailable: {}</li>\n", Letter(i), EscapedHtml(reasons[i]));
  }
  return sentences.empty() ? "" : "<ul class=\"reasons\">\n" + sentences + "</ul>\n";
}

}  // namespace flopledger
