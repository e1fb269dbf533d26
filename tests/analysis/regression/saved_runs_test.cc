// Both forms of a saved result.
#include "analysis/regression/saved_runs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/refusal.h"

namespace flopledger {
namespace {

using ::testing::HasSubstr;

TEST(SavedRuns, ReadBothForms) {
  const SavedRun benchmark = SavedFromText(
      R"({"context": {"num_cpus": 2, "library_build_type": "release", "date": "d"},
          "benchmarks": [{"name": "a", "real_time": NaN, "predicted_flops": 8, "of_peak": 0.5}]})",
      "x.json");
  EXPECT_EQ(benchmark.rows.front().exact.at("predicted_flops"), 8);
  EXPECT_EQ(benchmark.rows.front().other.at("pct_peak"), 50);
  EXPECT_EQ(benchmark.identity.at("library_build_type"), "release");
  EXPECT_THAT(benchmark.when_and_where, HasSubstr("d on"));

  Ledger ledger;
  ledger.environment.machine.cpu = "x";
  ledger.environment.build.flags = "-O3";
  Record& record = ledger.rows.emplace_back();
  record.run_id = "one";
  record.op = "ffn_up";
  record.predicted_flops = 1000;
  record.samples_s = {1.0, 1.5};
  const SavedRun read = SavedFromText(ToJson(ledger).dump(), "y.json");
  EXPECT_EQ(read.rows, SavedFromLedger(ledger).rows);
  EXPECT_EQ(read.machine.at("cpu"), "x");
  EXPECT_EQ(read.identity.at("flags"), "-O3");
  EXPECT_EQ(read.when_and_where, "one");
}

TEST(SavedRuns, RanksAndHostsAreAPartOfWhatIsCompared) {
  Ledger ledger;
  ledger.rows.emplace_back().op = "ffn_up";
  auto document = ToJson(ledger);
  for (auto& row : document.at("rows")) row.erase("ranks");  // of schema 1
  document["schema"] = 1;
  for (const SavedRun& alone :
       {SavedFromLedger(ledger), SavedFromText(document.dump(), "y.json")}) {
    EXPECT_EQ(alone.identity.at("ranks"), "1");
    EXPECT_EQ(alone.identity.at("hosts"), "1");
  }
  ledger.rows.front().ranks = 4;
  ledger.environment.ranks =
      RankFacts{.ranks = 4, .hosts = {"a", "b", "a", "b"}, .collectives = {}};
  EXPECT_EQ(SavedFromLedger(ledger).identity.at("ranks"), "4");
  EXPECT_EQ(SavedFromLedger(ledger).identity.at("hosts"), "2");
}

TEST(SavedRuns, ALedgerIsReadStrictly) {
  EXPECT_THAT(Refusal([] { SavedFromText("{}", "y.json"); }), HasSubstr("y.json"));
  EXPECT_THAT(Refusal([] { SavedFromText(R"({"rows": NaN})", "y.json"); }), HasSubstr("y.json"));
}

}  // namespace
}  // namespace flopledger
