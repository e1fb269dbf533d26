// Reads back the ledger's CSV, for tests of what was written.
#pragma once

#include <fmt/format.h>

#include <charconv>
#include <string>
#include <string_view>
#include <vector>

#include "analysis/ledger/record.h"
#include "analysis/text/csv.h"
#include "model/input_error.h"

namespace flopledger {

template <class T>
inline constexpr bool kIsOptional = false;
template <class T>
inline constexpr bool kIsOptional<std::optional<T>> = true;

/// Reads `text` into `field`; false where it is no such value.
template <class T>
bool FromText(const std::string& text, T& field) {
  if constexpr (kIsOptional<T>) {
    field.reset();
    return text.empty() || FromText(text, field.emplace());
  } else if constexpr (std::is_same_v<T, std::string>) {
    field = text;
    return true;
  } else {
    const char* end = text.data() + text.size();
    const auto result = std::from_chars(text.data(), end, field);
    return result.ec == std::errc() && result.ptr == end;
  }
}

inline std::vector<std::string> CsvHeading() {
  std::vector<std::string> names;
  const Record record;
  ForEachField(record, [&](const char* name, const auto&) { names.emplace_back(name); });
  return names;
}

/// Reads what ToCsv writes. Throws InputError naming `where`, the line and the column.
inline std::vector<Record> RecordsFromCsv(std::string_view text, const std::string& where) {
  const auto lines = ParseCsv(text, where);
  if (lines.empty() || lines.front() != CsvHeading()) {
    throw InputError(fmt::format("{}: line 1 is not the heading of a ledger", where));
  }
  std::vector<Record> rows;
  for (std::size_t i = 1; i < lines.size(); ++i) {
    Record record;
    auto field_text = lines[i].begin();
    ForEachField(record, [&](const char* name, auto& field) {
      if (!FromText(*field_text, field)) {
        throw InputError(fmt::format("{}: line {}: '{}' is no value of column {}", where, i + 1,
                                     *field_text, name));
      }
      ++field_text;
    });
    rows.push_back(std::move(record));
  }
  return rows;
}

}  // namespace flopledger
