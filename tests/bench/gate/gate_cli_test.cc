// The command line of gate and compare.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iostream>
#include <sstream>
#include "tests/bench/gate/gate_fixture.h"

namespace flopledger {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

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
  EXPECT_THAT(err_, HasSubstr("::error title="));
  EXPECT_THAT(out_, Not(HasSubstr("::error")));
  EXPECT_THAT(ReadFile(folder_.path("v.md")), HasSubstr("### Gate: FAIL"));
  EXPECT_THAT(ReadFile(folder_.path("v.xml")), HasSubstr("failures=\"1\""));
  EXPECT_EQ(ReadFile(folder_.path("bmf.json")), "{}\n");  // nothing was timed
}

TEST_F(Gate, VerdictIsWrittenWhereThereIsNone) {
  const std::string a = Make("a", {}), b = Make("b", {.before = "exit 9"});
  EXPECT_EQ(RunCommand({"gate", "--baseline", a, "--candidate", b, "--json",
                        folder_.path("verdict.json")}),
            kNotPossibleHere);
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
      {gate({"--metric", ":rate"}), "--metric"},
      {gate({"--metric", "x,x"}), "more than once"},
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
  EXPECT_EQ(RunCommand({"compare", a, other}), kNotPossibleHere);
  EXPECT_THAT(out_, HasSubstr("not comparable: num_cpus: A 2, B 3"));
  EXPECT_EQ(RunCommand({"compare", a, other, "--across-machines"}), kCheckFailed);  // the FLOPs
  EXPECT_EQ(RunCommand({"compare", "--metric", "cpu_time", a, a}), kBadInput);
  EXPECT_THAT(err_, HasSubstr("no row has a 'cpu_time' (--metric)"));
  EXPECT_EQ(RunCommand({"compare", "-", "-"}), kBadInput);
  std::istringstream file(ReadFile(a));
  std::streambuf* const before = std::cin.rdbuf(file.rdbuf());
  EXPECT_EQ(RunCommand({"compare", "-", a}), kDone);
  std::cin.rdbuf(before);
}

TEST_F(Gate, BisectExitTellsGitWhatToSkipAndWhenToStop) {
  const std::string a = Make("a", {}), slow = Make("slow", {.rows = {{"row", "300"}}}),
                    crash = Make("crash", {.before = "exit 9"});
  const auto gate = [&](const std::string& b) {
    return RunCommand({"gate", "--bisect-exit", "--baseline", a, "--candidate", b, "--json",
                       folder_.path("verdict.json"), "--blocks", "2", "--max-blocks", "2"});
  };
  EXPECT_EQ(gate(slow), 1);
  EXPECT_EQ(gate(crash), 125);
  EXPECT_EQ(gate("/no/such"), 128);
  EXPECT_EQ(std::ranges::count(err_, '\n'), 1) << err_;
}

TEST_F(Gate, HelpTeaches) {
  for (const char* command : {"gate", "compare", "bisect"}) {
    EXPECT_EQ(RunCommand({command, "--help"}), kDone);
    EXPECT_THAT(out_, HasSubstr("--budget"));
    EXPECT_THAT(out_, HasSubstr("Exit codes"));
  }
}

}  // namespace
}  // namespace flopledger
