// Gates of two revisions of a checkout, and the search for a slow commit among many.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include "analysis/text/markup.h"
#include "bench/gate/bisect.h"
#include "tests/bench/gate/gate_fixture.h"
#include "tests/support/refusal.h"

namespace flopledger {
namespace {

using ::testing::HasSubstr;

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
  EXPECT_EQ(GateAgainst("HEAD~1"), kCheckFailed) << "again, and nothing of the first is in the way";
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
  EXPECT_EQ(GateAgainst("HEAD~1"), kNotPossibleHere);
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

// --- Bisect ------------------------------------------------------------------------------------

/// A checkout of 16 commits after the good one: from commit 11 on slower by 20 %, and one that does
/// not build.
class BisectRevisions : public GateRevisions {
 protected:
  static constexpr int kSlow = 11;

  void SetUp() override {
    GateRevisions::SetUp();
    if (IsSkipped()) return;
    for (int i = 0; i <= 16; ++i) MakeCommit(i, i >= kSlow ? "120" : "100", i == unbuildable_);
  }
  void MakeCommit(int i, const std::string& ns, bool broken) {
    std::filesystem::copy_file(Make("made", {.rows = {{"other", "50"}, {"row", ns}}}), "bench.sh",
                               std::filesystem::copy_options::overwrite_existing);
    Write("build.sh", broken ? "echo 'no such type' >&2; exit 1\n" : "true\n");
    Write("number", fmt::format("{}\n", i));
    Commit(fmt::format("commit-{}", i));
    if (i == 0) Git("tag good");
  }
  BisectSettings Bisect() {
    BisectSettings settings{.good = "good", .bad = "HEAD", .build = {"", "bench"}, .gate = {}};
    settings.gate.rule.first_blocks = 2;
    settings.gate.rule.most_blocks = 3;
    settings.gate.sentinel = [] { return 1e9; };
    return settings;
  }
  BisectReport Search() {
    std::ostringstream log;
    Progress silent(log, false);
    return RunBisect(Bisect(), silent, log);
  }

  int unbuildable_ = 8;  // the first that is asked
};

TEST_F(BisectRevisions, NamesTheCommitThreeTimesOfThree) {
  for (int i = 0; i < 3; ++i) {
    const BisectReport report = Search();
    ASSERT_EQ(report.end, BisectReport::End::kFound) << report.reason;
    EXPECT_EQ(report.row, "row");
    EXPECT_EQ(report.subjects, std::vector<std::string>{"commit-11"});
    EXPECT_LE(report.gates.size(), 7);
    EXPECT_NEAR(report.gates.front().estimate->ratio, 1.2, 1e-9);
    EXPECT_EQ(report.gates[1].verdict, "skipped");
    EXPECT_THAT(report.gates[1].sentence, HasSubstr("no such type"));
  }
  EXPECT_EQ(std::system("test ! -e .git/flopledger-bisect.json"), 0);
}

TEST_F(BisectRevisions, InterruptedItGoesOnWhereItWas) {
  // The sentinel runs around every run: the 20th of them interrupts.
  BisectSettings settings = Bisect();
  int calls = 0;
  settings.gate.sentinel = [&] { return interrupted = ++calls == 20, 1e9; };
  std::ostringstream log;
  Progress silent(log, false);
  const BisectReport first = RunBisect(settings, silent, log);
  EXPECT_EQ(first.end, BisectReport::End::kInterrupted);
  EXPECT_EQ(first.gates.size(), 2);  // the bad revision, and the commit that does not build
  EXPECT_EQ(std::system("test -e .git/flopledger-bisect.json"), 0);
  interrupted = false;
  Progress telling(log, false);
  const BisectReport second = RunBisect(Bisect(), telling, log);
  EXPECT_EQ(second.end, BisectReport::End::kFound);
  EXPECT_THAT(log.str(), HasSubstr("resumed after 2 gates"));
  EXPECT_EQ(second.subjects, std::vector<std::string>{"commit-11"});
  EXPECT_EQ(std::system("test ! -e .git/flopledger-bisect.json"), 0);
}

TEST_F(GateRevisions, BisectPrintsEachFormatInLinesThatFit) {
  Git("reset -q --hard HEAD~1");
  std::filesystem::copy_file(Make("slow", {.rows = {{"row", "200"}}}), "bench.sh",
                             std::filesystem::copy_options::overwrite_existing);
  Commit("slow");
  const auto bisect = [&](const char* format) {
    return RunCommand({"bisect", "--good", "HEAD~1", "--preset", "", "--target", "bench",
                       "--blocks", "2", "--max-blocks", "2", "--format", format});
  };
  EXPECT_EQ(bisect("json"), kDone) << err_;
  EXPECT_EQ(nlohmann::json::parse(out_)["row"], "row");
  EXPECT_EQ(bisect("csv"), kDone);
  EXPECT_THAT(out_, ::testing::StartsWith("commit,verdict,B/A,low,high,says"));
  EXPECT_EQ(bisect("md"), kDone);
  EXPECT_THAT(out_, HasSubstr("| commit | verdict |"));
  for (const std::size_t width : {80U, 100U}) {
    setenv("COLUMNS", std::to_string(width).c_str(), 1);
    EXPECT_EQ(bisect("table"), kDone);
    EXPECT_THAT(err_, HasSubstr("next: 'git show "));
    std::istringstream lines(out_ + err_.substr(err_.find("flopledger: next")));
    for (std::string line; std::getline(lines, line);) EXPECT_LE(LengthOf(line), width) << line;
  }
  unsetenv("COLUMNS");
}

TEST_F(BisectRevisions, ASkippedCommitBesideTheSlowOneLeavesTwo) {
  MakeCommit(17, "120", false);  // good is now this one
  Git("tag -f good");
  MakeCommit(18, "120", true);
  MakeCommit(19, "150", false);
  const BisectReport report = Search();
  ASSERT_EQ(report.end, BisectReport::End::kFound) << report.reason;
  EXPECT_EQ(report.subjects, (std::vector<std::string>{"commit-18", "commit-19"}));
}

TEST_F(BisectRevisions, WithoutAnAnswerItTakesTwiceTheBlocks) {
  MakeCommit(17, "$((104 + runs % 3))", false);  // about what the budget allows
  std::ostringstream log;
  Progress telling(log, false);
  BisectSettings settings = Bisect();
  settings.good = "good";
  const BisectReport report = RunBisect(settings, telling, log);
  EXPECT_EQ(report.end, BisectReport::End::kInconclusive);
  EXPECT_THAT(log.str(), HasSubstr("no answer: again, with 3 to 6 blocks"));
}

TEST_F(BisectRevisions, SaysWhereThereIsNothingToFind) {
  BisectSettings settings = Bisect();
  std::ostringstream log;
  Progress silent(log, false);
  settings.bad = "HEAD~6";  // commit 10
  EXPECT_EQ(RunBisect(settings, silent, log).end, BisectReport::End::kNotSlower);
  settings.bad = "HEAD~8";
  const BisectReport broken = RunBisect(settings, silent, log);
  EXPECT_EQ(broken.end, BisectReport::End::kNotComparable);
  EXPECT_THAT(broken.reason, HasSubstr("no such type"));
  settings.good = "HEAD";
  EXPECT_THAT(Refusal([&] { RunBisect(settings, silent, log); }), HasSubstr("no ancestor of"));
  EXPECT_EQ(RunCommand({"bisect", "--good", "none", "--preset", ""}), kBadInput);
  EXPECT_EQ(RunCommand({"bisect"}), kBadInput);
}

}  // namespace
}  // namespace flopledger
