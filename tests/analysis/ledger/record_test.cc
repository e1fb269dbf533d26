// Ledgers in and out, and the text forms below them.
#include "analysis/ledger/record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "analysis/report/side_by_side.h"
#include "analysis/text/csv.h"
#include "analysis/text/table.h"
#include "model/input_error.h"
#include "tests/support/ledger_csv.h"
#include "tests/support/refusal.h"

namespace flopledger {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Record FullRecord() {
  Record record;
  record.run_id = "run, with a \"quoted\" name\nand a line";
  record.model = "gpt2";
  record.context = 1024;
  record.op = "ffn_up";
  record.kind = "matmul";
  record.m = 1;
  record.n = std::numeric_limits<int64_t>::max();
  record.count = 0;
  record.convention = "matmul";
  record.predicted_flops = 0;  // a count of 0 is not an absent one
  record.measured_flops = 42;
  record.flops_source = "counted";
  record.flops_ratio = 1.0 / 3;
  record.time_s = 1e-300;
  record.pct_peak = 0.1 + 0.2;
  return record;
}

TEST(Record, CsvLosesNothingThatItHasAColumnFor) {
  const std::vector<Record> rows{FullRecord(), Record{}};
  EXPECT_EQ(RecordsFromCsv(ToCsv(rows), "x"), rows);
}

TEST(Record, AbsentIsEmptyAndZeroIsZero) {
  const auto lines = ParseCsv(ToCsv({FullRecord()}), "x");
  std::map<std::string, std::string> field;
  for (std::size_t c = 0; c < lines[0].size(); ++c) field[lines[0][c]] = lines[1][c];
  EXPECT_EQ(field["predicted_flops"], "0");
  EXPECT_EQ(field["executed_flops"], "");
  EXPECT_EQ(field["k"], "");
  EXPECT_EQ(field["n"], "9223372036854775807");
}

TEST(Record, NumbersThatAreNoneAreWrittenAsAbsent) {
  Record record;
  record.gflops = std::numeric_limits<double>::quiet_NaN();
  record.intensity = std::numeric_limits<double>::infinity();
  const Record back = RecordsFromCsv(ToCsv({record}), "x").front();
  EXPECT_FALSE(back.gflops.has_value());
  EXPECT_FALSE(back.intensity.has_value());
  Ledger ledger;
  ledger.rows = {record};
  const Ledger from_json = LedgerFromJson(nlohmann::json::parse(ToJson(ledger).dump()), "x");
  EXPECT_FALSE(from_json.rows.front().gflops.has_value());
}

TEST(Record, JsonLosesNothing) {
  Ledger ledger;
  ledger.environment.machine.cpu = "a \"name\"";
  ledger.rows = {FullRecord(), Record{}};
  ledger.rows[0].samples_s = {0.1, 0.2};
  ledger.rows[0].peak_samples_gflops = {230.5, 229};
  ledger.rows[0].flops_note = "why";
  ledger.rows[0].executions_per_count = 48;
  EXPECT_EQ(LedgerFromJson(nlohmann::json::parse(ToJson(ledger).dump()), "x"), ledger);
}

TEST(Record, RefusesWhatIsNoLedger) {
  const std::string good = ToCsv({FullRecord()});
  const std::string heading = good.substr(0, good.find('\n') + 1);
  EXPECT_THAT(Refusal([] { RecordsFromCsv("", "x.csv"); }), HasSubstr("x.csv"));
  EXPECT_THAT(Refusal([] { RecordsFromCsv("a,b\n1,2\n", "x.csv"); }), HasSubstr("x.csv"));
  EXPECT_THAT(Refusal([&] { RecordsFromCsv(heading + "1,2,3\n", "x.csv"); }), HasSubstr("line"));
  const auto with_context = [&](const std::string& context) {
    Record record;
    record.context = 777;
    std::string text = ToCsv({record});
    return text.replace(text.find("777"), 3, context);
  };
  EXPECT_EQ(RecordsFromCsv(with_context("7"), "x").front().context, 7);
  for (const char* bad : {"seven", "7x", "", "99999999999999999999", "1.5"}) {
    EXPECT_THAT(Refusal([&] { RecordsFromCsv(with_context(bad), "x.csv"); }), HasSubstr("context"));
  }
  EXPECT_THAT(Refusal([] { LedgerFromJson(nlohmann::json::array(), "x.json"); }),
              HasSubstr("x.json"));
  nlohmann::json ledger = ToJson(Ledger{.environment = {}, .rows = {FullRecord()}});
  ledger["rows"][0]["n"] = uint64_t{1} << 63;
  EXPECT_THAT(Refusal([&] { LedgerFromJson(ledger, "x.json"); }), HasSubstr("64-bit"));
  ledger["rows"][0]["n"] = 1;
  ledger["rows"][0]["time_s"] = "fast";
  EXPECT_THAT(Refusal([&] { LedgerFromJson(ledger, "x.json"); }), HasSubstr("time_s"));
}

TEST(Record, SchemaOneIsReadWithTheMeaningOfTwo) {
  Record record = FullRecord();
  record.pct_peak = 40;  // of the FLOPs under the convention
  record.executed_flops = 3'000'000'000;
  record.time_s = 0.5;
  record.peak_gflops = 10;
  nlohmann::json old = ToJson(Ledger{.environment = {}, .rows = {record}});
  old["schema"] = old["rows"][0]["schema"] = 1;
  old["rows"][0]["count_stands_for"] = 12;
  for (const char* name : {"dtype", "ranks", "mfu_pct", "disturbed", "executions_per_count"}) {
    old["rows"][0].erase(name);
  }
  const Record read = LedgerFromJson(old, "x.json").rows.front();
  EXPECT_EQ(read.schema, kSchema);
  EXPECT_EQ(read.dtype, "f32");
  EXPECT_EQ(read.ranks, 1);
  EXPECT_EQ(read.mfu_pct, 40);
  EXPECT_DOUBLE_EQ(*read.pct_peak, 60);  // 3 GFLOP in 0.5 s of 10 GFLOP/s
  EXPECT_EQ(read.executions_per_count, 12);
  old["rows"][0].erase("threads");
  EXPECT_THAT(Refusal([&] { LedgerFromJson(old, "x.json"); }), HasSubstr("threads"));
  old["schema"] = 3;
  EXPECT_THAT(Refusal([&] { LedgerFromJson(old, "x.json"); }), HasSubstr("schema 3"));
}

TEST(Csv, QuotesByTheBook) {
  const std::vector<std::string> fields{"plain", "a,b", "say \"so\"", "two\nlines", "", " spaced "};
  const auto back = ParseCsv(CsvLine(fields) + CsvLine(fields), "x");
  EXPECT_THAT(back, ElementsAre(fields, fields));
  EXPECT_THAT(ParseCsv("a,b\r\n1,2", "x"),
              ElementsAre(ElementsAre("a", "b"), ElementsAre("1", "2")));
  EXPECT_THROW(ParseCsv("a,b\n1\n", "x"), InputError);
  EXPECT_THROW(ParseCsv("a,\"b\n", "x"), InputError);
}

TEST(Table, AlignsGroupsAndEscapes) {
  const Table table{{{"name", false}, {"count"}}, {{"a|b", "1,000"}, {"c", "7"}}};
  EXPECT_EQ(table.ToText(), "name  count\n----  -----\na|b   1,000\nc         7\n");
  EXPECT_THAT(table.ToMarkdown(), HasSubstr("a\\|b"));
  EXPECT_EQ(Grouped(1557611200), "1,557,611,200");
  EXPECT_EQ(Grouped(-1234), "-1,234");
  EXPECT_EQ(Grouped(0), "0");
  EXPECT_EQ(HumanBytes(6230444800), "6.23 GB (5.80 GiB)");
  EXPECT_THROW(ParseFormat("xml"), InputError);
}

TEST(SideBySide, HasALineForEachOpAndAColumnForEachBackend) {
  const auto row = [](const char* matmul, const char* op, std::optional<double> seconds) {
    Record record;
    record.matmul = matmul;
    record.op = op;
    record.time_s = seconds;
    if (op != std::string("total")) record.n = 50'257;
    return record;
  };
  const Table table = SideBySide(
      {row("packed", "ffn_up", 0.25), row("packed", "total", 0.5), row("blis", "ffn_up", {}),
       row("blis", "lm_head", 0.0625), row("blis", "total", 2.0)},
      "ms", &Record::time_s, 1e3, 1);
  std::vector<std::string> titles;
  for (const Column& column : table.columns) titles.push_back(column.title);
  EXPECT_THAT(titles, ElementsAre("ms", "m", "n", "k", "packed", "blis"));
  EXPECT_THAT(table.rows, ElementsAre(ElementsAre("ffn_up", "", "50,257", "", "250.0", ""),
                                      ElementsAre("total", "", "", "", "500.0", "2000.0"),
                                      ElementsAre("lm_head", "", "50,257", "", "", "62.5")));
}

}  // namespace
}  // namespace flopledger
