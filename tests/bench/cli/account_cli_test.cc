// `account` in its other forms and `audit`, by the command line, as outside checks see them.
#include "bench/cli/cli.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "analysis/text/csv.h"
#include "analysis/text/figure.h"
#include "tests/bench/cli/command_line.h"
#include "tests/support/temporary_folder.h"

namespace flopledger {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Outcome Account(std::vector<std::string> words) {
  words.insert(words.begin(), "account");
  return RunWords(words);
}

json AccountJson(std::vector<std::string> words) {
  words.insert(words.end(), {"--format", "json"});
  const Outcome outcome = Account(words);
  EXPECT_EQ(outcome.code, kDone) << outcome.err;
  return json::parse(outcome.out);
}

/// FLOPs of each part, by long hand: exact, and apart from analysis/.
std::map<std::string, Exact> PartsByHand(int64_t L, int64_t C, int64_t F, int64_t matrices,
                                         int64_t T) {
  const Exact l(L), c(C), f(F), t(T), v(50257), m(matrices);
  return {{"attention_qkv", l * 2 * t * c * 3 * c}, {"attention_scores", l * 2 * t * t * c},
          {"attention_values", l * 2 * t * t * c},  {"attention_out", l * 2 * t * c * c},
          {"ffn", l * m * 2 * t * c * f},           {"lm_head", 2 * t * c * v}};
}

void ExpectShares(const json& flops, const std::map<std::string, Exact>& parts) {
  Exact total = 0;
  for (const auto& [name, value] : parts) total += value;
  EXPECT_EQ(Exact(flops["total"].get<int64_t>()), total);
  for (const auto& [name, value] : parts) {
    EXPECT_EQ(Exact(flops["components"][name].get<int64_t>()), value) << name;
    const double share = Exact(value / total).convert_to<double>();
    EXPECT_NEAR(flops["shares"][name].get<double>(), share, 1e-12) << name;
  }
}

// Question (d), and (c) for each size, of both years.
TEST(Account, SharesOfTheSizesAreThoseByLongHand) {
  struct Size {
    int64_t L, C, F2026;
  };
  const Size sizes[] = {{12, 768, 2048}, {24, 1024, 2752}, {36, 1280, 3392}, {48, 1600, 4288}};
  const struct {
    const char* models;
    int64_t matrices;
    bool of_2026;
  } families[] = {
      {"gpt2,gpt2-medium,gpt2-large,gpt2-xl", 2, false},
      {"cs336-small,cs336-medium,cs336-large,cs336-xl", 3, false},
      {"cs336-2026-small,cs336-2026-medium,cs336-2026-large,cs336-2026-xl", 3, true},
  };
  for (const auto& family : families) {
    const json sweep = AccountJson({"--sweep", fmt::format("model={}", family.models)});
    ASSERT_EQ(sweep["points"].size(), 4u);
    for (std::size_t i = 0; i < 4; ++i) {
      const int64_t F = family.of_2026 ? sizes[i].F2026 : 4 * sizes[i].C;
      ExpectShares(sweep["points"][i]["flops"],
                   PartsByHand(sizes[i].L, sizes[i].C, F, family.matrices, 1024));
    }
  }
}

// Question (e).
TEST(Account, SharesAtLongContextsAreThoseByLongHand) {
  const struct {
    const char* model;
    int64_t F, matrices;
  } models[] = {{"gpt2-xl", 6400, 2}, {"cs336-xl", 6400, 3}, {"cs336-2026-xl", 4288, 3}};
  for (const auto& model : models) {
    const json sweep = AccountJson({"--model", model.model, "--sweep", "context=1024:16384:x2"});
    ASSERT_EQ(sweep["points"].size(), 5u);
    int64_t T = 1024;
    for (const json& point : sweep["points"]) {
      ExpectShares(point["flops"], PartsByHand(48, 1600, model.F, model.matrices, T));
      T *= 2;
    }
  }
}

TEST(Account, SweepsAgreeInCsvAndJson) {
  const std::vector<std::string> words{"--model", "cs336-small", "--sweep", "num_layers=1:5:+2"};
  const json sweep = AccountJson(words);
  auto csv_words = words;
  csv_words.insert(csv_words.end(), {"--format", "csv"});
  const auto rows = ParseCsv(Account(csv_words).out, "sweep");
  EXPECT_EQ(rows.front().front(), "sweep");
  std::size_t seen = 0;
  for (const json& point : sweep["points"]) {
    for (const auto& [name, value] : point["flops"]["components"].items()) {
      const auto row = std::ranges::find_if(rows, [&, &part = name](const auto& fields) {
        return fields[1] == point["point"].get<std::string>() && fields[6] == "flops" &&
               fields[7] == part;
      });
      ASSERT_NE(row, rows.end());
      EXPECT_EQ((*row)[8], std::to_string(value.get<int64_t>()));
      EXPECT_EQ(std::stod((*row)[10]), point["flops"]["shares"][name].get<double>());
      ++seen;
    }
  }
  EXPECT_EQ(seen, 3u * 11);
  EXPECT_THAT(Account(words).out,
              AllOf(HasSubstr("F ffn"), HasSubstr("change"), HasSubstr("\n5 |QQQQQQSS")));
}

TEST(Account, TrainsAsTheSheetDoes) {
  const json training =
      AccountJson({"--model", "cs336-xl", "--training", "--batch", "1024", "--memory", "80GB",
                   "--peak", "19.5 TFLOP/s", "--mfu", "50%", "--steps", "400000"});
  EXPECT_EQ(training["memory"]["activation_bytes_per_sequence"], 15'517'753'344);
  EXPECT_EQ(training["memory"]["state_bytes"], 34'032'921'600);
  EXPECT_EQ(training["memory"]["countings"]["sheet"]["largest_batch"], 2);
  EXPECT_EQ(training["flops"]["step"], 13'864'969'804'185'600);
  EXPECT_NEAR(training["time"]["days"].get<double>(), 6583.6, 0.05);
  const Outcome table = Account({"--model", "cs336-xl", "--training"});
  EXPECT_THAT(table.out, HasSubstr("15,517,753,344·B + 34,032,921,600"));
  EXPECT_TRUE(AccountJson({"--training"})["time"].is_null());
}

TEST(Account, ReadsAnMfuAsAProportionAndMeasuresOne) {
  const auto time = [](std::vector<std::string> more) {
    std::vector<std::string> words{"--model", "cs336-2026-xl", "--training", "--batch", "1024",
                                   "--peak",  "495 TFLOP/s",   "--steps",    "400000"};
    words.insert(words.end(), more.begin(), more.end());
    return AccountJson(words)["time"];
  };
  for (const char* half : {"50 %", "50%", "50", "0.5", "0,5"}) {
    EXPECT_NEAR(time({"--mfu", half})["hours"].get<double>(), 4850.06, 0.005) << half;
  }
  EXPECT_NEAR(time({"--mfu", "0.5 %"})["hours"].get<double>(), 485006.4, 0.1);
  // 4,850.06 h of 400,000 steps are 43.65 s a step, or 24,021.6 tokens a second.
  EXPECT_NEAR(time({"--step-time", "43.65s"})["mfu"].get<double>(), 0.5, 1e-4);
  EXPECT_NEAR(time({"--step-time", "43650 ms"})["hours"].get<double>(), 4850, 0.5);
  EXPECT_NEAR(time({"--tokens-per-second", "24.02k"})["mfu"].get<double>(), 0.5, 1e-3);
  EXPECT_THAT(Account({"--model", "cs336-2026-xl", "--training", "--batch", "1024", "--peak",
                       "495T", "--steps", "400000"})
                  .out,
              HasSubstr("4850.06 hours"));
}

TEST(Account, GivesOtherToolsFiguresAndTheWayToThem) {
  const json nanogpt = AccountJson({"--convention", "nanogpt"});
  EXPECT_EQ(nanogpt["convention"], "nanogpt");
  int64_t because = 0;
  for (const auto& [why, flops] : nanogpt["against_matmul"]["because"].items()) {
    because += flops.get<int64_t>();
  }
  EXPECT_EQ(because, nanogpt["against_matmul"]["difference"]);
  EXPECT_EQ(nanogpt["flops"]["total"].get<int64_t>() - because, 3'506'703'564'800);
  EXPECT_EQ(nanogpt["params"]["total"], 1'557'611'200);
  const json all = AccountJson({"--conventions"});
  for (const json& convention : all["conventions"]) {
    if (convention["convention"] == "nanogpt") {
      EXPECT_EQ(convention["forward"], nanogpt["flops"]["total"]);
    }
  }
  for (const char* format : {"table", "md", "csv"}) {
    EXPECT_EQ(Account({"--conventions", "--format", format}).code, kDone);
    for (const json& convention : all["conventions"]) {
      EXPECT_EQ(Account({"--convention", convention["convention"], "--format", format}).code,
                kDone);
    }
  }
}

TEST(Account, EveryFormIsDrawnInEveryFormat) {
  const std::vector<std::vector<std::string>> forms{
      {"--explain"}, {"--training"}, {"--inference"}, {"--conventions"}, {"--sweep", "batch=1,2"}};
  for (const auto& form : forms) {
    for (const char* convention : {"matmul", "causal", "all"}) {
      for (const char* format : {"table", "md", "csv", "json"}) {
        std::vector<std::string> words{"--model",  "cs336-small", "--convention",
                                       convention, "--format",    format};
        words.insert(words.end(), form.begin(), form.end());
        const Outcome outcome = Account(words);
        EXPECT_EQ(outcome.code, kDone) << outcome.err;
        const bool table = std::string_view(format) == "table";
        EXPECT_EQ(outcome.err.empty(), !table) << outcome.err;
        EXPECT_GT(outcome.out.size(), 50u);
        if (std::string(format) == "csv") {
          EXPECT_NO_THROW(ParseCsv(outcome.out, form.front()));
        }
      }
    }
  }
  EXPECT_THAT(Account({"--model", "cs336-xl", "--explain", "--format", "md"}).out,
              HasSubstr("48 · 1,024 · 2 · 1,600 · 4,800"));
  const json inference = AccountJson({"--inference"});
  EXPECT_EQ(inference["kv_cache_bytes_per_token"], 2 * 4 * 48 * 1600);
  EXPECT_EQ(inference["variants"].size(), 3u);
}

TEST(Account, RefusesWhatDoesNotGoTogetherInOneLine) {
  const std::pair<std::vector<std::string>, const char*> cases[] = {
      {{"--explain", "--training"}, "do not go together"},
      {{"--sweep", "context=1:4:x2", "--context", "5"}, "do not go together"},
      {{"--memory", "80GB"}, "needs --training"},
      {{"--training", "--steps", "5"}, "need --peak"},
      {{"--training", "--step-time", "5s"}, "need --peak"},
      {{"--step-time", "5s"}, "needs --training"},
      {{"--training", "--peak", "1T", "--mfu", "0.5", "--step-time", "5s"}, "leave one out"},
      {{"--training", "--peak", "1T", "--mfu", "1"}, "1 % or 100 %"},
      {{"--training", "--memory", "80"}, "80GB or 80GiB"},
      {{"--training", "--memory", "much"}, "'much' is no number"},
      {{"--training", "--peak", "0"}, "above 0"},
      {{"--training", "--peak", "1T", "--mfu", "101%"}, "at most 100"},
      {{"--training", "--peak", "1T", "--steps", "0"}, "at least 1"},
      {{"--training", "--convention", "rule-of-thumb"}, "rule of thumb"},
      {{"--explain", "--convention", "palm"}, "other tools"},
      {{"--convention", "nanogtp"}, "did you mean 'nanogpt'"},
      {{"--sweep", "context"}, "names no key"},
      {{"--sweep", "num_layres=1,2"}, "did you mean 'num_layers'"},
      {{"--sweep", "num_layers=0"}, "from 1 to"},
      {{"--sweep", "d_model=1601"}, "does not divide"},
      {{"--sweep", "model=gpt2,gpt3"}, "gpt3"},
      {{"--sweep", "context=1:1e9:x2"}, "no whole number"},
      {{"--model", "cs336-xl", "--sweep", "context=1000000000000000"}, "overflow"},
      {{"--sweep", "num_heads=25", "--format", "xml"}, "table, csv, json, md"},
  };
  for (const auto& [words, says] : cases) {
    const Outcome outcome = Account(words);
    EXPECT_EQ(outcome.code, kBadInput) << words.front();
    EXPECT_THAT(outcome.out, IsEmpty()) << words.front();
    EXPECT_THAT(outcome.err, HasSubstr(says));
    EXPECT_EQ(std::ranges::count(outcome.err, '\n'), 1) << outcome.err;
  }
}

// --- audit

TEST(AuditCommand, BadClaimsFilesGetOneLine) {
  TemporaryFolder folder;
  std::filesystem::create_directory(folder.path("folder.json"));
  std::string binary;
  for (int i = 0; i < 4000; ++i) binary += static_cast<char>(i * 37);
  const auto one = [](const std::string& value) {
    return R"([{"quantity": "params.total", "value": )" + value + "}]";
  };
  const std::pair<std::string, std::string> files[] = {
      {"empty.json", ""},
      {"blank.csv", "\n\n"},
      {"binary.json", binary},
      {"binary.csv", binary},
      {"deep.json", std::string(100'000, '[')},
      {"deep_value.json", one(std::string(100, '[') + std::string(100, ']'))},
      {"huge_digits.json", one(std::string(400, '9'))},  // no number of JSON's
      {"beyond_double.json", one("1e999")},
      {"nan.json", one("NaN")},
      {"object.json", one("{}")},
      {"none.json", "[]"},
      {"no_claims.json", "{\"model\": \"gpt2\"}"},
      {"text_only.json", "\"claims\""},
      {"unknown.json", R"([{"quantity": "params.everything", "value": 1}])"},
      {"key.json", R"([{"quantity": "params.total", "vaule": 1}])"},
      {"twice.json",
       R"([{"id": 1, "quantity": "params.total", "value": 1},
           {"id": "1", "quantity": "flops.total", "value": 1}])"},
      {"model.json", R"({"model": "gpt9", "claims": [{"quantity": "params.total", "value": 1}]})"},
      {"context.json",
       R"({"context": 1e300, "claims": [{"quantity": "params.total", "value": 1}]})"},
      {"batch.json",
       R"({"batch": 99999999999999999999, "claims": [{"quantity": "params.total", "value": 1}]})"},
      {"title.csv", "quantity,number\nparams.total,1\n"},
      {"ragged.csv", "quantity,value\nparams.total\n"},
      {"quote.csv", "quantity,value\n\"params.total,1\n"},
      {"twice.csv", "id,quantity,value\n1,params.total,1\n1,flops.total,1\n"},
      {"unknown.csv", "quantity,value\nparams.everything,1\n"},
      {"titles_only.csv", "quantity,value\n"},
  };
  for (const auto& [name, text] : files) folder.Write(name, text);
  std::vector<std::string> names{"folder.json", "missing.json"};
  for (const auto& [name, text] : files) names.push_back(name);
  for (const std::string& name : names) {
    const Outcome outcome = RunWords({"audit", folder.path(name)});
    EXPECT_EQ(outcome.code, kBadInput) << name << outcome.err;
    EXPECT_THAT(outcome.out, IsEmpty()) << name;
    EXPECT_EQ(std::ranges::count(outcome.err, '\n'), 1) << name << outcome.err;
    EXPECT_LT(outcome.err.size(), 600u) << name;
    EXPECT_THAT(outcome.err, HasSubstr(name)) << outcome.err;
  }
}

TEST(AuditCommand, AnUnreadableValueIsOneClaimAndTheExitCodeIs1) {
  TemporaryFolder folder;
  for (const std::string& value :
       {std::string("1e30"), std::string(40, '9'), "\"" + std::string(100'000, '9') + "\"",
        std::string("\"plenty\"")}) {
    folder.Write("claims.json", R"([{"quantity": "params.total", "value": )" + value +
                                    R"(}, {"quantity": "params.total", "value": "1.56 billion"}])");
    const Outcome outcome = RunWords({"audit", folder.path("claims.json"), "--format", "json"});
    EXPECT_EQ(outcome.code, kCheckFailed) << outcome.err;
    const json claims = json::parse(outcome.out)["claims"];
    EXPECT_EQ(claims[0]["verdict"], "unreadable");
    EXPECT_TRUE(claims[0]["claimed"].is_null());
    EXPECT_LT(claims[0]["remark"].get<std::string>().size(), 300u);
    EXPECT_EQ(claims[1]["verdict"], "right");
  }
}

TEST(AuditCommand, TakesTheNumberTypeAndAnotherToolsConvention) {
  TemporaryFolder folder;
  folder.Write("claims.json", R"([{"quantity": "memory.weights", "value": 3115222400},
                                  {"quantity": "memory.kv_cache", "value": 157286400},
                                  {"quantity": "flops.total", "value": "3.18T"}])");
  EXPECT_EQ(RunWords({"audit", folder.path("claims.json"), "--dtype", "bf16", "--kv-dtype", "f8",
                      "--convention", "linear-only"})
                .code,
            kDone);
  EXPECT_EQ(RunWords({"audit", folder.path("claims.json")}).code, kCheckFailed);
  const Outcome bad = RunWords({"audit", folder.path("claims.json"), "--dtype", "bf17"});
  EXPECT_EQ(bad.code, kBadInput);
  EXPECT_THAT(bad.err, HasSubstr("did you mean 'bf16'"));
}

TEST(AuditCommand, StandardInputIsAFileToo) {
  const auto audit = [](const std::string& text) {
    std::istringstream in(text);
    std::streambuf* const terminal = std::cin.rdbuf(in.rdbuf());
    const Outcome outcome = RunWords({"audit", "-", "--format", "json"});
    std::cin.rdbuf(terminal);
    return outcome;
  };
  EXPECT_EQ(audit("").code, kBadInput);
  EXPECT_EQ(audit("[]").code, kBadInput);
  EXPECT_EQ(audit(R"([{"quantity": "params.total", "claimed": 1557611200}])").code, kDone);
  const Outcome csv = audit("quantity,claimed\nparams.total,1557611200\n");
  EXPECT_EQ(csv.code, kDone) << csv.err;
}

TEST(AuditCommand, JsonIsEasyForAProgram) {
  TemporaryFolder folder;
  folder.Write("claims.json", R"([
    {"text": "one head", "quantity": "flops.attention_values.head", "value": 65536},
    {"quantity": "flops.attention_values.block", "value": 1638400},
    {"quantity": "params.total", "value": "1.56B"}])");
  const Outcome outcome = RunWords({"audit", folder.path("claims.json"), "--format", "json"});
  EXPECT_EQ(outcome.code, kCheckFailed);
  const json claims = json::parse(outcome.out)["claims"];
  EXPECT_EQ(claims[0]["verdict"], "wrong");
  EXPECT_EQ(claims[0]["derived"], 134'217'728);
  EXPECT_EQ(claims[0]["causes"][0]["kind"], "elementwise");
  EXPECT_EQ(claims[0]["cause"], claims[0]["causes"][0]["text"]);
  EXPECT_NEAR(claims[0]["ratio"].get<double>(), 1.0 / 2048, 1e-15);
  EXPECT_EQ(claims[1]["verdict"], "follows");
  EXPECT_EQ(claims[1]["follows_from"], json::array({"1"}));
  EXPECT_EQ(claims[2]["verdict"], "right");
  EXPECT_TRUE(claims[2]["cause"].is_null());
  EXPECT_THAT(RunWords({"audit", folder.path("claims.json")}).out, HasSubstr("1: one head"));
}

}  // namespace
}  // namespace flopledger
