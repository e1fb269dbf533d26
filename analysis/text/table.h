// A small table of text, and its forms: aligned columns, CSV, Markdown.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "analysis/text/numbers.h"

namespace flopledger {

enum class Format { kTable, kCsv, kJson, kMarkdown };

/// "table", "csv", "json" or "md". Throws InputError, with a suggestion, for another name.
Format ParseFormat(std::string_view name);

struct Column {
  std::string title;
  bool is_number = true;  // numbers stand to the right
  int detail = 0;         // above 0: may be left out of a narrow table, the highest first
};

struct Table {
  std::vector<Column> columns;
  std::vector<std::vector<std::string>> rows;  // each as long as columns

  /// Every column, whatever width that takes.
  std::string ToText() const;
  /// In lines of at most `width` characters, as far as numbers allow: headings and text break into
  /// lines, then columns of detail are left out. Columns that are empty throughout are left out as
  /// well. A line below names what is not shown.
  std::string ToText(std::size_t width) const;
  std::string ToCsv() const;
  std::string ToMarkdown() const;
};

/// A table of GitHub's, of cells that are Markdown already.
std::string MarkdownTable(const std::vector<Column>& columns,
                          const std::vector<std::vector<std::string>>& rows);

}  // namespace flopledger
