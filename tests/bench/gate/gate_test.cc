// What the gate runs and decides.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bench/gate/gate.h"
#include "tests/bench/gate/gate_fixture.h"

namespace flopledger {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

TEST_F(Gate, PassesAndFailsByTheRatioOfMedians) {
  const Fake a{.rows = {{"same", "100"}, {"slow/it(s).2", "200"}, {"fast", "300"}}};
  const Fake b{.rows = {{"same", "101"}, {"slow/it(s).2", "240"}, {"fast", "100"}}};
  const GateReport report = Run(Settings(a, b));
  ASSERT_EQ(report.rows.size(), 3);
  EXPECT_EQ(report.rows[0].decision, Decision::kPass);
  EXPECT_EQ(report.rows[1].decision, Decision::kFail);
  EXPECT_NEAR(report.rows[1].estimate->ratio, 1.2, 1e-9);
  EXPECT_EQ(report.rows[1].confirmation->blocks, 3);
  EXPECT_EQ(report.rows[2].decision, Decision::kPass);
  EXPECT_EQ(report.decision, Decision::kFail);
  EXPECT_EQ(report.slots.size(), 4 * 6);
  // The confirmation ran for the failing row alone.
  EXPECT_EQ(report.slots[0]["rows"].size(), 3);
  EXPECT_EQ(report.slots[20]["rows"].size(), 1);
  // Repetitions of 0.15 s: five of them are a warm-up of 0.5 s even if each is a fifth shorter.
  EXPECT_NEAR(report.slots[0]["rows"]["same"]["warm_up_s"].get<double>(), 0.75, 0.02);
  EXPECT_EQ(report.slots[0]["rows"]["same"]["samples"]["real_time"].size(), 3);
}

TEST_F(Gate, BothBinariesGetTheSameWordsAtPathsOfEqualLength) {
  GateSettings settings = Settings({}, {.rows = {{"row", "101"}}});
  settings.arguments = {"--model", "gpt2", "--benchmark_filter=row"};
  Run(settings);
  std::istringstream a(ReadFile(folder_.path("a.runs.arguments")));
  std::istringstream b(ReadFile(folder_.path("b.runs.arguments")));
  int lines = 0;
  for (std::string of_a, of_b; std::getline(a, of_a) && std::getline(b, of_b); ++lines) {
    EXPECT_THAT(of_a, ::testing::StartsWith("--model gpt2 --benchmark_filter=row "));
    EXPECT_EQ(of_a.size(), of_b.size());
  }
  EXPECT_EQ(lines, 1 + 2 * 3);
}

TEST_F(Gate, ReportsWhatElseMoved) {
  Fake a, b{.rows = {{"row", "150"}}};
  a.counters += R"(, "ffn_up_s": 0.5, "ipc": 3)";
  b.counters += R"(, "ffn_up_s": 0.9, "ipc": 3)";
  const GateReport report = Run(Settings(a, b));
  EXPECT_EQ(report.decision, Decision::kFail);
  EXPECT_THAT(ToText(report), HasSubstr("ffn_up_s"));
  EXPECT_THAT(ToText(report), Not(HasSubstr("ipc")));
}

TEST_F(Gate, ChangedFlopsFailBeforeAnythingIsTimed) {
  GateSettings settings = Settings({}, {.counters = R"("predicted_flops": 2000)"});
  int sentinels = 0;
  settings.sentinel = [&] { return ++sentinels, 1.0; };
  const GateReport report = Run(settings);
  EXPECT_EQ(report.decision, Decision::kFail);
  EXPECT_EQ(report.rows[0].sentence,
            "FAIL row: predicted_flops 1,000 → 2,000 (+100.0 %). Exact, so nothing was timed.");
  EXPECT_EQ(sentinels, 0);
  EXPECT_THAT(report.slots, IsEmpty());

  settings.flops_may_change = true;
  const GateReport timed = Run(settings);
  EXPECT_EQ(timed.decision, Decision::kPass);
  EXPECT_THAT(timed.warnings.front(), HasSubstr("predicted_flops 1,000 → 2,000"));
}

TEST_F(Gate, CountersThatTheUserNamesAreExactToo) {
  const Fake a{.counters = R"("bytes": 7)"}, b{.counters = R"("bytes": 8)"};
  GateSettings settings = Settings(a, b);
  EXPECT_EQ(Run(settings).decision, Decision::kPass);
  settings.exact = {"bytes"};
  EXPECT_EQ(Run(settings).decision, Decision::kFail);
  settings.exact = {"bites"};
  EXPECT_EQ(Run(settings).headline, "no row has a counter 'bites' (--exact)");
}

TEST_F(Gate, OnlyIdenticalElfBinariesAreNotTimed) {
  std::filesystem::create_directory(folder_.path("old"));
  std::filesystem::create_directory(folder_.path("new"));
  for (const char* side : {"old", "new"}) {
    std::filesystem::copy_file("/bin/true", folder_.path(side) + "/bench");
  }
  GateSettings settings = Settings({}, {});
  settings.baseline = folder_.path("old/bench");
  settings.candidate = folder_.path("new/bench");
  const GateReport report = Run(settings);
  EXPECT_EQ(report.decision, Decision::kPass);
  EXPECT_THAT(report.headline, HasSubstr("not timed"));
  settings.time_identical = true;  // /bin/true leaves no results
  EXPECT_EQ(Run(settings).decision, Decision::kNotComparable);
  settings.time_identical = false;
  // A file beside them whose name stands in the binary, as of a plug-in, and that differs.
  folder_.Write("new/GNU", "slow");
  EXPECT_EQ(Run(settings).decision, Decision::kNotComparable);
  folder_.Write("old/GNU", "slow");
  EXPECT_EQ(Run(settings).decision, Decision::kPass);
}

TEST_F(Gate, EqualScriptsAreTimedAndFindWhatLiesBesideThem) {
  for (const char* side : {"old", "new"}) {
    std::filesystem::create_directory(folder_.path(side));
    Make(std::string(side) + "/bench.real",
         {.rows = {{"row", std::string(side) == "old" ? "100" : "300"}}});
    MakeRaw(std::string(side) + "/bench", "exec \"$(dirname \"$0\")/bench.real\" \"$@\"");
  }
  GateSettings settings = Settings({}, {});
  settings.baseline = folder_.path("old/bench");
  settings.candidate = folder_.path("new/bench");
  EXPECT_EQ(Run(settings).decision, Decision::kFail);
}

TEST_F(Gate, MovedSentinelWidensTheInterval) {
  GateSettings settings = Settings({}, {.rows = {{"row", "101"}}});
  // The sentinel after each run, and so around it, follows the binary's turn.
  int calls = 0;
  settings.sentinel = [&] { return 1.0 + 0.4 * (calls++ % 4 == 2); };
  settings.rule.sentinel_limit = 1e-6;
  const GateReport report = Run(settings);
  EXPECT_EQ(report.decision, Decision::kInconclusive);
  EXPECT_GT(report.rows[0].estimate->widened, 0);
  EXPECT_THAT(report.rows[0].sentence, HasSubstr("widened"));
  GateSettings slow = Settings({}, {.rows = {{"row", "300"}}});
  slow.sentinel = settings.sentinel;
  slow.rule.sentinel_limit = 1e-6;
  EXPECT_EQ(Run(slow).decision, Decision::kFail);
}

struct Trouble {
  const char* name;
  Fake candidate;
  const char* says;
};

TEST_F(Gate, WhatCannotBeComparedSaysWhy) {
  const std::vector<Trouble> troubles{
      {"missing row", {.rows = {{"other", "100"}}}, "1 MISSING, 1 NEW; no row could be timed"},
      {"crash", {.before = "kill -SEGV $$"}, "candidate was ended by signal 11"},
      {"crash later", {.before = "[ $runs -lt 4 ] || exit 7"}, "candidate exited with 7"},
      {"its words", {.before = "echo 'cannot load weights' >&2; exit 1"}, "cannot load weights"},
      {"no JSON", {.before = "exit 0"}, "left no results"},
      {"broken JSON", {.before = "echo '{' >\"$out\"; exit 0"}, "results that can be read"},
      {"no rows", {.rows = {}}, "candidate has no row"},
      {"another build",
       {.context = R"("library_build_type": "debug")"},
       "library_build_type differs"},
  };
  for (const Trouble& trouble : troubles) {
    SCOPED_TRACE(trouble.name);
    for (const char* side : {"a", "b"}) std::filesystem::remove(folder_.path(side) + ".runs");
    GateSettings settings = Settings({}, trouble.candidate);
    const GateReport report = Run(settings);
    EXPECT_EQ(report.decision, Decision::kNotComparable);
    EXPECT_THAT(report.headline, HasSubstr(trouble.says));
    EXPECT_THAT(report.headline, Not(HasSubstr("\n")));
  }
}

/// A 3 times slower row beside one that is odd: `more_a` and `more_b` print entries.
class OddRow : public Gate {
 protected:
  GateReport Beside(const std::string& more_a, const std::string& more_b) {
    for (const char* side : {"a", "b"}) std::filesystem::remove(folder_.path(side) + ".runs");
    const GateReport report =
        Run(Settings({.more = more_a}, {.rows = {{"row", "300"}}, .more = more_b}));
    EXPECT_EQ(report.rows[0].name, "row");
    EXPECT_EQ(report.rows[0].decision, Decision::kFail);
    EXPECT_EQ(report.decision, Decision::kFail);
    EXPECT_EQ(report.rows.size(), 2);
    return report;
  }
  static std::string Entry(const std::string& more) {
    return "entry '{\"name\": \"odd\", \"run_type\": \"iteration\", " + more + "}'\n";
  }
};

TEST_F(OddRow, CostsTheOthersNothing) {
  const std::string sound = Entry(R"("iterations": 1000000000, "real_time": 5)"),
                    failed = Entry(R"("error_occurred": true, "error_message": "wrong sum")"),
                    zero = Entry(R"("iterations": 1, "real_time": 0)"),
                    nan = Entry(R"("iterations": 1, "real_time": NaN)"),
                    first = Entry(R"("repetition_index": 0, "iterations": 1, "real_time": 5)");
  const auto odd = [&](const std::string& a, const std::string& b) {
    const RowReport row = Beside(a, b).rows[1];
    return std::string(NameOf(row.decision)) + ": " + row.reason;
  };
  EXPECT_EQ(odd(failed, failed), "SKIPPED: fails in both: wrong sum");
  EXPECT_EQ(odd(sound, failed), "FAIL: fails in B: wrong sum");
  EXPECT_EQ(odd(failed, sound), "NEW: runs in B, fails in A: wrong sum");
  EXPECT_EQ(odd("", sound), "NEW: only in B");
  EXPECT_EQ(odd(sound, ""), "MISSING: only in A");
  EXPECT_EQ(odd(zero, zero), "SKIPPED: in both: real_time is zero");
  EXPECT_EQ(odd(sound, nan), "NOT COMPARABLE: B: real_time is not a number");
  EXPECT_EQ(odd(first + first, first + first),
            "NOT COMPARABLE: two benchmarks of A and of B go by this name");
}

TEST_F(OddRow, IsDecidedWhereItSetsItsOwnRepetitionsOrReportsAggregatesAlone) {
  const auto median = [](int ns) {
    return fmt::format(R"(entry '{{"name": "odd_median", "run_name": "odd", "run_type":
        "aggregate", "aggregate_name": "median", "repetitions": 9, "real_time": {}}}')",
                       ns);
  };
  EXPECT_EQ(Beside(median(100), median(101)).rows[1].decision, Decision::kPass);
  EXPECT_EQ(Beside(median(100), median(200)).rows[1].decision, Decision::kFail);
  const std::string once = Entry(R"("iterations": 1, "real_time": 5)");
  EXPECT_EQ(Beside(once + once, once + once).rows[1].decision, Decision::kPass);
  EXPECT_EQ(Beside(once, once).rows[1].decision, Decision::kPass);
}

TEST_F(OddRow, ThatFailsLaterLeavesTheOthersToTheirBlocks) {
  const std::string sound = Entry(R"("iterations": 1, "real_time": 5)");
  const std::string later =
      "[ $runs -lt 3 ] || " + Entry(R"("error_occurred": true, "error_message": "late")") + sound;
  const RowReport row = Beside(sound, later).rows[1];
  EXPECT_EQ(row.decision, Decision::kFail);
  EXPECT_EQ(row.reason, "fails in B: late");
  const RowReport both = Beside(later, later).rows[1];
  EXPECT_EQ(both.decision, Decision::kSkipped);
  const RowReport gone = Beside(sound, "[ $runs -ge 3 ] || " + sound).rows[1];
  EXPECT_EQ(gone.decision, Decision::kNotComparable);
  EXPECT_EQ(gone.reason, "missing in a later run of the candidate");
}

TEST_F(Gate, BinariesThatBearNoRepetitionsAreRunOftener) {
  Fake alone;
  alone.before = "[ $n = 1 ] || { echo no repetitions, please; exit 1; }";
  Fake slower = alone;
  slower.rows.front().second = "200";
  EXPECT_EQ(Run(Settings(alone, alone)).decision, Decision::kPass);
  const GateReport report = Run(Settings(alone, slower));
  EXPECT_EQ(report.decision, Decision::kFail);
  EXPECT_THAT(report.warnings, Contains(HasSubstr("each repetition was a run of its own")));
  // Where the candidate alone fails so, it is a crash.
  EXPECT_EQ(Run(Settings(Fake{}, alone)).decision, Decision::kNotComparable);
}

TEST_F(Gate, ACrashThatComesOnceIsACrash) {
  Fake once;
  once.before = "[ $runs != 2 ] || exit 1";
  EXPECT_EQ(Run(Settings(once, once)).decision, Decision::kNotComparable);
}

TEST_F(Gate, MissingRowsBlockUnlessAllowed) {
  GateSettings settings = Settings({.rows = {{"row", "100"}, {"gone", "100"}}}, {});
  EXPECT_EQ(Run(settings).decision, Decision::kNotComparable);
  settings.allow_missing = true;
  EXPECT_EQ(Run(settings).decision, Decision::kPass);
}

TEST_F(Gate, EveryMetricIsDecidedByItself) {
  const Fake a{.counters = R"("items_per_second": 900, "cpu_time": 90)"},
      b{.counters = R"("items_per_second": 300, "cpu_time": 91)"};
  GateSettings settings = Settings(a, b);
  settings.metrics = {{}, {.name = "cpu_time"}, {"items_per_second", true}};
  const GateReport report = Run(settings);
  ASSERT_EQ(report.rows.size(), 3);
  EXPECT_EQ(report.rows[0].decision, Decision::kPass);
  EXPECT_EQ(report.rows[1].decision, Decision::kPass);
  EXPECT_EQ(report.rows[2].decision, Decision::kFail);
  EXPECT_NEAR(report.rows[2].estimate->ratio, 1.0 / 3, 1e-9);
  EXPECT_EQ(*report.rows[2].candidate, 300);
  settings.metrics = {{.name = "misses"}};
  EXPECT_EQ(Run(settings).headline, "no row has a 'misses' (--metric)");
}

TEST_F(Gate, AnotherMachineOrLibraryIsSeen) {
  const Fake a{.context = R"("host_name": "h", "library_version": "v1.8.3")"};
  Fake b{.context = R"("host_name": "pi", "library_version": "v1.8.3")"};
  EXPECT_EQ(Run(Settings(a, b)).headline, "host_name: A h, B pi (--across-machines)");
  GateSettings across = Settings(a, b);
  across.across_machines = true;
  EXPECT_EQ(Run(across).decision, Decision::kPass);
  b.context = R"("host_name": "h", "library_version": "v1.9.5")";
  b.more = R"(entry '{"name": "t", "iterations": 1000000000, "real_time": 5, "threads": 2}')";
  Fake a_with_threads = a;
  a_with_threads.more = b.more;
  const GateReport report = Run(Settings(a_with_threads, b));
  EXPECT_EQ(report.rows[0].decision, Decision::kPass);
  EXPECT_EQ(report.rows[0].reason, "library_version: A v1.8.3, B v1.9.5");
  EXPECT_EQ(report.rows[1].decision, Decision::kNotComparable);
}

TEST_F(Gate, HangingBinaryIsStoppedWithAllItsChildren) {
  GateSettings settings = Settings({}, {});
  settings.candidate =
      MakeRaw("b", fmt::format("sleep 1000 & echo $! >'{}'; sleep 1000", folder_.path("child")));
  std::string child;
  // On a busy machine the limit may end it before it has started its own child: once more, longer.
  for (settings.time_limit_s = 0.5; child.empty() && settings.time_limit_s < 60;
       settings.time_limit_s *= 4) {
    const GateReport report = Run(settings);
    EXPECT_EQ(report.decision, Decision::kNotComparable);
    EXPECT_THAT(report.headline, HasSubstr("--time-limit"));
    child = ReadFile(folder_.path("child"));
  }
  ExpectEnded(child);
}

TEST_F(Gate, InterruptedGateWritesWhatItHad) {
  const std::string a = Make("a", {});
  const std::string b = Make("b", {.before = fmt::format("[ $runs -lt 5 ] || kill -INT {}; "
                                                         "[ $runs -lt 5 ] || sleep 100",
                                                         getpid())});
  EXPECT_EQ(RunCommand({"gate", "--baseline", a, "--candidate", b, "--seed", "1", "--json",
                        folder_.path("verdict.json")}),
            kNoAnswer);
  EXPECT_THAT(out_, HasSubstr("INCONCLUSIVE: interrupted after 2 whole blocks"));
  EXPECT_EQ(Verdict()["verdict"], "INCONCLUSIVE");
  EXPECT_EQ(Verdict()["rows"][0]["estimate"]["blocks"], 2);
  EXPECT_GE(Verdict()["slots"].size(), 8);
}

TEST_F(Gate, PlanMeasuresSigmaOfTheBinaryAgainstItself) {
  const GateSettings settings =
      Settings({.rows = {{"row", "$((100 + runs % 3))"}, {"still", "100"}}}, {});
  std::ostream nowhere(nullptr);
  Progress silent(nowhere, false);
  const Plan plan = RunPlan(settings, 0.001, silent);
  ASSERT_EQ(plan.rows.size(), 2);
  EXPECT_EQ(plan.rows[0].estimate.blocks, 3);
  EXPECT_GT(plan.rows[0].estimate.sigma, 0.001);
  EXPECT_EQ(plan.rows[1].estimate.sigma, 0);
}

}  // namespace
}  // namespace flopledger
