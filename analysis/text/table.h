// A small table of text, and its forms: aligned columns, CSV, Markdown.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace flopledger {

enum class Format { kTable, kCsv, kJson, kMarkdown };

/// "table", "csv", "json" or "md". Throws InputError, with a suggestion, for another name.
Format ParseFormat(std::string_view name);

struct Column {
  std::string title;
  bool is_number = true;  // numbers stand to the right
};

struct Table {
  std::vector<Column> columns;
  std::vector<std::vector<std::string>> rows;  // each as long as columns

  std::string ToText() const;
  std::string ToCsv() const;
  std::string ToMarkdown() const;
};

/// 1557611200 as "1,557,611,200".
std::string Grouped(int64_t value);

/// A size in bytes as "6.23 GB (5.80 GiB)".
std::string HumanBytes(int64_t bytes);

}  // namespace flopledger
