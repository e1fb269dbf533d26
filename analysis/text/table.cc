#include "analysis/text/table.h"

#include <fmt/format.h>

#include <algorithm>

#include "analysis/text/csv.h"
#include "model/input_error.h"

namespace flopledger {
namespace {

/// Columns that `text` takes on a terminal: its code points (all that we print are one wide).
std::size_t Width(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char byte) { return (static_cast<unsigned char>(byte) & 0xc0) != 0x80; }));
}

std::string Padded(std::string_view text, std::size_t width, bool to_the_right) {
  const std::string blanks(width - Width(text), ' ');
  return to_the_right ? blanks + std::string(text) : std::string(text) + blanks;
}

std::string MarkdownCell(std::string_view text) {
  std::string cell;
  for (const char c : text) cell += c == '|' ? "\\|" : std::string(1, c);
  return cell;
}

}  // namespace

Format ParseFormat(std::string_view name) {
  static const std::vector<std::string> kNames = {"table", "csv", "json", "md"};  // as in Format
  const auto found = std::ranges::find(kNames, name);
  if (found == kNames.end()) {
    throw InputError(fmt::format("unknown format '{}'{}", name, Suggest(name, kNames)));
  }
  return static_cast<Format>(found - kNames.begin());
}

std::string Table::ToText() const {
  std::vector<std::size_t> widths;
  for (std::size_t c = 0; c < columns.size(); ++c) {
    std::size_t width = Width(columns[c].title);
    for (const auto& row : rows) width = std::max(width, Width(row[c]));
    widths.push_back(width);
  }
  std::string text;
  const auto add_line = [&](const auto& cell) {
    std::string line;
    for (std::size_t c = 0; c < columns.size(); ++c) {
      if (c > 0) line += "  ";
      line += Padded(cell(c), widths[c], columns[c].is_number);
    }
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  };
  add_line([&](std::size_t c) { return columns[c].title; });
  add_line([&](std::size_t c) { return std::string(widths[c], '-'); });
  for (const auto& row : rows) add_line([&](std::size_t c) { return row[c]; });
  return text;
}

std::string Table::ToCsv() const {
  std::vector<std::string> titles;
  for (const Column& column : columns) titles.push_back(column.title);
  std::string text = CsvLine(titles);
  for (const auto& row : rows) text += CsvLine(row);
  return text;
}

std::string Table::ToMarkdown() const {
  std::string text = "|", rule = "|";
  for (const Column& column : columns) {
    text += " " + MarkdownCell(column.title) + " |";
    rule += column.is_number ? " ---: |" : " --- |";
  }
  text += "\n" + rule + "\n";
  for (const auto& row : rows) {
    text += "|";
    for (const std::string& cell : row) text += " " + MarkdownCell(cell) + " |";
    text += "\n";
  }
  return text;
}

std::string Grouped(int64_t value) {
  std::string digits = fmt::format("{}", value);
  const std::size_t first = value < 0 ? 1 : 0;
  for (std::size_t i = digits.size(); i > first + 3;) {
    i -= 3;
    digits.insert(i, ",");
  }
  return digits;
}

std::string HumanBytes(int64_t bytes) {
  const auto value = static_cast<double>(bytes);
  if (bytes >= 1'000'000'000) {
    return fmt::format("{:.2f} GB ({:.2f} GiB)", value / 1e9, value / 0x1p30);
  }
  if (bytes >= 1'000'000) return fmt::format("{:.2f} MB ({:.2f} MiB)", value / 1e6, value / 0x1p20);
  return fmt::format("{} bytes", bytes);
}

}  // namespace flopledger
