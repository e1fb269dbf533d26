// Google Benchmark's JSON, and what is concluded from two saved results.
#include "analysis/regression/saved_runs.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

BenchmarkFile Parse(const std::string& text) {
  return BenchmarkFromJson(ParseLooseJson(text, "x.json"), "x.json");
}

TEST(BenchmarkJson, TakesRepetitionsAndCountersAndBareNaN) {
  const BenchmarkFile file = Parse(kTwoRepetitions);
  ASSERT_EQ(file.rows.size(), 2);
  const BenchmarkRow& a = *file.Find("a \"NaN\"\\");
  EXPECT_THAT(a.seconds, ElementsAre(0.002, 0.003));
  EXPECT_THAT(a.repetition_s, ElementsAre(0.02, 0.03));
  EXPECT_THAT(a.counters.at("predicted_flops"), ElementsAre(8, 8));
  EXPECT_THAT(a.counters.at("rate"), ElementsAre(5));
  EXPECT_EQ(a.counters.size(), 2);
  EXPECT_FALSE(a.duplicate_name);
  EXPECT_TRUE(file.has_aggregates);
  EXPECT_EQ(file.Find("b")->error, "wrong");
  EXPECT_EQ(file.Find("c"), nullptr);
}

TEST(BenchmarkJson, AnEmptyMessageIsAnErrorToo) {
  EXPECT_EQ(Parse(R"({"benchmarks": [{"name": "b", "error_occurred": true, "error_message": ""}]})")
                .rows[0]
                .error,
            "skipped");
}

TEST(BenchmarkJson, TwoBenchmarksOfOneNameAreSeen) {
  constexpr char kRow[] = R"({"name": "a", "run_type": "iteration", "repetition_index": 0,
      "iterations": 1, "real_time": 2, "time_unit": "ns"})";
  EXPECT_TRUE(
      Parse(fmt::format(R"({{"benchmarks": [{}, {}]}})", kRow, kRow)).rows[0].duplicate_name);
}

TEST(BenchmarkJson, RefusesWhatItIsNot) {
  EXPECT_THAT(Refusal([] { Parse("{"); }), HasSubstr("x.json"));
  EXPECT_THAT(Refusal([] { Parse("[]"); }), HasSubstr("x.json"));
  EXPECT_THAT(Refusal([] { Parse(R"({"benchmarks": 3})"); }), HasSubstr("benchmarks"));
  EXPECT_THAT(Refusal([] { Parse(R"({"benchmarks": [{"name": "a"}]})"); }), HasSubstr("real_time"));
  EXPECT_THAT(Refusal([] {
                Parse(R"({"benchmarks": [{"name": "a", "real_time": 1, "iterations": 1,
                          "time_unit": "h"}]})");
              }),
              HasSubstr("time_unit"));
}

Ledger MakeLedger() {
  Ledger ledger;
  ledger.environment.machine.cpu = "a CPU";
  ledger.environment.build.flags = "-O3";
  ledger.environment.build.commit = "abc";
  ledger.environment.settings.model = R"({"d_model": 8, "num_layers": 4})";
  for (const char* op : {"ffn_up", "attention", "total"}) {
    Record record;
    record.run_id = "one";
    record.op = op;
    record.kind = "matmul";
    record.threads = 2;
    record.predicted_flops = 1000;
    record.executed_flops = 1200;
    record.flops_source = "confirmed";
    record.samples_s = {1.0, 1.01, 1.02};
    ledger.rows.push_back(record);
  }
  return ledger;
}

UnpairedComparison Compare(const Ledger& a, const Ledger& b, const UnpairedRule& rule = {}) {
  return CompareUnpaired(SavedFromLedger(a), SavedFromLedger(b), rule);
}

TEST(CompareUnpaired, SameRunPasses) {
  const auto comparison = Compare(MakeLedger(), MakeLedger());
  EXPECT_TRUE(comparison.same_run);
  EXPECT_EQ(comparison.decision, Decision::kPass);
}

TEST(CompareUnpaired, TimesDecideOnlyBeyondTheDriftBetweenRuns) {
  const auto decide = [](double factor, double drift) {
    Ledger b = MakeLedger();
    b.environment.build.commit = "def";
    for (double& seconds : b.rows[0].samples_s) seconds *= factor;
    return Compare(MakeLedger(), b, {.drift = drift}).rows[0];
  };
  EXPECT_EQ(decide(1.2, 0.148).decision, Decision::kInconclusive);
  EXPECT_EQ(decide(1.001, 0.148).decision, Decision::kInconclusive);
  EXPECT_EQ(decide(3.0, 0.148).decision, Decision::kFail);
  EXPECT_EQ(decide(1.2, 0.01).decision, Decision::kFail);
  EXPECT_EQ(decide(1.001, 0.005).decision, Decision::kPass);
  const RatioEstimate estimate = *decide(1.2, 0.148).estimate;
  EXPECT_NEAR(estimate.ratio, 1.2, 1e-9);
  EXPECT_NEAR(std::log(estimate.upper / estimate.ratio), 2.5758 * 0.2093, 0.02);  // √2 · drift
}

TEST(CompareUnpaired, ChangedFlopsFailWithoutTiming) {
  Ledger more = MakeLedger();  // a layer more
  more.environment.settings.model = R"({"d_model": 8, "num_layers": 5})";
  more.rows[0].predicted_flops = 1250;
  const auto layer = Compare(MakeLedger(), more);
  EXPECT_EQ(layer.decision, Decision::kFail);
  EXPECT_EQ(layer.rows[0].exact.front(), "predicted_flops 1,000 → 1,250 (+25.0 %)");

  Ledger lost = MakeLedger();  // the kernel no longer skips what the mask hides
  lost.rows[1].flops_source = "none";
  lost.rows[1].flops_note = "the executed formula missed 3 of 6 counted samples";
  const auto skip = Compare(MakeLedger(), lost);
  EXPECT_EQ(skip.decision, Decision::kFail);
  EXPECT_THAT(skip.rows[1].exact.front(), HasSubstr("missed 3 of 6"));
}

TEST(CompareUnpaired, MeasuredFlopsMustBeEqualWhereCountedAndNearWhereRead) {
  const auto compare = [](const char* source, int64_t a, int64_t b) {
    Ledger ledgers[] = {MakeLedger(), MakeLedger()};
    for (Ledger& ledger : ledgers) ledger.rows[0].flops_source = source;
    ledgers[0].rows[0].measured_flops = a;
    ledgers[1].rows[0].measured_flops = b;
    return Compare(ledgers[0], ledgers[1]).rows[0].exact;
  };
  EXPECT_THAT(compare("counted", 1200, 1200), IsEmpty());
  EXPECT_THAT(compare("counted", 1200, 1201), ElementsAre("measured_flops 1,200 → 1,201 (+0.1 %)"));
  EXPECT_THAT(compare("pmu", 1200, 1201), IsEmpty());
  EXPECT_EQ(compare("pmu", 1200, 1300).size(), 2);  // and too far from what is executed
  EXPECT_THAT(compare("untrusted", 1200, 5000), IsEmpty());
}

TEST(CompareUnpaired, OtherMachinesFlagsAndRowsAreNotComparable) {
  const auto reason = [](auto&& change) {
    Ledger b = MakeLedger();
    change(b);
    const auto comparison = Compare(MakeLedger(), b);
    EXPECT_EQ(comparison.decision, Decision::kNotComparable);
    EXPECT_THAT(comparison.rows, IsEmpty());
    return comparison.reasons.empty() ? "" : comparison.reasons.front();
  };
  EXPECT_EQ(reason([](Ledger& b) { b.environment.machine.cpu = "another"; }),
            "cpu: A a CPU, B another");
  EXPECT_EQ(reason([](Ledger& b) { b.environment.build.flags = "-O2"; }), "flags: A -O3, B -O2");
  EXPECT_EQ(reason([](Ledger& b) { b.environment.build.simd = "AVX"; }), "simd: A unknown, B AVX");
  EXPECT_THAT(reason([](Ledger& b) { b.environment.settings.model = R"({"d_model": 9})"; }),
              HasSubstr("model"));
  EXPECT_EQ(reason([](Ledger& b) { b.rows.pop_back(); }), "row total is missing in B");
  EXPECT_EQ(reason([](Ledger& b) {
              b.rows.push_back(b.rows[0]);
              b.rows.back().op = "more";
            }),
            "row more is missing in A");
  EXPECT_EQ(reason([](Ledger& b) {
              for (Record& row : b.rows) row.threads = 1;
            }),
            "threads: A 2, B 1");
}

TEST(CompareUnpaired, ALedgerOfSeveralBackendsIsComparedBackendByBackend) {
  Ledger several = MakeLedger();
  for (Record row : MakeLedger().rows) {
    row.matmul = "eigen";
    row.predicted_flops = 2000;
    several.rows.push_back(row);
  }
  for (std::size_t i = 0; i < 3; ++i) several.rows[i].matmul = "packed";
  EXPECT_EQ(Compare(several, several).decision, Decision::kPass);
  Ledger slower = several;
  slower.environment.build.commit = "def";
  for (double& seconds : slower.rows[3].samples_s) seconds *= 3;
  const auto comparison = Compare(several, slower);
  ASSERT_EQ(comparison.rows.size(), 6);
  EXPECT_EQ(comparison.rows[3].name, "eigen/ffn_up");
  EXPECT_EQ(comparison.rows[3].decision, Decision::kFail);
  EXPECT_EQ(comparison.rows[0].decision, Decision::kPass);  // the very same samples

  Ledger twice = MakeLedger();
  twice.rows.push_back(twice.rows[0]);
  const auto refused = Compare(twice, twice);
  EXPECT_EQ(refused.decision, Decision::kNotComparable);
  EXPECT_EQ(refused.reasons.front(), "two rows of A are called ffn_up");
}

TEST(CompareUnpaired, ReadsBothForms) {
  const SavedRun benchmark = SavedFromText(kTwoRepetitions, "x.json");
  EXPECT_EQ(benchmark.rows.front().exact.at("predicted_flops"), 8);
  EXPECT_EQ(benchmark.identity.at("num_cpus"), "2");
  EXPECT_FALSE(benchmark.identity.contains("date"));
  const SavedRun ledger = SavedFromText(ToJson(MakeLedger()).dump(), "y.json");
  EXPECT_EQ(ledger, SavedFromLedger(MakeLedger()));
  EXPECT_THAT(Refusal([] { SavedFromText("{}", "y.json"); }), HasSubstr("y.json"));
  EXPECT_THAT(Refusal([] { SavedFromText(R"({"benchmarks": []})", "y.json"); }),
              HasSubstr("no rows"));
}

}  // namespace
}  // namespace flopledger
