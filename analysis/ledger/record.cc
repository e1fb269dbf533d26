#include "analysis/ledger/record.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "analysis/text/csv.h"
#include "model/input_error.h"

namespace flopledger {
namespace {

using nlohmann::json;

template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};

template <class T>
std::string ToText(const T& field) {
  if constexpr (IsOptional<T>::value) {
    return field ? ToText(*field) : "";
  } else if constexpr (std::is_floating_point_v<T>) {
    // The shortest text that reads back as the same number; what is none is absent.
    return std::isfinite(field) ? fmt::format("{}", field) : "";
  } else {
    return fmt::format("{}", field);
  }
}

/// Reads `text` into `field`; false where it is no such value.
template <class T>
bool FromText(const std::string& text, T& field) {
  if constexpr (IsOptional<T>::value) {
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

template <class T>
json ToJsonValue(const T& field) {
  if constexpr (IsOptional<T>::value) {
    return field ? json(*field) : json(nullptr);
  } else {
    return field;
  }
}

template <class T>
void FromJsonValue(const json& value, T& field) {
  if constexpr (IsOptional<T>::value) {
    field.reset();
    if (!value.is_null()) FromJsonValue(value, field.emplace());
  } else if constexpr (std::is_same_v<T, int64_t>) {
    const bool fits = value.is_number_integer() &&
                      (!value.is_number_unsigned() || value.get<uint64_t>() <= INT64_MAX);
    if (!fits) throw InputError("must be a 64-bit integer, found " + value.dump());
    field = value.get<int64_t>();
  } else {
    field = value.get<T>();
  }
}

std::vector<std::string> Heading() {
  std::vector<std::string> names;
  const Record record;
  ForEachField(record, [&](const char* name, const auto&) { names.emplace_back(name); });
  return names;
}

json ToJson(const Record& record) {
  json row = json::object();
  const auto write = [&](const char* name, const auto& field) { row[name] = ToJsonValue(field); };
  ForEachField(record, write);
  ForEachJsonField(record, write);
  return row;
}

Record RecordFromJson(const json& row, const std::string& where) {
  Record record;
  const auto read = [&](const char* name, auto& field) {
    try {
      FromJsonValue(row.at(name), field);
    } catch (const std::exception& error) {  // json::exception, or InputError from above
      throw InputError(fmt::format("{}: field '{}': {}", where, name, error.what()));
    }
  };
  ForEachField(record, read);
  ForEachJsonField(record, read);
  return record;
}

void CheckSchema(int64_t schema, const std::string& where) {
  if (schema != kSchema) {
    throw InputError(fmt::format("{}: schema {} is not known; this program reads schema {}", where,
                                 schema, kSchema));
  }
}

}  // namespace

std::string ToCsv(const std::vector<Record>& rows) {
  std::string text = CsvLine(Heading());
  for (const Record& record : rows) {
    std::vector<std::string> fields;
    ForEachField(record, [&](const char*, const auto& field) { fields.push_back(ToText(field)); });
    text += CsvLine(fields);
  }
  return text;
}

std::vector<Record> RecordsFromCsv(std::string_view text, const std::string& where) {
  const auto lines = ParseCsv(text, where);
  if (lines.empty() || lines.front() != Heading()) {
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
    CheckSchema(record.schema, fmt::format("{}: line {}", where, i + 1));
    rows.push_back(std::move(record));
  }
  return rows;
}

std::vector<std::string> Distinct(const std::vector<Record>& rows, std::string Record::*field) {
  std::vector<std::string> values;
  for (const Record& row : rows) {
    if (std::ranges::find(values, row.*field) == values.end()) values.push_back(row.*field);
  }
  return values;
}

json ToJson(const Ledger& ledger) {
  json rows = json::array();
  for (const Record& record : ledger.rows) rows.push_back(ToJson(record));
  return {{"schema", kSchema}, {"environment", ledger.environment}, {"rows", std::move(rows)}};
}

Ledger LedgerFromJson(const json& json, const std::string& where) {
  if (!json.is_object() || !json.contains("rows") || !json["rows"].is_array() ||
      !json.contains("schema") || !json["schema"].is_number_integer()) {
    throw InputError(fmt::format("{}: not a ledger: 'schema' or 'rows' is missing", where));
  }
  CheckSchema(json["schema"].get<int64_t>(), where);
  Ledger ledger;
  ledger.environment = json.value("environment", nlohmann::json::object());
  for (std::size_t i = 0; i < json["rows"].size(); ++i) {
    ledger.rows.push_back(RecordFromJson(json["rows"][i], fmt::format("{}: row {}", where, i)));
  }
  return ledger;
}

}  // namespace flopledger
