// Tables of the page, as HTML.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace flopledger {

constexpr char kUnavailable[] = "<span class=\"na\">unavailable</span>";

struct HtmlColumn {
  std::string title;
  std::string unit;  // on a line of its own
  bool is_number = true;
};

struct HtmlCell {
  std::string html;                  // escaped
  std::optional<double> value = {};  // what a number is sorted by; absent sorts last
  std::string why = {};              // of an empty cell: why its figure is unavailable
};

struct HtmlRow {
  std::string colour;  // of the operation's mark; empty: none
  std::vector<HtmlCell> cells;
};

struct HtmlTable {
  std::string caption;
  std::vector<HtmlColumn> columns;
  std::vector<HtmlRow> rows, foot;
};

/// Everything in it is escaped but the cells, which are HTML.
std::string DrawTable(const HtmlTable& table);

HtmlCell TextCell(const std::string& text);
HtmlCell NumberCell(const std::optional<int64_t>& value);
HtmlCell NumberCell(const std::optional<double>& value, int digits, double scale = 1);

/// A figure as people read it, the exact one on hover; both are escaped here.
std::string Exactly(const std::string& exact, const std::string& human);
/// Seconds in the unit that fits.
std::string ShownSeconds(double seconds);
HtmlCell SecondsCell(const std::optional<double>& seconds);

/// FLOP/s in the unit that fits.
HtmlCell RateCell(const std::optional<double>& flops_per_s);

/// Seconds on a bar of their share of `longest`.
HtmlCell BarCell(const std::optional<double>& seconds, double longest, const std::string& colour);

/// `cell`, or "unavailable" where it is empty.
HtmlCell OrUnavailable(HtmlCell cell);

/// A number with its unit that fits, the exact one on hover.
HtmlCell ScaledCell(const std::optional<int64_t>& value, const std::string& unit);

/// Takes out each column that is blank or unavailable throughout, marks the other cells that are
/// unavailable, and returns the sentences that say why, as HTML below the table.
std::string TellUnavailable(HtmlTable& table);

}  // namespace flopledger
