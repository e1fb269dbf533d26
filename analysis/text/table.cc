#include "analysis/text/table.h"

#include <fmt/format.h>

#include <algorithm>

#include "analysis/text/csv.h"
#include "analysis/text/markup.h"
#include "analysis/text/wrap.h"
#include "model/input_error.h"

namespace flopledger {
namespace {

std::string Padded(std::string_view text, std::size_t width, bool to_the_right) {
  const std::string blanks(width - LengthOf(text), ' ');
  return to_the_right ? blanks + std::string(text) : std::string(text) + blanks;
}

std::string MarkdownCell(std::string_view text) {
  std::string cell;
  for (const char c : text) cell += c == '|' ? "\\|" : std::string(1, c);
  return cell;
}

/// "a, b, c"
std::string Listed(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

constexpr std::size_t kGap = 2;             // between columns
constexpr std::size_t kNarrowestText = 12;  // of a column of text that breaks into lines

/// Which columns of a table are shown, and how wide.
class Layout {
 public:
  explicit Layout(const Table& table) : table_(table) {
    for (std::size_t c = 0; c < table.columns.size(); ++c) shown_.push_back(c);
    Measure();
  }

  void LeaveOutEmpty() {
    if (table_.rows.empty()) return;
    std::erase_if(shown_, [&](std::size_t c) {
      const bool empty =
          std::ranges::all_of(table_.rows, [&](auto& row) { return row[c].empty(); });
      if (empty) empty_.push_back(table_.columns[c].title);
      return empty;
    });
  }

  void Fit(std::size_t width) {
    while (Total() > width) {
      if (!titles_break_) {
        titles_break_ = true;
        Measure();
      } else if (!LeaveOutDetail() && !NarrowText()) {
        break;
      }
    }
    line_width_ = width;
  }

  std::string Draw() const {
    std::vector<std::string> titles, rules;
    for (std::size_t c = 0; c < table_.columns.size(); ++c) {
      titles.push_back(table_.columns[c].title);
      rules.emplace_back(widths_[c], '-');
    }
    std::string text = DrawRow(titles) + DrawRow(rules);
    for (const auto& row : table_.rows) text += DrawRow(row);
    if (!empty_.empty()) text += Wrapped("no figures in: " + Listed(empty_), line_width_, 2);
    if (!left_out_.empty()) {
      text += Wrapped("not shown at this width: " + Listed(left_out_) + " (--wide shows all)",
                      line_width_, 2);
    }
    return text;
  }

 private:
  void Measure() {
    widths_.clear();
    for (std::size_t c = 0; c < table_.columns.size(); ++c) {
      std::size_t width = TitleWidth(table_.columns[c].title);
      for (const auto& row : table_.rows) width = std::max(width, LengthOf(row[c]));
      widths_.push_back(width);
    }
  }

  std::size_t TitleWidth(const std::string& title) const {
    if (!titles_break_) return LengthOf(title);
    std::size_t longest = 1;
    for (std::size_t begin = 0; begin < title.size();) {  // a blank or an underscore ends a part
      const std::size_t end = std::min(title.find_first_of(" _", begin), title.size());
      const std::size_t after = end < title.size() && title[end] == '_' ? end + 1 : end;
      longest = std::max(longest, LengthOf(std::string_view(title).substr(begin, after - begin)));
      begin = end + 1;
    }
    return longest;
  }

  std::size_t Total() const {
    std::size_t total = 0;
    for (const std::size_t c : shown_) total += widths_[c] + kGap;
    return total == 0 ? 0 : total - kGap;
  }

  bool LeaveOutDetail() {
    auto most = shown_.end();
    for (auto c = shown_.begin(); c != shown_.end(); ++c) {
      const int detail = table_.columns[*c].detail;
      if (detail > 0 && (most == shown_.end() || detail >= table_.columns[*most].detail)) most = c;
    }
    if (most == shown_.end()) return false;
    left_out_.insert(left_out_.begin(), table_.columns[*most].title);
    shown_.erase(most);
    return true;
  }

  bool NarrowText() {
    std::size_t* widest = nullptr;
    for (const std::size_t c : shown_) {
      if (table_.columns[c].is_number || widths_[c] <= kNarrowestText) continue;
      if (widest == nullptr || widths_[c] > *widest) widest = &widths_[c];
    }
    if (widest == nullptr) return false;
    --*widest;
    return true;
  }

  std::string DrawRow(const std::vector<std::string>& cells) const {
    std::vector<std::vector<std::string>> lines;
    std::size_t height = 1;
    for (const std::size_t c : shown_) {
      lines.push_back(LengthOf(cells[c]) <= widths_[c] ? std::vector{cells[c]}
                                                       : WrappedLines(cells[c], widths_[c]));
      height = std::max(height, lines.back().size());
    }
    std::string text;
    for (std::size_t l = 0; l < height; ++l) {
      std::string line;
      for (std::size_t i = 0; i < shown_.size(); ++i) {
        const std::size_t c = shown_[i];
        if (i > 0) line.append(kGap, ' ');
        line +=
            Padded(l < lines[i].size() ? lines[i][l] : "", widths_[c], table_.columns[c].is_number);
      }
      text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
    }
    return text;
  }

  const Table& table_;
  std::vector<std::size_t> shown_;   // columns
  std::vector<std::size_t> widths_;  // of all columns
  std::vector<std::string> empty_, left_out_;
  std::size_t line_width_ = 0;
  bool titles_break_ = false;
};

}  // namespace

Format ParseFormat(std::string_view name) {
  static const std::vector<std::string> kNames = {"table", "csv", "json", "md"};  // as in Format
  const auto found = std::ranges::find(kNames, name);
  if (found == kNames.end()) {
    throw InputError(fmt::format("unknown format '{}'{}", name, Suggest(name, kNames)));
  }
  return static_cast<Format>(found - kNames.begin());
}

std::string Table::ToText() const { return Layout(*this).Draw(); }

std::string Table::ToText(std::size_t width) const {
  Layout layout(*this);
  layout.LeaveOutEmpty();
  layout.Fit(width);
  return layout.Draw();
}

std::string Table::ToCsv() const {
  std::vector<std::string> titles;
  for (const Column& column : columns) titles.push_back(column.title);
  std::string text = CsvLine(titles);
  for (const auto& row : rows) text += CsvLine(row);
  return text;
}

std::string Table::ToMarkdown() const {
  std::vector<Column> titles = columns;
  for (Column& column : titles) column.title = MarkdownCell(column.title);
  std::vector<std::vector<std::string>> cells = rows;
  for (auto& row : cells) std::ranges::transform(row, row.begin(), MarkdownCell);
  return MarkdownTable(titles, cells);
}

std::string MarkdownTable(const std::vector<Column>& columns,
                          const std::vector<std::vector<std::string>>& rows) {
  std::string text = "|", rule = "|";
  for (const Column& column : columns) {
    text += " " + column.title + " |";
    rule += column.is_number ? " ---: |" : " --- |";
  }
  text += "\n" + rule + "\n";
  for (const auto& row : rows) {
    text += "|";
    for (const std::string& cell : row) text += " " + cell + " |";
    text += "\n";
  }
  return text;
}

}  // namespace flopledger
