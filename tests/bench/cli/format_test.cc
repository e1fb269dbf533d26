// What every command prints: in each format, alone on standard output, in lines that fit.
#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>
#include <tuple>

#include "analysis/text/csv.h"
#include "analysis/text/markup.h"
#include "bench/benchmarks/bench_main.h"
#include "bench/cli/cli.h"
#include "bench/cli/common.h"
#include "bench/counting/instruction_count.h"
#include "tests/bench/cli/command_line.h"
#include "tests/support/flat_calibration.h"
#include "tests/support/ledger_csv.h"
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

/// A benchmark binary that gives the row this many nanoseconds, and that many misses.
constexpr char kBinary[] = R"(#!/bin/sh
for word in "$@"; do case $word in
  --benchmark_out=*) out=${{word#*=}} ;;
  --benchmark_repetitions=*) n=${{word#*=}} ;;
esac; done
{{ echo '{{"context": {{"num_cpus": 2}}, "benchmarks": ['
i=0
while [ $i -lt $n ]; do
  echo "$comma{{\"name\": \"gpt2-xl/packed/attention/m:1024/n:1024/k:64/products:25/threads:2\","
  echo '"run_type": "iteration", "repetition_index": '$i', "iterations": 1500000,'
  echo '"real_time": {}, "time_unit": "ns", "llc_misses": {}, "predicted_flops": 8}}'
  comma=, i=$((i + 1))
done
echo ']}}'; }} >"$out"
)";

const std::string kTiny = FLOPLEDGER_FIXTURES "/gpt2-tiny/";

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
    calibration_ = folder_.Write("cal.json", ToJson(FlatCalibration(LoadModel(model_))).dump());
    fast_ = Binary("fast", 100, 10);
    same_ = Binary("same", 100, 10);
    slow_ = Binary("slow", 300, 20);
  }

  ~Formats() override { unsetenv("COLUMNS"); }

  static Outcome Run(const std::vector<std::string>& words) { return RunWords(words); }

  std::string Binary(const char* name, int ns, int misses) {
    std::string path = folder_.Write(name, fmt::format(kBinary, ns, misses));
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    return path;
  }

  std::vector<std::string> Gate(const std::string& candidate) const {
    return {"gate",
            "--baseline",
            fast_,
            "--candidate",
            candidate,
            "--blocks",
            "2",
            "--max-blocks",
            "2",
            "--json",
            folder_.path("verdict.json")};
  }

  /// A call of each command that prints a result (bisect: tests/bench/gate/revisions_test.cc).
  std::vector<std::vector<std::string>> Calls() const {
    std::vector<std::vector<std::string>> calls = {
        {"presets"},
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
        {"calibrate", "--show", "--calibration", calibration_},
        {"predict", model_, "--calibration", calibration_, "-t", "1"},
        {"logits", "-m", kTiny + "config.json", "--weights", kTiny, "--tokens",
         kTiny + "tokens.json"},
        Gate(slow_),
        {"run", model_, "-r", "1", "-t", "1", kShort, "--count", "off"},
        {"run", model_, "-r", "1", "-t", "1", kShort, "-n", "2", "--layers", "1"},
        {"run", model_, "-r", "1", "-t", "1", kShort, "--matmul", "all", "--count", "off"}};
    if (InstructionCountUnavailable().empty()) {
      calls.push_back({"count-instructions", "--kernel", "residual", "--shape", "2x16"});
    }
    return calls;
  }

  TemporaryFolder folder_;
  std::string model_, claims_, ledger_, calibration_, fast_, slow_, same_;
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

TEST_F(Formats, ATableEndsWithWhatToCallNext) {
  auto calls = Calls();
  calls.push_back(Gate(same_));
  calls.push_back({"compare", ledger_, ledger_});
  for (const auto& words : calls) {
    SCOPED_TRACE(::testing::PrintToString(words));
    EXPECT_THAT(Run(With(words, {"--format", "table"})).err, HasSubstr("flopledger: next: "));
    EXPECT_THAT(Run(With(words, {"--format", "csv"})).err, Not(HasSubstr("next: ")));
  }
}

TEST_F(Formats, TheGatePrintsItsVerdictInEachFormatBesideItsFiles) {
  const Outcome table = Run(Gate(slow_));
  EXPECT_EQ(table.code, kCheckFailed) << table.err;
  EXPECT_THAT(table.out, HasSubstr("gate: FAIL: 1 row: 1 FAIL"));
  EXPECT_THAT(table.out, HasSubstr("llc_misses"));
  const auto json = nlohmann::json::parse(Run(With(Gate(slow_), {"--format", "json"})).out);
  EXPECT_EQ(json["verdict"], "FAIL");
  EXPECT_EQ(nlohmann::json::parse(ReadFile(folder_.path("verdict.json")))["verdict"], "FAIL");
  const auto csv = ParseCsv(Run(With(Gate(slow_), {"-o", "csv"})).out, "csv");
  ASSERT_EQ(csv.size(), 2U);
  EXPECT_EQ(csv[0], (std::vector<std::string>{"row", "metric", "verdict", "a", "b", "unit", "ratio",
                                              "low", "high", "sigma", "blocks", "reason"}));
  EXPECT_EQ(csv[1][2], "FAIL");
  EXPECT_EQ(csv[1][3] + csv[1][5], "100ns");
  EXPECT_EQ(csv[1][6], "3");
  EXPECT_THAT(Run(With(Gate(slow_), {"-o", "md"})).out, StartsWith("### Gate: FAIL"));
  const Outcome crashed = Run(With(Gate("/bin/false"), {"-o", "csv"}));
  EXPECT_EQ(crashed.code, kNotPossibleHere);
  EXPECT_THAT(crashed.out, HasSubstr("(all),,NOT COMPARABLE"));
  const std::string file = folder_.path("gate.json");
  EXPECT_THAT(Run(With(Gate(slow_), {"--out", file})).out, IsEmpty());
  EXPECT_EQ(nlohmann::json::parse(ReadFile(file))["verdict"], "FAIL");
  const Outcome bencher = Run(With(Gate(slow_), {"--bencher", "-"}));
  EXPECT_TRUE(nlohmann::json::accept(bencher.out)) << bencher.out;
}

TEST_F(Formats, WhatIsKeptOfACalibrationCanBePrinted) {
  const auto show = [&](std::vector<std::string> more) {
    return Run(With({"calibrate", "--show", "--calibration", calibration_}, std::move(more)));
  };
  EXPECT_EQ(nlohmann::json::parse(show({"-o", "json"}).out),
            nlohmann::json::parse(ReadFile(calibration_)));
  EXPECT_THAT(show({}).out, HasSubstr("FMA peak, 256-bit"));
  EXPECT_THAT(show({}).out, HasSubstr("taken 2026-11-24T20:00:00Z"));
  EXPECT_EQ(Run({"calibrate", "--show"}).code, kNotPossibleHere);  // there is none of this user's
  EXPECT_EQ(show({"--quick"}).code, kBadInput);
}

TEST_F(Formats, DecodedTokensHaveRowsOfTheirOwnInEachFormat) {
  const std::vector<std::string> words = {"run", model_, "-r", "1", "-t",      "1",  kShort,
                                          "-n",  "2",    "-p", "8", "--count", "off"};
  EXPECT_THAT(Run(words).out, HasSubstr("one token at a time"));
  EXPECT_THAT(Run(With(words, {"-o", "md"})).out, HasSubstr("| one token at a time |"));
  const auto json = nlohmann::json::parse(Run(With(words, {"-o", "json"})).out);
  const auto& decode = json["environment"]["decode"];
  const auto rows = RecordsFromCsv(Run(With(words, {"-o", "csv"})).out, "csv");
  const auto first = std::ranges::find(rows, "decode", &Record::kind);
  EXPECT_EQ(rows.end() - first, std::ssize(decode["operations"]) + 1);
  for (auto row = first; row != rows.end(); ++row) {
    EXPECT_EQ(row->context, 8);
    EXPECT_EQ(row->count, 2);
    EXPECT_EQ(row->flops_source, "none");
    EXPECT_FALSE(row->peak_gflops.has_value());
    EXPECT_GT(row->time_s.value_or(0), 0);
  }
  EXPECT_EQ(rows.back().op, "decode_total");
  EXPECT_EQ(rows.back().predicted_flops, decode["predicted_flops"]);
  EXPECT_EQ(rows.back().bytes, decode["bytes"]);
}

TEST_F(Formats, ADashIsStandardOutput) {
  const std::vector<std::string> run = {"run", model_, "-r",      "1",  "-t",
                                        "1",   kShort, "--count", "off"};
  EXPECT_TRUE(nlohmann::json::accept(Run(With(run, {"--json", "-"})).out));
  EXPECT_GE(RecordsFromCsv(Run(With(run, {"--csv", "-"})).out, "csv").size(), 3U);
  EXPECT_EQ(Run(With(run, {"--csv", "-", "--json", "-"})).code, kBadInput);
  EXPECT_EQ(Run(With(run, {"--trace", "-"})).code, kBadInput);
  EXPECT_THAT(Run({"manual", "man", "--out", "-"}).out, HasSubstr(".TH"));
  EXPECT_FALSE(std::filesystem::exists("-"));
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
    calls.push_back(Gate(same_));
    calls.push_back({"run", model_, "-p", "8,16", "-r", "1", "-t", "1", kShort, "--count", "off",
                     "--calibration", calibration_});
    for (const auto& words : calls) {
      SCOPED_TRACE(::testing::PrintToString(words));
      const Outcome outcome = Run(words);
      const std::size_t next = std::min(outcome.err.find("flopledger: next:"), outcome.err.size());
      std::istringstream lines(outcome.out + outcome.err.substr(next));
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
  EXPECT_THAT(
      Run({"run", "gpt2", "-p", "64", "--dry-run", "--warmup", "3", "-r", "1", "--wide"}).out,
      HasSubstr("3 warm-up passes (the first is verified), 1 repetition;"));
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
  EXPECT_THAT(Run({"report", json}).out, HasSubstr("<title>4 runs"));
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

/// The names of all fields in `document`, but those that are data themselves.
void AddFields(const nlohmann::json& document, std::set<std::string>& fields) {
  static const std::set<std::string> kByName = {"because",         "by_instruction", "components",
                                                "config",          "identity",       "quantities",
                                                "smallest_caught", "shares"};
  static const std::set<std::string> kNamesOrData = {"context", "model", "rows", "samples"};
  if (document.is_array()) {
    for (const auto& element : document) AddFields(element, fields);
  } else if (document.is_object()) {
    for (const auto& [name, value] : document.items()) {
      fields.insert(name);
      const bool data =
          kByName.contains(name) || (kNamesOrData.contains(name) && value.is_object());
      if (!data) AddFields(value, fields);
    }
  }
}

TEST_F(Formats, ThePageOfFormatsNamesEveryFieldAndColumn) {
  const std::string page = ReadFile(FLOPLEDGER_FIXTURES "/../../docs/formats.md");
  std::set<std::string> fields;
  auto calls = Calls();
  calls.push_back({"run", model_, "-r", "2", "-t", "1", kShort, "-n", "2", "-p", "8", "--layers",
                   "1", "--calibration", calibration_});
  for (const auto& words : calls) {
    AddFields(nlohmann::json::parse(Run(With(words, {"--format", "json"})).out), fields);
  }
  const std::string trace = folder_.path("trace.json");
  Run({"run", model_, "-r", "1", "-t", "1", kShort, "--count", "off", "--trace", trace});
  AddFields(nlohmann::json::parse(ReadFile(trace)), fields);
  const Record record;
  const auto add = [&](const char* name, const auto&) { fields.insert(name); };
  ForEachField(record, add);
  ForEachJsonField(record, add);
  for (const auto& words : {std::vector<std::string>{"account", "gpt2"},
                            {"compare", ledger_, ledger_},
                            {"predict", model_, "--calibration", calibration_, "-t", "1"},
                            Gate(slow_)}) {
    const auto csv = ParseCsv(Run(With(words, {"--format", "csv"})).out, "csv");
    fields.insert(csv.front().begin(), csv.front().end());
  }
  EXPECT_GT(fields.size(), 200U);
  for (const std::string& field : fields) EXPECT_THAT(page, HasSubstr("`" + field + "`"));
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

TEST_F(Formats, TheHelpOfEachCommandHasExamplesOfItsOwn) {
  for (const std::string command :
       {"run", "account", "presets", "audit", "calibrate", "predict", "report", "compare", "gate",
        "bisect", "logits", "count-instructions", "doctor"}) {
    const std::string help = Run({"help", command}).out;
    const std::string examples = help.substr(std::min(help.find("Examples:"), help.size()));
    EXPECT_THAT(examples, HasSubstr("flopledger " + command)) << help;
  }
}

TEST_F(Formats, WarmUpPassesAreRecorded) {
  const std::vector<std::string> run = {"run",  model_,    "-r",  "1",  "-t",  "1",
                                        kShort, "--count", "off", "-o", "json"};
  const auto passes = [&](const std::vector<std::string>& words) {
    return nlohmann::json::parse(Run(words).out)["environment"]["warm_up_passes"];
  };
  EXPECT_EQ(passes(run), 1);
  EXPECT_EQ(passes(With(run, {"--warmup", "3"})), 3);
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

TEST_F(Formats, APlainBenchmarkSweepsAsTheRunDoes) {
  WorkloadOptions both;
  both.matmul = "packed,eigen";
  const std::vector<WorkloadOptions> points =
      PointsOf(both, {.context = "8:16:x2", .batch = "1,2", .threads = "1"});
  ASSERT_EQ(points.size(), 8U);
  EXPECT_EQ(points.front().context, 8);
  EXPECT_EQ(points.back().context, 16);
  EXPECT_EQ(points.back().batch, 2);
  EXPECT_EQ(points.back().matmul, "eigen");

  const auto bench = [](std::vector<std::string> words) {
    words.insert(words.begin(), "bench");
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    return BenchMain(static_cast<int>(argv.size()), argv.data(), "",
                     [](Workload& workload, bool is_sweep) {
                       RegisterOps(workload, {OpKind::kMatmul}, is_sweep);
                     });
  };
  EXPECT_EQ(bench({"-m", "gpt2", "--batch", "4000000"}), kNotPossibleHere);  // not enough memory
  ::testing::internal::CaptureStdout();
  const int code =
      bench({"-m", model_, "-p", "8,16", "--batch", "1,2", "-t", "1", "--benchmark_list_tests"});
  benchmark::ClearRegisteredBenchmarks();
  std::istringstream listed(::testing::internal::GetCapturedStdout());
  EXPECT_EQ(code, kDone);
  std::vector<std::string> names;
  for (std::string line; std::getline(listed, line);) names.push_back(line);
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), names.size());
  EXPECT_EQ(
      std::ranges::count_if(
          names, [](const std::string& name) { return name.find("ffn_up") != std::string::npos; }),
      4);
}

TEST_F(Formats, ThePageOfTheCommandLineIsTheProgramsOwnHelp) {
  EXPECT_EQ(Run({"help", "--markdown"}).out, ReadFile(FLOPLEDGER_FIXTURES "/../../docs/cli.md"))
      << "write it anew: flopledger help --markdown > docs/cli.md";
}

}  // namespace
}  // namespace flopledger
