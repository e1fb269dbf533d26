#include "analysis/ledger/record.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "analysis/ledger/json_reader.h"
#include "analysis/text/csv.h"
#include "analysis/text/stats.h"
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

/// What schema 1 lacked.
constexpr std::string_view kSince2[] = {"dtype", "ranks", "mfu_pct", "disturbed"};

/// Gives a row of schema 1 the meaning of schema 2.
void Upgrade(Record& record) {
  record.schema = kSchema;
  record.mfu_pct = std::exchange(record.pct_peak, std::nullopt);
  const bool known = record.executed_flops && record.peak_gflops && record.time_s;
  if (known && record.kind != "extrapolated" && *record.time_s > 0 && *record.peak_gflops > 0) {
    record.pct_peak = 100 * static_cast<double>(*record.executed_flops) / *record.time_s /
                      (*record.peak_gflops * 1e9);
  }
}

Record RecordFromJson(const json& row, int64_t schema, const std::string& where) {
  Record record;
  const auto read = [&](const char* name, auto& field) {
    try {
      FromJsonValue(row.at(name), field);
    } catch (const std::exception& error) {  // json::exception, or InputError from above
      throw InputError(fmt::format("{}: field '{}': {}", where, name, error.what()));
    }
  };
  ForEachField(record, [&](const char* name, auto& field) {
    const bool is_new = std::ranges::find(kSince2, name) != std::end(kSince2);
    if (schema == kSchema || !is_new) read(name, field);
  });
  ForEachJsonField(record, [&](const char* name, auto& field) {
    if (row.contains(name)) read(name, field);  // older builds knew fewer
  });
  constexpr const char* kOldName = "count_stands_for";
  if (row.contains(kOldName)) read(kOldName, record.executions_per_count);
  if (schema != kSchema) Upgrade(record);
  return record;
}

/// One operation of all tokens; how it ran is as in the row `like` of the same run.
Record DecodeRow(const DecodeFigures& decode, const DecodedOp& op, const Record& like) {
  Record row;
  row.run_id = like.run_id;
  row.model = like.model;
  row.dtype = like.dtype;
  row.context = decode.prompt;
  row.batch = decode.batch;
  row.layers_run = decode.layers_run;
  row.layers_total = decode.layers_total;
  row.ranks = like.ranks;
  row.threads = like.threads;
  row.matmul = like.matmul;
  row.attention = like.attention;
  row.op = "decode_" + op.op;
  row.kind = "decode";
  row.count = decode.tokens;
  row.convention = like.convention;
  row.predicted_flops = op.flops;
  row.time_s = Median(op.seconds);
  row.time_mad_s = MedianAbsoluteDeviation(op.seconds);
  row.repetitions = static_cast<int64_t>(op.seconds.size());
  row.gflops = static_cast<double>(op.flops) / *row.time_s / 1e9;
  row.bytes = op.bytes;
  row.intensity = static_cast<double>(op.flops) / static_cast<double>(op.bytes);
  return row;
}

void CheckSchema(int64_t schema, const std::string& where) {
  if (schema < 1 || schema > kSchema) {
    throw InputError(fmt::format("{}: schema {} is not known; this program reads schemas 1 to {}",
                                 where, schema, kSchema));
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

std::string ToCsv(const Ledger& ledger) {
  std::vector<Record> rows = ledger.rows;
  if (const auto& decode = ledger.environment.decode; decode && !rows.empty()) {
    const Record like = rows.front();
    for (const DecodedOp& op : decode->ops) rows.push_back(DecodeRow(*decode, op, like));
    rows.push_back(DecodeRow(*decode, decode->total, like));
  }
  return ToCsv(rows);
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
  return {
      {"schema", kSchema}, {"environment", ToJson(ledger.environment)}, {"rows", std::move(rows)}};
}

Ledger LedgerFromJson(const json& json, const std::string& where) {
  if (!json.is_object() || !json.contains("rows") || !json["rows"].is_array() ||
      !json.contains("schema") || !json["schema"].is_number_integer()) {
    throw InputError(fmt::format("{}: not a ledger: 'schema' or 'rows' is missing", where));
  }
  const auto schema = json["schema"].get<int64_t>();
  CheckSchema(schema, where);
  Ledger ledger;
  if (json.contains("environment")) {
    ledger.environment = EnvironmentFromJson({json["environment"], where + ": environment"});
  }
  for (std::size_t i = 0; i < json["rows"].size(); ++i) {
    ledger.rows.push_back(
        RecordFromJson(json["rows"][i], schema, fmt::format("{}: row {}", where, i)));
  }
  return ledger;
}

}  // namespace flopledger
