// What is concluded from two saved results, and its forms.
#include "analysis/regression/unpaired.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "analysis/regression/unpaired_report.h"
#include "tests/support/refusal.h"

namespace flopledger {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

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

TEST(CompareUnpaired, OtherMachinesAndFlagsAreNotComparable) {
  const auto reason = [](auto&& change) {
    Ledger b = MakeLedger();
    change(b);
    const auto comparison = Compare(MakeLedger(), b);
    EXPECT_EQ(comparison.decision, Decision::kNotComparable);
    for (const UnpairedRow& row : comparison.rows) {
      EXPECT_EQ(row.decision, Decision::kNotComparable);
      EXPECT_EQ(row.reason, comparison.reasons.front());
    }
    return comparison.reasons.empty() ? "" : comparison.reasons.front();
  };
  EXPECT_EQ(reason([](Ledger& b) { b.environment.machine.cpu = "another"; }),
            "cpu: A a CPU, B another");
  EXPECT_EQ(reason([](Ledger& b) { b.environment.build.flags = "-O2"; }), "flags: A -O3, B -O2");
  EXPECT_EQ(reason([](Ledger& b) { b.environment.build.simd = "AVX"; }), "simd: A unknown, B AVX");
  EXPECT_THAT(reason([](Ledger& b) { b.environment.settings.model = R"({"d_model": 9})"; }),
              HasSubstr("model"));
  EXPECT_EQ(reason([](Ledger& b) {
              for (Record& row : b.rows) row.threads = 1;
            }),
            "threads: A 2, B 1");
  Ledger other = MakeLedger();
  other.environment.machine.cpu = "another";
  const auto across = Compare(MakeLedger(), other, {.across_machines = true});
  EXPECT_EQ(across.decision, Decision::kPass);
  EXPECT_THAT(across.warnings, ElementsAre("cpu: A a CPU, B another"));
}

TEST(CompareUnpaired, RowsOfOneSideAloneCostNoOtherItsAnswer) {
  Ledger less = MakeLedger();
  less.environment.build.commit = "def";
  less.rows.pop_back();
  for (double& seconds : less.rows[0].samples_s) seconds *= 3;
  const auto gone = Compare(MakeLedger(), less);
  EXPECT_EQ(gone.decision, Decision::kFail);
  EXPECT_EQ(gone.rows[0].decision, Decision::kFail);
  EXPECT_EQ(gone.rows[2].decision, Decision::kMissing);
  EXPECT_EQ(gone.rows[2].reason, "only in A");
  const auto added = Compare(less, MakeLedger());
  EXPECT_EQ(added.rows[2].decision, Decision::kNew);
  EXPECT_EQ(added.decision, Decision::kInconclusive);
  less.rows[0].samples_s = MakeLedger().rows[0].samples_s;
  EXPECT_EQ(Compare(MakeLedger(), less).decision, Decision::kNotComparable);
  EXPECT_EQ(Compare(MakeLedger(), less, {.allow_missing = true}).decision, Decision::kInconclusive);
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
  EXPECT_EQ(comparison.rows[0].decision, Decision::kInconclusive);  // equal samples drift as well

  Ledger duplicate = MakeLedger();
  duplicate.rows.push_back(duplicate.rows[0]);
  const auto refused = Compare(duplicate, duplicate);
  EXPECT_EQ(refused.decision, Decision::kNotComparable);
  EXPECT_EQ(refused.rows[0].reason, "two benchmarks of A and of B go by this name");
  EXPECT_EQ(refused.rows[1].decision, Decision::kPass);
}

// --- Files of Google Benchmark -----------------------------------------------------------------

/// A file of one row with these real times in ns, and more of the entry and of the context.
SavedRun File(const std::vector<double>& ns, const std::string& entry = "",
              const std::string& context = R"("date": "d1", "host_name": "h")") {
  std::string entries;
  for (const double time : ns) {
    entries += fmt::format(R"({}{{"name": "row", "iterations": 1, "real_time": {}{}}})",
                           entries.empty() ? "" : ",", time, entry);
  }
  return SavedFromText(
      fmt::format(R"({{"context": {{{}}}, "benchmarks": [{}]}})", context, entries), "x.json");
}

constexpr char kLater[] = R"("date": "d2", "host_name": "h")";

TEST(CompareUnpaired, EqualTimesOfAnotherRunAreNotTheSameRun) {
  const auto same = CompareUnpaired(File({10, 11}), File({10, 11}), {});
  EXPECT_TRUE(same.same_run);
  EXPECT_EQ(same.decision, Decision::kPass);
  const auto later = CompareUnpaired(File({10, 11}), File({10, 11}, "", kLater), {});
  EXPECT_FALSE(later.same_run);
  EXPECT_EQ(later.decision, Decision::kInconclusive);
  EXPECT_GT(later.rows[0].estimate->upper, 1.5);
  // Without a date nothing says that it is one run.
  EXPECT_FALSE(CompareUnpaired(File({10}, "", ""), File({10}, "", ""), {}).same_run);
}

TEST(CompareUnpaired, FourSamplesOfTwoModesAreNoFail) {
  const auto decide = [](const std::vector<double>& a, const std::vector<double>& b) {
    return CompareUnpaired(File(a), File(b, "", kLater), {}).decision;
  };
  // The median deviation of each is 0.
  EXPECT_EQ(decide({10, 10, 10, 30}, {10, 30, 30, 30}), Decision::kInconclusive);
  EXPECT_EQ(decide({10, 10, 30, 30}, {30, 30, 31, 30}), Decision::kInconclusive);
  EXPECT_EQ(decide({10, 10, 10, 10}, {30, 30, 31, 30}), Decision::kFail);
}

TEST(CompareUnpaired, AggregatesAreComparedByTheirMedianAndSpread) {
  const auto file = [](double median, double stddev, int repetitions, const char* date) {
    const auto entry = [&](const char* name, double value) {
      return fmt::format(R"({{"name": "row_{0}", "run_name": "row", "run_type": "aggregate",
          "aggregate_name": "{0}", "repetitions": {1}, "real_time": {2}}})",
                         name, repetitions, value);
    };
    return SavedFromText(fmt::format(R"({{"context": {{"date": "{}"}}, "benchmarks": [{}, {}]}})",
                                     date, entry("median", median), entry("stddev", stddev)),
                         "x.json");
  };
  const auto decide = [&](double stddev, int repetitions) {
    return CompareUnpaired(file(100, 1, 10, "d1"), file(300, stddev, repetitions, "d2"), {});
  };
  EXPECT_EQ(decide(3, 10).decision, Decision::kFail);
  EXPECT_EQ(decide(300, 3).decision, Decision::kInconclusive);
}

TEST(CompareUnpaired, AnotherHostIsNotComparableUnlessAsked) {
  const std::string other = R"("date": "d2", "host_name": "pi", "num_cpus": 4)";
  const SavedRun a = File({10}), b = File({30}, "", other);
  const auto refused = CompareUnpaired(a, b, {});
  EXPECT_EQ(refused.decision, Decision::kNotComparable);
  EXPECT_EQ(refused.rows[0].reason, "host_name: A h, B pi");
  EXPECT_EQ(CompareUnpaired(a, b, {.across_machines = true}).decision, Decision::kFail);
  // With equal values nothing shows another machine: no answer, in any case no PASS.
  const auto equal = CompareUnpaired(a, File({10}, "", other), {.drift = 0.001});
  EXPECT_EQ(equal.decision, Decision::kInconclusive);
  EXPECT_THAT(equal.rows[0].reason, HasSubstr("host_name"));
  const SavedRun more = File({10}, "", R"("host_name": "h", "num_cpus": 4)"),
                 fewer = File({10}, "", R"("host_name": "h", "num_cpus": 2)");
  EXPECT_EQ(CompareUnpaired(more, fewer, {}).decision, Decision::kNotComparable);
}

TEST(CompareUnpaired, AnotherLibraryMattersToRowsWithThreads) {
  const std::string version = R"("date": "d2", "host_name": "h", "library_version": "v1.9.5")";
  const auto compare = [&](const char* entry) {
    return CompareUnpaired(File({10}, entry), File({10.1}, entry, version), {}).rows[0];
  };
  EXPECT_EQ(compare(R"(, "threads": 2)").decision, Decision::kNotComparable);
  EXPECT_EQ(compare(R"(, "threads": 1)").decision, Decision::kInconclusive);
  EXPECT_EQ(compare(R"(, "threads": 1)").reason, "library_version: A not stated, B v1.9.5");
}

TEST(CompareUnpaired, MetricsDecideEachByItselfAndRatesTheOtherWay) {
  const SavedRun a = File({10}, R"(, "items_per_second": 900, "misses": 5)"),
                 b = File({10.1}, R"(, "items_per_second": 300, "misses": 5)", kLater);
  const UnpairedRule rule{.metrics = {{}, {.name = "items_per_second", .higher_is_better = true}}};
  const auto comparison = CompareUnpaired(a, b, rule);
  ASSERT_EQ(comparison.rows.size(), 2);
  EXPECT_EQ(comparison.rows[0].decision, Decision::kInconclusive);
  EXPECT_EQ(comparison.rows[1].decision, Decision::kFail);
  EXPECT_NEAR(comparison.rows[1].estimate->ratio, 1.0 / 3, 1e-9);
  EXPECT_EQ(CompareUnpaired(b, a, rule).rows[1].decision, Decision::kPass);
  EXPECT_THAT(Refusal([&] { CompareUnpaired(a, b, {.metrics = {{.name = "mises"}}}); }),
              HasSubstr("did you mean 'misses'"));
}

TEST(CompareUnpaired, NoRowIsNotComparable) {
  const auto comparison = CompareUnpaired(File({}), File({}), {});
  EXPECT_EQ(comparison.decision, Decision::kNotComparable);
  EXPECT_THAT(comparison.reasons, ElementsAre("neither file has a row"));
}

// --- The forms ---------------------------------------------------------------------------------

TEST(UnpairedReport, EveryFormHasTheReasonAndUnitsThatFit) {
  const UnpairedRule rule;
  UnpairedComparison comparison = CompareUnpaired(File({10}), File({30}, "", kLater), rule);
  EXPECT_EQ(ToCsv(comparison).substr(ToCsv(comparison).find('\n') + 1, 36),
            "row,real_time,FAIL,10,30,ns,3,1.7497");
  EXPECT_THAT(ToTable(comparison).ToText(), HasSubstr("10.00 ns  30.00 ns  3.000"));
  const auto json = ToJson(comparison, rule);
  EXPECT_EQ(json["rows"][0]["name"], "row");
  EXPECT_EQ(json["rows"][0]["verdict"], "FAIL");

  comparison = CompareUnpaired(File({10}), SavedFromText(R"({"benchmarks": []})", "y"), rule);
  EXPECT_THAT(ToCsv(comparison), HasSubstr("\nrow,,MISSING,,,,,,,,,only in A\r\n"));
  EXPECT_THAT(ToTable(comparison).ToText(), HasSubstr("only in A"));
  comparison = CompareUnpaired(File({}), File({}), rule);
  EXPECT_THAT(ToCsv(comparison),
              HasSubstr("\n(all),,NOT COMPARABLE,,,,,,,,,neither file has a row\r\n"));
}

TEST(UnpairedReport, ControlCharactersInNamesAreWrittenOut) {
  UnpairedComparison comparison;
  comparison.rows.emplace_back().name = "a\nb\x1b";
  for (const std::string& text :
       {ToCsv(comparison), ToTable(comparison).ToText(), ToTable(comparison).ToMarkdown()}) {
    EXPECT_THAT(text, HasSubstr("a\\nb\\x1b"));
  }
}

}  // namespace
}  // namespace flopledger
