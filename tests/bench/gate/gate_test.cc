// The gate with made benchmark binaries: small shell scripts that leave Google Benchmark's JSON.
// Times in it are written, not taken, and the sentinel stands still, so nothing depends on a clock.
#include "bench/gate/gate.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <sstream>

#include "bench/cli/cli.h"
#include "bench/gate/profile.h"
#include "bench/machine/interrupt.h"
#include "bench/machine/process.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/wait.h"

namespace flopledger {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

/// What a made binary does: for each row its nanoseconds, and JSON of its counters.
struct Fake {
  std::vector<std::pair<std::string, std::string>> rows{{"row", "100"}};
  std::string counters = R"("predicted_flops": 1000)";
  std::string context = R"("num_cpus": 2)";
  std::string before{};  // shell commands at the start; $runs is how many runs there were before
};

class Gate : public ::testing::Test {
 protected:
  Gate() {
    std::filesystem::create_directory(folder_.path("tmp"));
    const char* before = std::getenv("TMPDIR");
    if (before != nullptr) tmpdir_ = before;
    setenv("TMPDIR", folder_.path("tmp").c_str(), 1);
    unsetenv("GITHUB_ACTIONS");
    interrupted = false;
  }
  ~Gate() override {
    EXPECT_TRUE(std::filesystem::is_empty(folder_.path("tmp"))) << "files are left";
    if (tmpdir_.empty()) unsetenv("TMPDIR");
    if (!tmpdir_.empty()) setenv("TMPDIR", tmpdir_.c_str(), 1);
    interrupted = false;
  }

  /// Writes the script and returns its path.
  std::string Make(const std::string& name, const Fake& fake) {
    const std::string count = folder_.path(name + ".runs");
    std::string script = fmt::format(
        "#!/bin/sh\n"
        "runs=$(cat '{0}' 2>/dev/null || echo 0); echo $((runs + 1)) >'{0}'\n"
        "echo \"$@\" >>'{0}.arguments'\n"
        "for word in \"$@\"; do case $word in\n"
        "--benchmark_out=*) out=${{word#*=}} ;; --benchmark_repetitions=*) n=${{word#*=}} ;;\n"
        "--benchmark_filter=*) filter=${{word#*=}} ;; esac; done\n{1}\n"
        "row() {{ echo \"$1\" | grep -Eq \"$filter\" || return 0\n i=0; while [ $i -lt $n ]; do\n"
        "echo \"$comma{{\\\"name\\\": \\\"$1\\\", \\\"run_type\\\": \\\"iteration\\\", "
        "\\\"repetition_index\\\": $i, \\\"iterations\\\": 1500000, \\\"real_time\\\": $2, "
        "\\\"time_unit\\\": \\\"ns\\\", {2}}}\"\n"
        "comma=,; i=$((i + 1)); done; }}\n"
        "{{ echo '{{\"context\": {{{3}}}, \"benchmarks\": ['\n",
        count, fake.before, Escaped(fake.counters), fake.context);
    for (const auto& [row, ns] : fake.rows) script += fmt::format("row '{}' \"{}\"\n", row, ns);
    script += "echo ']}'; } >\"$out\"\n";
    const std::string path = folder_.Write(name, script);
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    return path;
  }

  /// A script of one's own.
  std::string MakeRaw(const std::string& name, const std::string& commands) {
    const std::string path = folder_.Write(name, "#!/bin/sh\n" + commands + "\n");
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    return path;
  }

  GateSettings Settings(const Fake& a, const Fake& b) {
    GateSettings settings;
    settings.baseline = Make("a", a);
    settings.candidate = Make("b", b);
    settings.rule.first_blocks = 3;
    settings.rule.most_blocks = 4;
    settings.seed = 1;
    settings.time_limit_s = 60;
    settings.sentinel = [] { return 1e9; };
    return settings;
  }

  GateReport Run(const GateSettings& settings) {
    std::ostream nowhere(nullptr);
    Progress silent(nowhere, false);
    CheckGateSettings(settings);
    return RunGate(settings, silent);
  }

  int RunCommand(std::vector<std::string> words) {
    std::ostringstream out, err;
    const int code = RunCli(words, out, err);
    out_ = out.str();
    err_ = err.str();
    return code;
  }

  /// That the process ends, of which a script left the number, as a line.
  static void ExpectEnded(const std::string& line) {
    ASSERT_THAT(line, ::testing::EndsWith("\n"));
    const std::string stat = "/proc/" + line.substr(0, line.size() - 1) + "/stat";
    EXPECT_TRUE(ComesTrue([&] {
      const std::string state = ReadFile(stat);
      return state.empty() || state.find(") Z") != std::string::npos;  // or waits to be reaped
    })) << ReadFile(stat);
  }

  nlohmann::json Verdict() { return nlohmann::json::parse(ReadFile(folder_.path("verdict.json"))); }

  static std::string Escaped(const std::string& text) {
    std::string escaped;
    for (const char c : text) escaped += c == '"' ? "\\\"" : std::string(1, c);
    return escaped;
  }

  TemporaryFolder folder_;
  std::string tmpdir_, out_, err_;
};

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
  EXPECT_EQ(report.slots[0]["rows"]["same"]["samples_s"].size(), 3);
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

TEST_F(Gate, IdenticalBinariesAreNotTimedUnlessAsked) {
  GateSettings settings = Settings({}, {});
  settings.candidate = settings.baseline;
  EXPECT_EQ(Run(settings).decision, Decision::kPass);
  EXPECT_FALSE(std::filesystem::exists(folder_.path("a.runs")));
  settings.time_identical = true;
  EXPECT_EQ(Run(settings).slots.size(), 12);
}

TEST_F(Gate, ContaminatedRunsDecideNothing) {
  GateSettings settings = Settings({}, {.rows = {{"row", "101"}}});
  // The sentinel after each run, and so around it, follows the binary's turn.
  int calls = 0;
  settings.sentinel = [&] { return 1.0 + 0.1 * (calls++ % 4 == 2); };
  settings.rule.sentinel_limit = 1e-6;
  const GateReport report = Run(settings);
  EXPECT_EQ(report.decision, Decision::kInconclusive);
  EXPECT_THAT(report.rows[0].sentence, HasSubstr("Contaminated"));
}

struct Trouble {
  const char* name;
  Fake candidate;
  const char* says;
};

TEST_F(Gate, WhatCannotBeComparedSaysWhy) {
  const std::vector<Trouble> troubles{
      {"missing row", {.rows = {{"other", "100"}}}, "the candidate lacks rows: row; the baseline"},
      {"crash", {.before = "kill -SEGV $$"}, "candidate was ended by signal 11"},
      {"crash later", {.before = "[ $runs -lt 4 ] || exit 7"}, "candidate exited with 7"},
      {"its words", {.before = "echo 'cannot load weights' >&2; exit 1"}, "cannot load weights"},
      {"no JSON", {.before = "exit 0"}, "left no results"},
      {"broken JSON", {.before = "echo '{' >\"$out\"; exit 0"}, "results that can be read"},
      {"no rows", {.rows = {}}, "candidate has no row"},
      {"aggregates",
       {.before = R"(echo '{"benchmarks": [{"name": "row_mean", "run_type": "aggregate"}]}' )"
                  R"(>"$out"; exit 0)"},
       "candidate reports aggregates only"},
      {"more rows later",
       {.rows = {{"row$([ $runs -lt 3 ] || echo more)", "100"}}},
       "its rows change between runs"},
      {"no time", {.rows = {{"row", "0"}}}, "took no time"},
      {"skipped",
       {.counters = R"("error_occurred": true, "error_message": "wrong result")"},
       "row row skipped itself: wrong result"},
      {"another build",
       {.context = R"("library_build_type": "debug")"},
       "library_build_type differs"},
  };
  for (const Trouble& trouble : troubles) {
    SCOPED_TRACE(trouble.name);
    for (const char* side : {"a", "b"}) std::filesystem::remove(folder_.path(side) + ".runs");
    GateSettings settings = Settings({}, trouble.candidate);
    if (std::string(trouble.name) == "more rows later") {
      // The row's name is worked out by the shell.
      std::string script = ReadFile(settings.candidate);
      script.replace(script.find("row 'row$"), 5, "row \"");
      script.replace(script.find("more)'"), 6, "more)\"");
      folder_.Write("b", script);
    }
    const GateReport report = Run(settings);
    EXPECT_EQ(report.decision, Decision::kNotComparable);
    EXPECT_THAT(report.headline, HasSubstr(trouble.says));
    EXPECT_THAT(report.headline, Not(HasSubstr("\n")));
  }
}

TEST_F(Gate, RowsThatSetTheirOwnRepetitionsNeedFour) {
  const Fake two{.rows = {{"row", "101"}}, .before = "n=2"};
  const Fake four{.rows = {{"row", "101"}}, .before = "n=4"};
  EXPECT_THAT(Run(Settings({}, two)).headline, HasSubstr("row row ran 2 repetitions where 8"));
  EXPECT_EQ(Run(Settings({}, four)).decision, Decision::kPass);
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

// --- The command line --------------------------------------------------------------------------

TEST_F(Gate, EveryOutputIsWritten) {
  const std::string a = Make("a", {}), b = Make("b", {.counters = R"("predicted_flops": 9)"});
  EXPECT_EQ(RunCommand({"gate", "--baseline", a, "--candidate", b, "--json",
                        folder_.path("verdict.json"), "--markdown", folder_.path("v.md"), "--junit",
                        folder_.path("v.xml"), "--bencher", folder_.path("bmf.json"),
                        "--annotations", "on", "--benchmark_filter=r.w", "--", "--model", "gpt2"}),
            kCheckFailed);
  EXPECT_EQ(Verdict()["verdict"], "FAIL");
  EXPECT_EQ(Verdict()["settings"]["arguments"],
            nlohmann::json({"--model", "gpt2", "--benchmark_filter=r.w"}));
  EXPECT_THAT(out_, HasSubstr("::error title="));
  EXPECT_THAT(ReadFile(folder_.path("v.md")), HasSubstr("### Gate: FAIL"));
  EXPECT_THAT(ReadFile(folder_.path("v.xml")), HasSubstr("failures=\"1\""));
  EXPECT_EQ(ReadFile(folder_.path("bmf.json")), "{}\n");  // nothing was timed
}

TEST_F(Gate, VerdictIsWrittenWhereThereIsNone) {
  const std::string a = Make("a", {}), b = Make("b", {.before = "exit 9"});
  EXPECT_EQ(RunCommand({"gate", "--baseline", a, "--candidate", b, "--json",
                        folder_.path("verdict.json")}),
            kNoAnswer);
  EXPECT_EQ(Verdict()["verdict"], "NOT COMPARABLE");
  EXPECT_THAT(Verdict()["headline"], "candidate exited with 9");
}

TEST_F(Gate, BadUsageIsOneLineAndLeavesNoFile) {
  const std::string a = Make("a", {});
  const std::string text = folder_.Write("text", "no program");
  const std::vector<std::string> before = folder_.Files();
  const auto gate = [&](std::vector<std::string> more) {
    std::vector<std::string> words{
        "gate", "--baseline", a, "--candidate", a, "--json", folder_.path("verdict.json")};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  };
  const std::vector<std::pair<std::vector<std::string>, const char*>> cases{
      {{"gate"}, "gate needs --baseline BIN"},
      {{"gate", "--baseline", a}, "gate needs"},
      {{"gate", "--baseline", a, "--candidate", "/no/such"}, "no such file"},
      {{"gate", "--baseline", a, "--candidate", text}, "is not executable"},
      {{"gate", "--baseline", a, "--candidate", folder_.path()}, "no such file"},
      {gate({"--baseline-ref", "HEAD"}), "builds both"},
      {gate({"--candidate-ref", "HEAD"}), "needs --baseline-ref"},
      {gate({"--budget", "0"}), "--budget"},
      {gate({"--budget", "much"}), "much"},
      {gate({"--blocks", "1"}), "--blocks must be from 2"},
      {gate({"--blocks", "10", "--max-blocks", "9"}), "--max-blocks"},
      {gate({"--time-limit", "0"}), "--time-limit"},
      {gate({"--seed", "many"}), "--seed"},
      {gate({"--annotations", "maybe"}), "on, off"},
      {gate({"--junit", "/proc/none/x.xml"}), "cannot be written"},
      {gate({"--profile", text + "/in"}), "cannot be made"},
      {gate({"--benchmark_out=x.json"}), "set by the gate itself"},
      {gate({"--", "--benchmark_repetitions=9"}), "set by the gate itself"},
      {gate({"--bugdet", "5"}), "did you mean '--budget'"},
      {{"gate", "--plan", "--baseline", a, "--plan-seconds", "0"}, "--plan-seconds"},
      {{"compare"}, "required"},
      {{"compare", a, a}, "not valid JSON"},
      {{"compare", "/no/such.json", a}, "cannot be read"},
      {{"compare", a, a, "--budget", "-3"}, "--budget"},
      {{"compare", a, a, "--format", "xml"}, "table, csv, json, md"},
  };
  for (const auto& [words, says] : cases) {
    SCOPED_TRACE(::testing::PrintToString(words));
    EXPECT_EQ(RunCommand(words), kBadInput);
    EXPECT_THAT(out_, IsEmpty());
    EXPECT_THAT(err_, HasSubstr(says));
    EXPECT_EQ(std::ranges::count(err_, '\n'), 1) << err_;
    EXPECT_THAT(folder_.Files(), ::testing::UnorderedElementsAreArray(before));
  }
}

TEST_F(Gate, CompareAnswersByItsExitCode) {
  const auto saved = [&](const char* name, int ns, int flops) {
    return folder_.Write(name, fmt::format(R"({{"context": {{"num_cpus": 2}}, "benchmarks": [
        {{"name": "row", "run_type": "iteration", "iterations": 1, "real_time": {}, "time_unit":
        "ns", "predicted_flops": {}}}]}})",
                                           ns, flops));
  };
  const std::string a = saved("a.json", 100, 8);
  EXPECT_EQ(RunCommand({"compare", a, a}), kDone);
  EXPECT_THAT(out_, HasSubstr("the same run"));
  EXPECT_EQ(RunCommand({"compare", a, saved("b.json", 101, 8)}), kNoAnswer);
  EXPECT_THAT(out_, HasSubstr("Times are advisory"));
  EXPECT_EQ(RunCommand({"compare", a, saved("c.json", 101, 9)}), kCheckFailed);
  EXPECT_THAT(out_, HasSubstr("predicted_flops 8 → 9"));
  EXPECT_EQ(RunCommand({"compare", a, saved("d.json", 101, 9), "--format", "json"}), kCheckFailed);
  EXPECT_EQ(nlohmann::json::parse(out_)["verdict"], "FAIL");
  const std::string other = folder_.Write("e.json", R"({"context": {"num_cpus": 3}, "benchmarks": [
      {"name": "row", "iterations": 1, "real_time": 100}]})");
  EXPECT_EQ(RunCommand({"compare", a, other}), kNoAnswer);
  EXPECT_THAT(out_, HasSubstr("not comparable: num_cpus: A 2, B 3"));
}

TEST_F(Gate, HelpTeaches) {
  for (const char* command : {"gate", "compare"}) {
    EXPECT_EQ(RunCommand({command, "--help"}), kDone);
    EXPECT_THAT(out_, HasSubstr("--budget"));
    EXPECT_THAT(out_, HasSubstr("Exit codes"));
  }
}

// --- Revisions ---------------------------------------------------------------------------------

/// A checkout whose `bench` reports FLOPs; the second commit reports more.
class GateRevisions : public Gate {
 protected:
  void SetUp() override {
    if (std::system("git --version >/dev/null 2>&1") != 0) GTEST_SKIP() << "no git here";
    before_ = std::filesystem::current_path();
    std::filesystem::create_directory(folder_.path("checkout"));
    std::filesystem::current_path(folder_.path("checkout"));
    setenv("CMAKE_GENERATOR", "Ninja", 1);
    Write("CMakeLists.txt",
          "cmake_minimum_required(VERSION 3.25)\nproject(x LANGUAGES NONE)\n"
          "add_custom_target(bench COMMAND sh ${CMAKE_SOURCE_DIR}/build.sh\n"
          "  COMMAND cp ${CMAKE_SOURCE_DIR}/bench.sh ${CMAKE_BINARY_DIR}/bench)\n");
    Write("build.sh", "true\n");
    std::filesystem::copy_file(Make("a", {}), "bench.sh");
    Git("init -q");
    Commit("one");
    std::filesystem::copy_file(Make("b", {.counters = R"("predicted_flops": 1001)"}), "bench.sh",
                               std::filesystem::copy_options::overwrite_existing);
    Commit("two");
  }
  void TearDown() override {
    if (before_.empty()) return;
    EXPECT_EQ(std::system("test $(git worktree list | wc -l) = 1"), 0) << "a worktree is left";
    std::filesystem::current_path(before_);
    unsetenv("CMAKE_GENERATOR");
  }

  static void Write(const std::string& name, const std::string& content) {
    std::ofstream(name) << content;
  }
  static void Git(const std::string& words) {
    ASSERT_EQ(std::system(("git -c user.name=x -c user.email=x@x " + words).c_str()), 0);
  }
  static void Commit(const std::string& message) {
    Git("add -A");
    Git("commit -q -m " + message);
  }
  int GateAgainst(const std::string& revision) {
    return RunCommand({"gate", "--baseline-ref", revision, "--preset", "", "--target", "bench",
                       "--json", folder_.path("verdict.json")});
  }

  std::filesystem::path before_;
};

TEST_F(GateRevisions, BothAreBuiltGatedAndRemoved) {
  EXPECT_EQ(GateAgainst("HEAD~1"), kCheckFailed) << err_;
  EXPECT_THAT(out_, HasSubstr("predicted_flops 1,000 → 1,001"));
  EXPECT_EQ(GateAgainst("HEAD"), kDone) << err_;
  EXPECT_THAT(out_, HasSubstr("identical"));
}

TEST_F(GateRevisions, VerdictNamesTheCommits) {
  GateAgainst("HEAD~1");
  EXPECT_EQ(Verdict()["settings"]["baseline_commit"].get<std::string>().size(), 40);
  EXPECT_NE(Verdict()["settings"]["baseline_commit"], Verdict()["settings"]["candidate_commit"]);
}

TEST_F(GateRevisions, WorktreesOfOthersStay) {
  const std::string other = folder_.path("other");
  Git("worktree add -q --detach " + other);
  std::filesystem::rename(other, folder_.path("away"));  // as on a disk that is not mounted
  GateAgainst("HEAD~1");
  std::filesystem::rename(folder_.path("away"), other);
  EXPECT_EQ(std::system(("git -C " + other + " status >/dev/null").c_str()), 0);
  Git("worktree remove --force " + other);
}

TEST_F(GateRevisions, UnknownRevisionIsBadInput) {
  EXPECT_EQ(GateAgainst("no-such-branch"), kBadInput);
  EXPECT_THAT(err_, HasSubstr("'no-such-branch' is no revision of"));
  EXPECT_FALSE(std::filesystem::exists(folder_.path("verdict.json")));
}

TEST_F(GateRevisions, FailingBuildIsNoAnswer) {
  Write("build.sh", "echo 'it does not compile' >&2; exit 1\n");
  Commit("three");
  EXPECT_EQ(GateAgainst("HEAD~1"), kNoAnswer);
  EXPECT_THAT(Verdict()["headline"].get<std::string>(), HasSubstr("it does not compile"));
}

TEST_F(GateRevisions, InterruptedBuildLeavesNothing) {
  Write("build.sh",
        fmt::format("echo $$ >'{}'; kill -INT {}; sleep 1000\n", folder_.path("child"), getpid()));
  Commit("three");
  EXPECT_EQ(GateAgainst("HEAD~1"), kNoAnswer);
  EXPECT_THAT(out_, HasSubstr("INCONCLUSIVE: interrupted while building"));
  ExpectEnded(ReadFile(folder_.path("child")));
}

// --- Profiles ----------------------------------------------------------------------------------

TEST(FoldStacks, PutsTheRootFirstAndCountsEqualStacks) {
  EXPECT_EQ(
      FoldStacks("bench 12 1.5: 1 cpu-clock:\n\t  aa leaf(int)+0x1f (/a b/c)\n\t  bb main+0x2 "
                 "(/x)\n\nbench 12 1.6: 1 cpu-clock:\n\t  aa leaf(int)+0x2f (/a b/c)\n\t  bb "
                 "main+0x2 (/x)\n\nbench 12 1.7: 1 cpu-clock:\n\t  cc [unknown] (/y)\n\n"),
      "bench;[unknown] 1\nbench;main;leaf(int) 2\n");
  EXPECT_EQ(FoldStacks(""), "");
  EXPECT_EQ(FoldStacks("   \nbench 1 1.5: 1 x:\n\t  aa leaf+0x1 (/x)\n  \n"), "bench;leaf 1\n");
}

TEST_F(Gate, ProfileLeavesFoldedStacksOfBothBinaries) {
  std::filesystem::create_directory(folder_.path("bin"));
  folder_.Write("bin/perf",
                "#!/bin/sh\nif [ $1 = script ]; then echo 'a warning' >&2\n"
                "printf 'bench 1 1.5: 1 cpu-clock:\\n\\t  aa leaf+0x1 (/x)\\n\\n'; fi\n");
  std::filesystem::permissions(folder_.path("bin/perf"), std::filesystem::perms::owner_all);
  const std::string path = std::getenv("PATH");
  setenv("PATH", (folder_.path("bin") + ":" + path).c_str(), 1);
  const auto lines = ProfileRows(Settings({}, {}), {"row/1"}, folder_.path());
  setenv("PATH", path.c_str(), 1);
  EXPECT_THAT(lines, ElementsAre(HasSubstr("wrote"), HasSubstr("wrote")));
  for (const char* side : {"baseline", "candidate"}) {
    EXPECT_EQ(ReadFile(folder_.path(fmt::format("row_1.{}.folded", side))), "bench;leaf 1\n");
  }
}

TEST_F(Gate, ProfileSaysWhyThereIsNone) {
  const std::string path = std::getenv("PATH");
  setenv("PATH", folder_.path().c_str(), 1);
  const auto lines = ProfileRows(Settings({}, {}), {"row"}, folder_.path());
  setenv("PATH", path.c_str(), 1);
  ASSERT_EQ(lines.size(), 2);
  EXPECT_THAT(lines[0], HasSubstr("unavailable for row (baseline): perf: cannot be started"));
}

}  // namespace
}  // namespace flopledger
