// What every command prints: in each format, alone on standard output, in lines that fit.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>
#include <tuple>

#include "analysis/text/csv.h"
#include "analysis/text/markup.h"
#include "bench/cli/cli.h"
#include "tests/bench/cli/command_line.h"
#include "tests/support/temporary_folder.h"

namespace flopledger {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kModel[] = R"({"vocab_size": 50, "context_length": 24, "num_layers": 3,
  "d_model": 24, "num_heads": 3, "d_ff": 40})";
constexpr char kClaims[] = R"({"model": "gpt2-xl", "claims": [
  {"id": "1", "text": "how many parameters the model has with its own output layer",
   "quantity": "params.total.model", "value": "2127057600"},
  {"id": "2", "quantity": "flops.total.model", "value": "3.5T"}]})";

constexpr char kShort[] = "--benchmark_min_time=0.001";  // of passes: their times are not looked at

class Formats : public ::testing::Test {
 protected:
  Formats() {
    setenv("XDG_CACHE_HOME", folder_.path("cache").c_str(), 1);
    model_ = folder_.Write("model.json", kModel);
    claims_ = folder_.Write("claims.json", kClaims);
    ledger_ = folder_.path("ledger.json");
    const Outcome run = Run({"run", model_, "-r", "2", "-t", "1", kShort, "--json", ledger_});
    EXPECT_TRUE(Ran(run)) << run.err;
  }

  ~Formats() override { unsetenv("COLUMNS"); }

  static Outcome Run(const std::vector<std::string>& words) { return RunWords(words); }

  /// A call of each command that prints a result.
  std::vector<std::vector<std::string>> Calls() const {
    return {{"presets"},
            {"account", "gpt2-xl"},
            {"account", "gpt2-xl", "--explain"},
            {"account", "gpt2-xl", "--sweep", "context=256:1024:x2"},
            {"account", "gpt2-xl", "--training", "--peak", "19.5T", "--steps", "400000"},
            {"account", "gpt2-xl", "--inference"},
            {"account", "gpt2-xl", "--conventions"},
            {"account", "gpt2-xl", "--convention", "nanogpt"},
            {"audit", claims_},
            {"audit", "--quantities"},
            {"compare", ledger_, ledger_},
            {"doctor"},
            {"run", model_, "-r", "1", "-t", "1", kShort, "--count", "off"},
            {"run", model_, "-r", "1", "-t", "1", kShort, "-n", "2", "--layers", "1"},
            {"run", model_, "-r", "1", "-t", "1", kShort, "--matmul", "all", "--count", "off"}};
  }

  TemporaryFolder folder_;
  std::string model_, claims_, ledger_;
};

std::vector<std::string> With(std::vector<std::string> words, std::vector<std::string> more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

TEST_F(Formats, EachCommandPrintsEachFormatAndNothingElse) {
  for (const auto& words : Calls()) {
    SCOPED_TRACE(::testing::PrintToString(words));
    const std::string json = Run(With(words, {"--format", "json"})).out;
    EXPECT_TRUE(nlohmann::json::accept(json)) << json.substr(0, 300);
    const std::string csv = Run(With(words, {"--format", "csv"})).out;
    EXPECT_GE(ParseCsv(csv, "csv").size(), 2U) << csv.substr(0, 300);
    const std::string md = Run(With(words, {"--format", "md"})).out;
    EXPECT_TRUE(std::regex_search(md, std::regex("\\| ---:? \\|"))) << md.substr(0, 300);
    EXPECT_THAT(Run(With(words, {"--format", "table"})).out, HasSubstr("---"));
    const Outcome unknown = Run(With(words, {"--format", "xml"}));
    EXPECT_EQ(unknown.code, kBadInput);
    EXPECT_THAT(unknown.out, IsEmpty());
    EXPECT_THAT(unknown.err, HasSubstr("table, csv, json, md"));
  }
}

TEST_F(Formats, TheFilesNameDecidesTheFormatAndStandardOutputStaysEmpty) {
  const std::string json = folder_.path("out.json"), csv = folder_.path("out.csv");
  EXPECT_THAT(Run({"presets", "--out", json}).out, IsEmpty());
  EXPECT_TRUE(nlohmann::json::accept(ReadFile(json)));
  EXPECT_THAT(Run({"presets", "--out", csv}).out, IsEmpty());
  EXPECT_THAT(ReadFile(csv), StartsWith("model,"));
  EXPECT_EQ(Run({"presets", "--out", csv, "--format", "md"}).code, kDone);
  EXPECT_THAT(ReadFile(csv), StartsWith("| model |"));
  EXPECT_THAT(Run({"presets", "--out", "-"}).out, StartsWith("model "));
  const Outcome nowhere = Run({"presets", "--out", "/proc/none/x.csv"});
  EXPECT_EQ(nowhere.code, kBadInput);
  EXPECT_THAT(nowhere.out, IsEmpty());
}

TEST_F(Formats, NoLineIsWiderThanTheTerminal) {
  for (const std::size_t width : {80U, 100U}) {
    setenv("COLUMNS", std::to_string(width).c_str(), 1);
    std::vector<std::vector<std::string>> calls = Calls();
    calls.push_back({"help"});
    for (const char* command :
         {"run", "account", "presets", "audit", "calibrate", "predict", "report", "compare", "gate",
          "logits", "count-instructions", "doctor"}) {
      calls.push_back({"help", command});
    }
    calls.push_back({"run", "gpt2-xl", "--dry-run"});
    for (const auto& words : calls) {
      SCOPED_TRACE(::testing::PrintToString(words));
      std::istringstream lines(Run(words).out);
      for (std::string line; std::getline(lines, line);) {
        // A path or a flag is not cut: it keeps a line of its own.
        const bool one_word = line.find(' ', line.find_first_not_of(' ')) == std::string::npos;
        EXPECT_TRUE(LengthOf(line) <= width || one_word) << LengthOf(line) << ": " << line;
      }
    }
  }
  unsetenv("COLUMNS");
  const std::string wide = Run({"audit", "--quantities", "--wide"}).out;
  EXPECT_GT(LengthOf(wide.substr(0, wide.find('\n'))), 100U);
}

TEST_F(Formats, ADryRunSaysWhatWouldRunAndRunsNothing) {
  const Outcome plan =
      Run({"run", "gpt2", "-p", "64", "--dry-run", "--csv", folder_.path("x.csv")});
  EXPECT_EQ(plan.code, kDone) << plan.err;
  EXPECT_THAT(plan.out, HasSubstr("plan: gpt2, 12 of 12 layers, context 64"));
  EXPECT_THAT(plan.out, HasSubstr("calibrated ('flopledger calibrate')"));
  EXPECT_THAT(plan.out, HasSubstr("less: --layers 1"));
  EXPECT_THAT(folder_.Files(), Not(::testing::Contains(HasSubstr("x.csv"))));
}

TEST_F(Formats, ASweepIsOneLedgerATableAndAChart) {
  const std::string json = folder_.path("sweep.json");
  const Outcome sweep = Run({"run", model_, "--layers", "1", "-p", "8:16:x2", "--batch", "1,2",
                             "-r", "2", "-t", "1", kShort, "--count", "off", "--json", json});
  ASSERT_TRUE(Ran(sweep)) << sweep.err;
  std::set<std::tuple<int64_t, int64_t>> points;
  std::set<std::string> runs;
  const auto ledger = nlohmann::json::parse(ReadFile(json));
  for (const auto& row : ledger["rows"]) {
    if (row["kind"] == "extrapolated") continue;  // not measured
    points.emplace(row["context"], row["batch"]);
    runs.insert(row["run_id"]);
    EXPECT_EQ(row["repetitions"], 2);
  }
  EXPECT_EQ(points, (std::set<std::tuple<int64_t, int64_t>>{{8, 1}, {8, 2}, {16, 1}, {16, 2}}));
  EXPECT_EQ(runs.size(), 1U);
  EXPECT_THAT(sweep.out, HasSubstr("4 points"));
  EXPECT_THAT(sweep.out, HasSubstr("context 16, batch 2"));
  EXPECT_THAT(sweep.out, HasSubstr("█"));
  EXPECT_THAT(Run({"report", json}).out, HasSubstr("4 runs compared"));
  for (const auto& [words, says] :
       {std::pair{std::vector<std::string>{"-p", "8,x"}, "'x' is no whole number"},
        {{"-p", "16:8:x2"}, "ends before it begins"},
        {{"--batch", "1,,2"}, "a value is empty"},
        {{"-p", "1:24:+1", "--batch", "1,2,3"}, "more than 64 points"},
        {{"-t", "1,1000"}, "threads must be from 1"},
        {{"-p", "8,16", "-n", "2"}, "go with one"}}) {
    const Outcome bad = Run(With({"run", model_}, words));
    EXPECT_EQ(bad.code, kBadInput);
    EXPECT_THAT(bad.err, HasSubstr(says));
  }
}

TEST_F(Formats, ColoursComeWhereTheyAreWantedOnly) {
  const auto audit = [&](const char* color) {
    return Run({"audit", claims_, "--color", color}).out;
  };
  EXPECT_THAT(audit("always"), HasSubstr("\x1b[31m"));
  EXPECT_THAT(audit("never"), Not(HasSubstr("\x1b")));
  EXPECT_THAT(audit("auto"), Not(HasSubstr("\x1b")));  // this is no terminal
}

TEST_F(Formats, ABareCallTeachesAndStartsNothing) {
  const Outcome bare = Run({});
  EXPECT_EQ(bare.code, kDone);
  EXPECT_THAT(bare.out, HasSubstr("flopledger run"));
  EXPECT_LE(std::ranges::count(bare.out, '\n'), 12);
  EXPECT_EQ(Run({"help", "run"}).out, Run({"run", "--help"}).out);
  EXPECT_THAT(Run({"-V"}).out, StartsWith("flopledger "));
  EXPECT_THAT(Run({"help", "acount"}).err, HasSubstr("did you mean 'account'"));
}

TEST_F(Formats, DefaultsComeFromVariablesAndAFileAndTheLineHasTheLastSay) {
  setenv("FLOPLEDGER_MODEL", "gpt2", 1);
  EXPECT_THAT(Run({"account"}).out, StartsWith("gpt2:"));
  EXPECT_THAT(Run({"account", "-m", "gpt2-xl"}).out, StartsWith("gpt2-xl:"));
  unsetenv("FLOPLEDGER_MODEL");
  const std::string config = folder_.Write("config.toml", "[account]\nmodel=\"gpt2-large\"\n");
  EXPECT_THAT(Run({"--config", config, "account"}).out, StartsWith("gpt2-large:"));
  const std::string wrong = folder_.Write("wrong.toml", "[account]\nmodle=\"gpt2-large\"\n");
  EXPECT_EQ(Run({"--config", wrong, "account"}).code, kBadInput);
}

TEST_F(Formats, ErrorsAreInThisProgramsWords) {
  const std::pair<std::vector<std::string>, const char*> cases[] = {
      {{"run", model_, "--seed", "-1"}, "--seed: must be a whole number of at least 0, found '-1'"},
      {{"account", "--model"}, "--model needs a value"},
      {{"account", "-m", "gpt2", "-m", "gpt2-xl"}, "--model is given 2 times"},
      {{"account", "--batch", "two"}, "--batch must be a whole number, found 'two'"},
      {{"run", model_, "--benchmark_repetitions", "3"}, "write --benchmark_repetitions=3"},
      {{"account", "GPT2-XL"}, "did you mean 'gpt2-xl'"},
      {{"account", "gpt2", "gpt2-xl"}, "'gpt2-xl' belongs to no option"},
      {{"account", "--benchmark_filter=x"}, "takes no flags of Google Benchmark"},
      {{"report", ledger_, "--out", folder_.path("x.pdf")}, "HTML (.html) or Markdown (.md)"},
      {{"run", model_, "--max-memory", "much"}, "--max-memory: 'much'"},
      {{"account", "--color", "pink"}, "auto, always, never"},
  };
  for (const auto& [words, says] : cases) {
    SCOPED_TRACE(::testing::PrintToString(words));
    const Outcome outcome = Run(words);
    EXPECT_EQ(outcome.code, kBadInput);
    EXPECT_THAT(outcome.out, IsEmpty());
    EXPECT_THAT(outcome.err, HasSubstr(says));
    EXPECT_EQ(std::ranges::count(outcome.err, '\n'), 1) << outcome.err;
  }
  EXPECT_EQ(Run({"run", model_, "--max-memory", "1.5GB", "--dry-run"}).code, kDone);
}

TEST_F(Formats, ThePageOfTheCommandLineIsTheProgramsOwnHelp) {
  EXPECT_EQ(Run({"help", "--markdown"}).out, ReadFile(FLOPLEDGER_FIXTURES "/../../docs/cli.md"))
      << "write it anew: flopledger help --markdown > docs/cli.md";
}

}  // namespace
}  // namespace flopledger
