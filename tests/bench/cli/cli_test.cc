// The command line as outside checks see it: exit codes, streams, files, and the contracts of
// `account` and of the ledger.
#include "bench/cli/cli.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "analysis/ledger/record.h"
#include "analysis/text/csv.h"
#include "bench/cli/options.h"
#include "kernels/matmul_library.h"
#include "model/config.h"
#include "model/ops.h"
#include "tests/bench/cli/command_line.h"
#include "tests/support/ledger_csv.h"

namespace flopledger {
namespace {

using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

TEST_F(CommandLine, HelpTeaches) {
  const Outcome top = Run({"--help"});
  EXPECT_EQ(top.code, kDone);
  EXPECT_THAT(top.err, IsEmpty());
  for (const char* command : {"presets", "account", "run", "logits", "doctor", "count-instructions",
                              "audit", "report", "calibrate", "predict"}) {
    EXPECT_THAT(top.out, HasSubstr(command));
    const Outcome help = Run({command, "--help"});
    EXPECT_EQ(help.code, kDone);
    EXPECT_THAT(help.out, HasSubstr("--"));
  }
  EXPECT_THAT(top.out, HasSubstr("Exit codes"));
  EXPECT_EQ(Run({"--version"}).code, kDone);
}

TEST_F(CommandLine, PresetsListsEveryModelInEveryFormat) {
  const Outcome listed = Run({"presets", "--format", "json"});
  ASSERT_EQ(listed.code, kDone);
  const auto json = nlohmann::json::parse(listed.out);
  ASSERT_EQ(json.size(), Presets().size());
  const auto csv = ParseCsv(Run({"presets", "--format", "csv"}).out, "presets");
  ASSERT_EQ(csv.size(), Presets().size() + 1);
  for (std::size_t i = 0; i < Presets().size(); ++i) {
    EXPECT_EQ(csv[i + 1].front(), Presets()[i].name);
    EXPECT_EQ(csv[i + 1][6], std::to_string(json[i]["params"].get<int64_t>()));
    EXPECT_THAT(Run({"presets"}).out, HasSubstr(Presets()[i].name));
    EXPECT_THAT(Run({"presets", "--format", "md"}).out, HasSubstr("| " + Presets()[i].name + " "));
  }
}

TEST_F(CommandLine, AccountKeepsTheContractOfItsJson) {
  const Outcome outcome = Run({"account", "--model", "gpt2-xl", "--format", "json"});
  ASSERT_EQ(outcome.code, kDone);
  const auto accounting = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(accounting["model"], "gpt2-xl");
  EXPECT_EQ(accounting["context"], 1024);
  EXPECT_EQ(accounting["batch"], 1);
  EXPECT_EQ(accounting["convention"], "matmul");
  EXPECT_EQ(accounting["params"]["total"], 1'557'611'200);
  EXPECT_EQ(accounting["flops"]["total"], 3'506'703'564'800);
  EXPECT_EQ(accounting["memory"]["weights_bytes"], 4LL * 1'557'611'200);
  EXPECT_TRUE(accounting["memory"]["activation_bytes"].is_number_integer());
  EXPECT_EQ(accounting["memory"]["kv_cache_bytes"], 2LL * 48 * 1024 * 1600 * 4);
  std::vector<std::string> params;
  for (const auto& [name, value] : accounting["params"]["components"].items())
    params.push_back(name);
  EXPECT_THAT(params, UnorderedElementsAre("token_embedding", "position_embedding", "attention_qkv",
                                           "attention_out", "ffn", "norms", "lm_head"));
  for (const char* name : {"attention_qkv", "attention_scores", "attention_values", "attention_out",
                           "ffn", "lm_head"}) {
    EXPECT_TRUE(accounting["flops"]["components"][name].is_number_integer()) << name;
  }
}

TEST_F(CommandLine, AccountsExactFiguresOfTheCourse) {
  const auto totals = [&](std::vector<std::string> more) {
    std::vector<std::string> words{"account", "--format", "json", "--model"};
    words.insert(words.end(), more.begin(), more.end());
    const auto accounting = nlohmann::json::parse(Run(words).out);
    return std::pair(accounting["params"]["total"].get<int64_t>(),
                     accounting["flops"]["total"].get<int64_t>());
  };
  EXPECT_EQ(totals({"cs336-xl"}), std::pair(2'127'057'600L, 4'513'336'524'800L));
  EXPECT_EQ(totals({"cs336-xl", "--context", "16384"}),
            std::pair(2'127'057'600L, 149'522'795'724'800L));
  EXPECT_EQ(totals({"cs336-2026-xl"}), std::pair(1'640'452'800L, 3'516'769'894'400L));
}

TEST_F(CommandLine, AccountsFormatsAgree) {
  const auto csv =
      ParseCsv(Run({"account", "--model", "%DIR%/tiny.json", "--format", "csv"}).out, "account");
  const auto json =
      nlohmann::json::parse(Run({"account", "--model", "%DIR%/tiny.json", "--format", "json"}).out);
  ASSERT_THAT(csv.front(), ElementsAreArray({"model", "context", "batch", "convention", "quantity",
                                             "component", "value", "unit"}));
  for (const auto& [name, value] : json["flops"]["components"].items()) {
    const auto row = std::ranges::find_if(csv, [&, &name = name](const auto& fields) {
      return fields[4] == "flops" && fields[5] == name;
    });
    ASSERT_NE(row, csv.end()) << name;
    EXPECT_EQ((*row)[6], std::to_string(value.get<int64_t>()));
  }
  for (const char* format : {"table", "md"}) {
    EXPECT_THAT(Run({"account", "--model", "%DIR%/tiny.json", "--format", format}).out,
                HasSubstr("rule of thumb"));
  }
}

TEST_F(CommandLine, ReferenceAttentionStoresEveryHeadsScores) {
  const auto activations = [&](const char* attention) {
    const auto accounting =
        nlohmann::json::parse(Run({"account", "--model", "%DIR%/tiny.json", "--format", "json",
                                   "--attention", attention, "--batch", "2"})
                                  .out);
    return accounting["memory"]["activation_bytes"].get<int64_t>();
  };
  EXPECT_EQ(activations("reference") - activations("fused"),
            2 * 24 * (40 + 3 * 24 - 2 * 40) * 4);  // the gate and hidden row no longer decide
}

/// The contract's columns, copied from it rather than from the program.
constexpr char kColumns[] =
    "schema,run_id,model,dtype,context,batch,layers_run,layers_total,ranks,threads,matmul,"
    "attention,"
    "op,kind,m,n,k,count,convention,predicted_flops,executed_flops,measured_flops,flops_source,"
    "confirmed_samples,flops_ratio,time_s,time_mad_s,repetitions,gflops,peak_gflops,pct_peak,"
    "mfu_pct,bytes,intensity,bound,predicted_time_s,time_ratio,disturbed";

TEST_F(CommandLine, RunLeavesALedgerOfTheContractsColumns) {
  const Outcome outcome = Run({"run", "--model", "%DIR%/tiny.json", "--csv", "%DIR%/out.csv",
                               "--json", "%DIR%/out.json", "--threads", "1",
                               "--benchmark_repetitions=3", "--benchmark_min_time=0.01"});
  ASSERT_TRUE(Ran(outcome)) << outcome.err;
  const std::string text = ReadFile(folder_.path("out.csv"));
  EXPECT_TRUE(text.starts_with(std::string(kColumns) + "\r\n") ||
              text.starts_with(std::string(kColumns) + "\n"));
  const auto rows = RecordsFromCsv(text, "out.csv");
  const ModelConfig model = LoadModel(tiny_);
  std::vector<std::string> expected;
  for (const Op& op :
       ForwardOps(model, {.context = 24, .num_layers = 3, .fused_attention = true})) {
    expected.emplace_back(op.name());
  }
  expected.emplace_back("total");
  std::vector<std::string> found;
  double of_ops = 0;
  for (const Record& row : rows) {
    found.push_back(row.op);
    if (row.op != "total") of_ops += *row.time_s;
    EXPECT_EQ(row.flops_source, "counted") << row.op;
    EXPECT_EQ(row.measured_flops, row.executed_flops) << row.op;
    EXPECT_GT(*row.time_s, 0) << row.op;
    EXPECT_GT(*row.peak_gflops, 0) << row.op;
  }
  EXPECT_THAT(found, ElementsAreArray(expected));
  // Medians of parts need not add up to the median of the whole, but nearly do.
  EXPECT_LT(of_ops, 1.5 * *rows.back().time_s);
  const auto ledger =
      LedgerFromJson(nlohmann::json::parse(ReadFile(folder_.path("out.json"))), "out.json");
  ASSERT_EQ(ledger.rows.size(), rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(ledger.rows[i].time_s, rows[i].time_s);
    EXPECT_EQ(ledger.rows[i].samples_s.size(), 3);
  }
  EXPECT_TRUE(ledger.environment.machine.cpu.has_value());
  EXPECT_GT(ledger.environment.settings.start_up_s, 0);
}

TEST_F(CommandLine, FullCountFillsTheMeasuredColumnAndIsFoundAgain) {
  const std::vector<std::string> words{"run",
                                       "--model",
                                       "%DIR%/tiny.json",
                                       "--count",
                                       "full",
                                       "--csv",
                                       "%DIR%/out.csv",
                                       "--benchmark_repetitions=1",
                                       "--benchmark_min_time=0.01"};
  const Outcome first = Run(words);
  ASSERT_TRUE(Ran(first)) << first.err;
  EXPECT_THAT(first.err, Not(HasSubstr("found in")));
  EXPECT_THAT(first.out, HasSubstr("unexplained residual (measured - executed): 0 FLOPs"));
  for (const Record& row : RecordsFromCsv(ReadFile(folder_.path("out.csv")), "out.csv")) {
    EXPECT_EQ(row.flops_source, "counted") << row.op;
    EXPECT_EQ(row.measured_flops, row.executed_flops) << row.op;
  }
  const Outcome second = Run(words);
  ASSERT_TRUE(Ran(second)) << second.err;
  EXPECT_THAT(second.err, HasSubstr("counts of this build and shape found in"));
}

TEST_F(CommandLine, WithoutACountNothingIsMeasuredAndItSaysWhy) {
  const Outcome outcome =
      Run({"run", "--model", "%DIR%/tiny.json", "--count", "off", "--csv", "%DIR%/out.csv",
           "--benchmark_repetitions=1", "--benchmark_min_time=0.01"});
  ASSERT_TRUE(Ran(outcome)) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("measured FLOPs: unavailable: "));
  for (const Record& row : RecordsFromCsv(ReadFile(folder_.path("out.csv")), "out.csv")) {
    EXPECT_EQ(row.flops_source, "none");
    EXPECT_FALSE(row.measured_flops.has_value());
  }
}

TEST_F(CommandLine, FewerLayersAreExtrapolatedInARowOfTheirOwn) {
  const Outcome outcome = Run({"run", "--model", "%DIR%/tiny.json", "--layers", "2", "--csv",
                               "%DIR%/out.csv", "--matmul", "eigen", "--attention", "reference",
                               "--benchmark_repetitions=1", "--benchmark_min_time=0.01"});
  ASSERT_TRUE(Ran(outcome)) << outcome.err;
  const auto rows = RecordsFromCsv(ReadFile(folder_.path("out.csv")), "out.csv");
  EXPECT_EQ(rows.back().op, "total_extrapolated");
  EXPECT_EQ(rows.back().layers_run, 2);
  EXPECT_EQ(rows.back().layers_total, 3);
  EXPECT_FALSE(rows.back().measured_flops.has_value());
  EXPECT_GT(*rows.back().time_s, *rows[rows.size() - 2].time_s);
}

TEST_F(CommandLine, DecodingIsReportedBesideThePass) {
  const Outcome outcome =
      Run({"run", "--model", "%DIR%/tiny.json", "--decode", "4", "--json", "%DIR%/out.json",
           "--benchmark_repetitions=2", "--benchmark_min_time=0.01"});
  ASSERT_TRUE(Ran(outcome)) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("decoding 4 tokens after a prompt of 20, 2 times"));
  const auto ledger = nlohmann::json::parse(ReadFile(folder_.path("out.json")));
  const auto& decode = ledger["environment"]["decode"];
  EXPECT_EQ(decode["samples_s"].size(), 2);
  EXPECT_NEAR(decode["tokens_per_s"].get<double>() * decode["time_s"].get<double>(), 4, 1e-9);
  EXPECT_GT(decode["share_of_bandwidth"], 0);
  int64_t bytes = 0;
  for (const auto& op : decode["operations"]) bytes += op["bytes"].get<int64_t>();
  EXPECT_EQ(decode["bytes"], bytes);
}

TEST_F(CommandLine, ReportMakesAPageOfARunAndLeavesNoneWhereItCannot) {
  const Outcome ran = Run({"run", "--model", "%DIR%/tiny.json", "--results", "%DIR%/results",
                           "--json", "%DIR%/out.json", "--trace", "%DIR%/trace.json",
                           "--benchmark_repetitions=2", "--benchmark_min_time=0.01"});
  ASSERT_TRUE(Ran(ran)) << ran.err;
  std::vector<std::string> kinds;
  for (const auto& entry : std::filesystem::directory_iterator(folder_.path("results"))) {
    kinds.push_back(entry.path().extension().string());
  }
  EXPECT_THAT(kinds, UnorderedElementsAre(".csv", ".json", ".html"));
  const auto trace = nlohmann::json::parse(ReadFile(folder_.path("trace.json")));
  EXPECT_GT(trace["traceEvents"].size(), 3 * 10U);

  const Outcome page = Run({"report", "%DIR%/out.json", "--out", "%DIR%/page.html"});
  ASSERT_EQ(page.code, kDone) << page.err;
  EXPECT_THAT(page.out, IsEmpty());
  const std::string html = ReadFile(folder_.path("page.html"));
  EXPECT_TRUE(html.starts_with("<!doctype html>"));
  EXPECT_THAT(html, HasSubstr("attention_qkv"));
  EXPECT_EQ(Run({"report", "%DIR%/out.json"}).out, html);
  EXPECT_THAT(Run({"report", "%DIR%/out.json", "--format", "md"}).out, HasSubstr("| ffn_up |"));
  Run({"report", "%DIR%/out.json", "--out", "%DIR%/page.md"});
  EXPECT_TRUE(ReadFile(folder_.path("page.md")).starts_with("## tiny"));
  EXPECT_THAT(Run({"report", "%DIR%/out.json", "%DIR%/out.json"}).out,
              HasSubstr("2 runs compared"));

  const std::vector<std::string> before = folder_.Files();
  for (const char* out : {"%DIR%/no/such/page.html", "%DIR%/results"}) {
    const Outcome unwritable = Run({"report", "%DIR%/out.json", "--out", out});
    EXPECT_EQ(unwritable.code, kBadInput);
    EXPECT_THAT(unwritable.err, HasSubstr("cannot be written"));
    EXPECT_THAT(folder_.Files(), ::testing::UnorderedElementsAreArray(before));
  }
}

TEST_F(CommandLine, AuditAnswersNoWhereAClaimIsWrong) {
  folder_.Write("right.json", R"({"model": "gpt2", "claims": [
      {"id": "1", "quantity": "params.total.model", "value": "124,439,808"}]})");
  folder_.Write("wrong.json", R"({"model": "gpt2", "claims": [
      {"id": "1", "quantity": "params.total.model", "value": "248,879,616"}]})");
  EXPECT_EQ(Run({"audit", "%DIR%/right.json"}).code, kDone);
  const Outcome wrong = Run({"audit", "%DIR%/wrong.json"});
  EXPECT_EQ(wrong.code, kCheckFailed);
  EXPECT_THAT(wrong.out, HasSubstr("wrong"));
  EXPECT_THAT(Run({"audit", "--quantities"}).out, HasSubstr("params.total.model"));
  for (const char* value : {"much", "1000000000000000000000000000000"}) {
    folder_.Write("unreadable.json",
                  std::string(R"([{"id": "1", "quantity": "params.total.model", "value": ")") +
                      value + "\"}]");
    const Outcome unreadable = Run({"audit", "%DIR%/unreadable.json"});
    EXPECT_EQ(unreadable.code, kCheckFailed);
    EXPECT_THAT(unreadable.out, HasSubstr("unreadable"));
  }
}

TEST_F(CommandLine, RunsEveryBackendSideBySideInOneLedger) {
  const Outcome outcome =
      Run({"run", "--model", "%DIR%/tiny.json", "--matmul", "all", "--count", "sample", "--csv",
           "%DIR%/all.csv", "--json", "%DIR%/all.json", "--threads", "2",
           "--benchmark_repetitions=2", "--benchmark_min_time=0.001"});
  ASSERT_TRUE(Ran(outcome)) << outcome.err;
  std::vector<std::string> expected = {"packed", "eigen"};
  for (const MatmulLibrary& library : MatmulLibraries()) {
    const std::string name(library.backend.name);
    if (library.load().usable()) {
      expected.push_back(name);
    } else {
      EXPECT_THAT(outcome.err, HasSubstr("left out: " + AbsenceOf(library)));
    }
  }
  const auto rows = RecordsFromCsv(ReadFile(folder_.path("all.csv")), "all.csv");
  std::vector<std::string> totals;
  for (const Record& row : rows) {
    if (row.op == "total") totals.push_back(row.matmul);
    EXPECT_EQ(row.repetitions, 2);
    EXPECT_EQ(row.run_id, rows.front().run_id);
    const bool is_ours = row.matmul == "packed" || row.matmul == "eigen";
    if (row.op == "ffn_up") {
      EXPECT_EQ(row.flops_source, is_ours ? "confirmed" : "none");
      EXPECT_FALSE(row.measured_flops.has_value());
      EXPECT_EQ(row.confirmed_samples.value_or(0) > 0, is_ours);
      EXPECT_EQ(row.executed_flops.has_value(), is_ours);
    }
  }
  EXPECT_EQ(totals, expected);
  for (const std::string& name : expected) EXPECT_THAT(outcome.out, HasSubstr(name));
  const auto json = nlohmann::json::parse(ReadFile(folder_.path("all.json")));
  EXPECT_EQ(json["rows"].size(), rows.size());
  EXPECT_EQ(json["environment"]["matmul_libraries"].size(), expected.size() - 2);
}

TEST_F(CommandLine, EachLibraryRunsOrSaysWhichPackageProvidesIt) {
  for (const MatmulLibrary& library : MatmulLibraries()) {
    const std::string name(library.backend.name);
    const Outcome outcome =
        Run({"run", "--model", "%DIR%/tiny.json", "--matmul", name, "--attention", "reference",
             "--benchmark_repetitions=1", "--benchmark_min_time=0.001"});
    if (library.load().usable()) {
      EXPECT_TRUE(Ran(outcome)) << outcome.err;
      EXPECT_THAT(outcome.out, HasSubstr(library.load().path));
    } else {
      EXPECT_EQ(outcome.code, kNotPossibleHere);
      EXPECT_THAT(outcome.err, HasSubstr(std::string(library.package)));
    }
  }
}

TEST(AbsenceOf, NamesTheLibraryAndItsPackage) {
  const MatmulLibrary absent = {.backend = {.name = "fast", .description = "", .run = nullptr},
                                .package = "libfast9",
                                .load = []() -> const SharedLibrary& {
                                  static const auto library = LoadSharedLibrary("libfast.so.9");
                                  return library;
                                }};
  const std::string why = AbsenceOf(absent);
  for (const char* part : {"fast", "libfast.so.9", "libfast9"}) EXPECT_THAT(why, HasSubstr(part));
}

TEST_F(CommandLine, DoctorSaysWhyNotAndNeverZero) {
  const Outcome table = Run({"doctor"});
  EXPECT_EQ(table.code, kDone);
  EXPECT_THAT(table.out, HasSubstr("measured FLOPs by hardware counters: "));
  const auto json = nlohmann::json::parse(Run({"doctor", "--format", "json"}).out);
  for (const auto& event : json["counters"]["events"]) {
    EXPECT_EQ(event["available"] == true, event["reason"].is_null()) << event;
    EXPECT_NE(event["reason"], "") << event;
  }
  for (const auto& library : json["matmul_libraries"]) {
    EXPECT_EQ(library["available"] == true, library["reason"].is_null()) << library;
    EXPECT_EQ(library["available"] == true, library["path"].is_string()) << library;
    EXPECT_THAT(table.out, HasSubstr(library["matmul"].get<std::string>()));
  }
}

TEST_F(CommandLine, LogitsOfTheGoldenModels) {
  for (const std::string model : {"gpt2-tiny", "llama-tiny"}) {
    const std::string golden = FLOPLEDGER_FIXTURES "/" + model;
    const Outcome outcome = Run({"logits", "--model", golden + "/config.json", "--weights",
                                 golden + "/model.safetensors", "--tokens", golden + "/tokens.json",
                                 "--out", "%DIR%/logits.csv"});
    ASSERT_EQ(outcome.code, kDone) << outcome.err;
    EXPECT_THAT(outcome.out, IsEmpty());
    const auto found = ParseCsv(ReadFile(folder_.path("logits.csv")), "found");
    const auto expected = ParseCsv(ReadFile(golden + "/logits.csv"), "expected");
    ASSERT_EQ(found.size(), expected.size());
    for (std::size_t r = 0; r < found.size(); ++r) {
      ASSERT_EQ(found[r].size(), expected[r].size());
      double largest = 0;
      for (const auto& field : expected[r]) largest = std::max(largest, std::abs(std::stod(field)));
      for (std::size_t c = 0; c < found[r].size(); ++c) {
        EXPECT_NEAR(std::stod(found[r][c]), std::stod(expected[r][c]), 1e-4 * largest);
      }
    }
  }
}

// Last, for Google Benchmark keeps its flags until they are given anew.
TEST_F(CommandLine, FilterThatMatchesNothingIsBadInput) {
  const Outcome outcome = Run({"run", "--model", "%DIR%/tiny.json", "--benchmark_filter=nothing"});
  EXPECT_EQ(outcome.code, kBadInput);
  EXPECT_THAT(outcome.err, HasSubstr("matches no benchmark"));
}

}  // namespace
}  // namespace flopledger
