// Google Benchmark's JSON of many versions, and what it writes although it is no JSON.
#include "analysis/regression/benchmark_json.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/refusal.h"

namespace flopledger {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kTwoRepetitions[] = R"({
  "context": {"num_cpus": 2, "library_build_type": "release", "date": "today"},
  "benchmarks": [
    {"name": "a \"NaN\"\\", "run_name": "a \"NaN\"\\", "run_type": "iteration", "repetitions": 2,
     "repetition_index": 0, "iterations": 10, "real_time": 2.0, "cpu_time": NaN,
     "time_unit": "ms", "predicted_flops": 8.0, "rate": -Infinity, "label": "x"},
    {"name": "a \"NaN\"\\", "run_name": "a \"NaN\"\\", "run_type": "iteration", "repetitions": 2,
     "repetition_index": 1, "iterations": 10, "real_time": 3.0, "cpu_time": 1,
     "time_unit": "ms", "predicted_flops": 8.0, "rate": 5},
    {"name": "a_mean", "run_name": "a \"NaN\"\\", "run_type": "aggregate", "real_time": 2.5,
     "iterations": 2, "time_unit": "ms"},
    {"name": "b", "run_type": "iteration", "error_occurred": true, "error_message": "wrong"}
  ]})";

BenchmarkFile Parse(const std::string& text, bool one_run = false) {
  return BenchmarkFromJson(ParseLooseJson(text, "x.json"), "x.json", one_run);
}

/// A file of these entries.
BenchmarkFile Entries(const std::string& entries, bool one_run = false) {
  return Parse(fmt::format(R"({{"context": {{}}, "benchmarks": [{}]}})", entries), one_run);
}

TEST(BenchmarkJson, TakesRepetitionsAndCountersAndBareNaN) {
  const BenchmarkFile file = Parse(kTwoRepetitions);
  ASSERT_EQ(file.rows.size(), 2);
  const BenchmarkRow& a = *file.Find("a \"NaN\"\\");
  EXPECT_THAT(a.values.at("real_time"), ElementsAre(0.002, 0.003));
  EXPECT_THAT(a.repetition_s, ElementsAre(0.02, 0.03));
  EXPECT_THAT(a.values.at("predicted_flops"), ElementsAre(8, 8));
  EXPECT_THAT(a.values.at("rate"), ElementsAre(::testing::IsNan(), 5));
  EXPECT_THAT(a.values.at("cpu_time"), ElementsAre(::testing::IsNan(), 0.001));
  EXPECT_EQ(a.values.size(), 4);
  EXPECT_FALSE(MedianOf(a, "rate").has_value());
  EXPECT_EQ(MedianOf(a, "real_time"), 0.0025);
  EXPECT_FALSE(a.duplicate_name);
  EXPECT_EQ(file.Find("b")->error, "wrong");
  EXPECT_EQ(file.Find("c"), nullptr);
}

TEST(BenchmarkJson, TellsErrorsFromSkips) {
  const BenchmarkFile file = Entries(
      R"({"name": "a", "error_occurred": true, "error_message": ""},
         {"name": "b", "skipped": true, "skip_message": "no AVX"},
         {"name": "c", "error_occurred": 1.0, "skipped": 2, "real_time": 3, "iterations": 1})");
  EXPECT_EQ(file.rows[0].error, "no message");
  EXPECT_EQ(file.rows[1].skipped, "no AVX");
  EXPECT_TRUE(file.rows[2].ran());  // counters of these names
}

TEST(BenchmarkJson, OneFailedRepetitionMarksTheRow) {
  const BenchmarkFile file = Entries(
      R"({"name": "a", "real_time": 3, "iterations": 1},
         {"name": "a", "error_occurred": true, "error_message": "wrong checksum"},
         {"name": "a", "real_time": 4, "iterations": 1})");
  EXPECT_EQ(file.rows[0].error, "wrong checksum");
  EXPECT_EQ(file.rows[0].values.at("real_time").size(), 2);
}

TEST(BenchmarkJson, EqualIndicesAreRepetitionsOfAMergedFileOrTwoBenchmarksOfOneRun) {
  const auto row = [](int family) {
    return fmt::format(R"({{"name": "a", "run_type": "iteration", "repetition_index": 0,
        "family_index": {}, "per_family_instance_index": 0, "iterations": 1, "real_time": 2}})",
                       family);
  };
  const auto entries = [&](int first, int second) { return row(first) + "," + row(second); };
  EXPECT_FALSE(Entries(entries(0, 0)).rows[0].duplicate_name);
  EXPECT_EQ(Entries(entries(0, 0)).rows[0].values.at("real_time").size(), 2);
  EXPECT_TRUE(Entries(entries(0, 1)).rows[0].duplicate_name);
  EXPECT_TRUE(Entries(entries(0, 0), /*one_run=*/true).rows[0].duplicate_name);
}

TEST(BenchmarkJson, CountersNamedLikeAStandardKeyDoNotReplaceIt) {
  const BenchmarkFile file = Entries(
      R"({"name": "a", "run_type": "iteration", "threads": 1, "iterations": 10, "real_time": 5,
          "time_unit": "us", "threads": 4.0, "iterations": 7.0, "real_time": 1, "name": 2})");
  EXPECT_THAT(file.rows[0].values.at("real_time"), ElementsAre(::testing::DoubleEq(5e-6)));
  EXPECT_THAT(file.rows[0].repetition_s, ElementsAre(::testing::DoubleEq(5e-5)));
  EXPECT_FALSE(file.rows[0].has_threads);
}

TEST(BenchmarkJson, AggregatesAloneGiveTheirMedianSpreadAndCount) {
  const BenchmarkFile file = Entries(
      R"({"name": "a_mean", "run_name": "a", "run_type": "aggregate", "aggregate_name": "mean",
          "repetitions": 7, "real_time": 3, "time_unit": "ms", "hits": 5},
         {"name": "a_median", "run_name": "a", "run_type": "aggregate",
          "aggregate_name": "median", "repetitions": 7, "real_time": 2, "time_unit": "ms"},
         {"name": "a_stddev", "run_name": "a", "run_type": "aggregate",
          "aggregate_name": "stddev", "repetitions": 7, "real_time": 0.5, "time_unit": "ms"},
         {"name": "b_mean", "run_name": "b_mean", "run_type": "aggregate",
          "aggregate_name": "mean", "real_time": 3, "time_unit": "ms", "threads": 2},
         {"name": "c_max", "run_name": "c", "run_type": "aggregate", "aggregate_name": "max",
          "real_time": 3},
         {"name": "d_BigO", "run_name": "d", "run_type": "aggregate", "aggregate_name": "BigO",
          "cpu_coefficient": 3, "real_coefficient": 3, "big_o": "N"},
         {"name": "d_RMS", "run_name": "d", "run_type": "aggregate", "aggregate_name": "RMS",
          "rms": 0.1})");
  ASSERT_EQ(file.rows.size(), 3);
  EXPECT_EQ(file.rows[0].name, "a");
  EXPECT_THAT(file.rows[0].values.at("real_time"), ElementsAre(0.002));
  EXPECT_EQ(file.rows[0].deviations.at("real_time"), 0.0005);
  EXPECT_EQ(file.rows[0].repetitions, 7);
  EXPECT_EQ(file.rows[1].name, "b");
  EXPECT_TRUE(file.rows[1].has_threads);
  EXPECT_THAT(file.rows[2].unreadable, HasSubstr("neither a median nor a mean"));
}

TEST(BenchmarkJson, AggregatesFromBeforeRunTypeAreToldByTheirNames) {
  const auto entry = [](const char* name) {
    return fmt::format(R"({{"name": "{}", "iterations": 1, "real_time": 2}})", name);
  };
  std::string entries;
  for (const char* name : {"a", "a", "a_mean", "a_stddev", "only_mean", "only_stddev", "geo_mean",
                           "one", "one_mean", "one_stddev"}) {
    entries += (entries.empty() ? "" : ",") + entry(name);
  }
  entries += R"(, {"name": "a_BigO", "big_o": "N"}, {"name": "a_RMS", "rms": 1},
                {"name": "b", "real_time": 1, "iterations": 1, "rms": 3})";
  std::vector<std::string> names;
  for (const BenchmarkRow& row : Entries(entries).rows) names.push_back(row.name);
  // One repetition has no aggregates, so one_mean is a benchmark of its own.
  EXPECT_THAT(names, ElementsAre("a", "only", "geo_mean", "one", "one_mean", "one_stddev", "b"));
}

TEST(BenchmarkJson, ABadValueSpoilsItsRowAndNotTheFile) {
  const BenchmarkFile file = Entries(
      R"({"name": "a", "iterations": 1, "time_unit": "h", "real_time": 1},
         {"name": "b", "iterations": "many", "real_time": "x"},
         {"name": "c", "iterations": 1},
         7, {"real_time": 1},
         {"name": "d", "iterations": 1, "real_time": 1, "time_unit": "s"})");
  EXPECT_EQ(file.rows[0].unreadable, "time_unit 'h' is not known");
  EXPECT_FALSE(MedianOf(*file.Find("b"), "real_time").has_value());
  EXPECT_FALSE(MedianOf(*file.Find("c"), "real_time").has_value());
  EXPECT_THAT(file.rows[3].unreadable, HasSubstr("no name"));
  EXPECT_EQ(MedianOf(*file.Find("d"), "real_time"), 1);
}

TEST(BenchmarkJson, ThreadsAreReadFromTheFieldOrTheName) {
  const BenchmarkFile file = Entries(
      R"({"name": "a/threads:2", "real_time": 1}, {"name": "b/threads:1", "real_time": 1},
         {"name": "c/threads:2", "threads": 1, "real_time": 1})");
  EXPECT_TRUE(file.rows[0].has_threads);
  EXPECT_FALSE(file.rows[1].has_threads);
  EXPECT_FALSE(file.rows[2].has_threads);
}

TEST(ParseLooseJson, MendsWhatTheLibraryWrites) {
  const auto name = [](const std::string& raw) {
    return ParseLooseJson("{\"n\": \"" + raw + "\"}", "x")["n"].get<std::string>();
  };
  EXPECT_EQ(name("a\nb\tc\x01"), "a\nb\tc\x01");    // raw control characters
  EXPECT_EQ(name(R"(BM_\d+\.x)"), R"(BM_\d+\.x)");  // a stray backslash
  EXPECT_EQ(name(R"(quote \" end\\)"), R"(quote " end\)");
  EXPECT_EQ(name("caf\xe9"), "caf\xef\xbf\xbd");  // a byte that is no UTF-8
  EXPECT_EQ(name("ünï/日本"), "ünï/日本");
  EXPECT_EQ(name("NaN inf"), "NaN inf");
  const auto json = ParseLooseJson("[NaN, -nan, Infinity, -Infinity, inf, 1]", "x");
  EXPECT_TRUE(json[0].is_null() && json[4].is_null());
  EXPECT_EQ(json[5], 1);
  EXPECT_THAT(Refusal([] { ParseLooseJson("[1,\n 2", "x.json"); }),
              HasSubstr("x.json: not valid JSON at line 2"));
}

TEST(BenchmarkJson, RefusesWhatItIsNot) {
  EXPECT_THAT(Refusal([] { Parse("{"); }), HasSubstr("x.json"));
  EXPECT_THAT(Refusal([] { Parse("[]"); }), HasSubstr("x.json"));
  EXPECT_THAT(Refusal([] { Parse(R"({"benchmarks": 3})"); }), HasSubstr("benchmarks"));
  EXPECT_THAT(Entries("").rows, IsEmpty());
}

}  // namespace
}  // namespace flopledger
