// The audit: quantities that agree with the accounting, slips named, bad claims refused.
#include "analysis/audit/audit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <random>

#include "analysis/accounting/training.h"
#include "analysis/audit/quantities.h"
#include "model/json.h"
#include "tests/support/random_model.h"
#include "tests/support/random_setting.h"

namespace flopledger {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Catalogue CatalogueOf(const AuditSetting& setting) { return Catalogue(setting); }

AuditSetting SettingOf(const std::string& preset) {
  AuditSetting setting;
  setting.model = LoadModel(preset);
  setting.context = setting.model.context_length;
  return setting;
}

TEST(ParseNumberType, KnowsTheBytesOfEach) {
  for (const auto& [name, bits] :
       {std::pair{"f64", 64}, {"tf32", 32}, {"bf16", 16}, {"FP8", 8}, {"q4", 4}}) {
    EXPECT_EQ(ParseNumberType(name, "here").bytes * 8, bits) << name;
  }
  EXPECT_THROW(ParseNumberType("double", "here"), InputError);
}

TEST(Quantities, AgreeWithTheAccountingOnRandomModels) {
  std::mt19937 random(6);
  for (int i = 0; i < 200; ++i) {
    AuditSetting setting;
    setting.model = RandomModel(random);
    setting.context = 1 + i % 50;
    setting.batch = 1 + i % 3;
    const RunShape shape = WholePass(setting.model, setting.context, setting.batch);
    const Breakdown params = CountParameters(setting.model);
    for (const Convention convention :
         {Convention::kMatmul, Convention::kCausal, Convention::kAll}) {
      setting.convention = convention;
      const Catalogue catalogue = CatalogueOf(setting);
      for (const NamedCount& part : params.components) {
        EXPECT_EQ(catalogue.Find(fmt::format("params.{}", part.name))->value, part.value)
            << part.name;
      }
      EXPECT_EQ(catalogue.Find("params.total")->value, params.total);
      const Breakdown flops = CountFlops(setting.model, shape, convention);
      EXPECT_EQ(catalogue.Find("flops.total")->value, flops.total);
      if (convention == Convention::kAll) continue;  // ours are the products of a component
      for (const char* part : {"attention_qkv", "attention_scores", "attention_values",
                               "attention_out", "ffn", "lm_head"}) {
        const auto found = std::ranges::find(flops.components, part, &NamedCount::name);
        EXPECT_EQ(catalogue.Find(fmt::format("flops.{}", part))->value, found->value) << part;
      }
    }
    const MemoryFigures memory = CountMemory(setting.model, shape);
    setting.convention = Convention::kMatmul;
    const Catalogue catalogue = CatalogueOf(setting);
    EXPECT_EQ(catalogue.Find("memory.weights")->value, memory.weights_bytes);
    EXPECT_EQ(catalogue.Find("memory.kv_cache")->value, memory.kv_cache_bytes);
    const TrainingFigures training = CountTraining(setting.model, shape, Convention::kMatmul);
    EXPECT_EQ(catalogue.Find("memory.training_activations")->value,
              setting.batch * training.sheet_bytes);
    EXPECT_EQ(catalogue.Find("memory.training")->value,
              setting.batch * training.sheet_bytes + training.state_bytes);
    EXPECT_EQ(catalogue.Find("flops.training")->value, training.step_flops);
    EXPECT_EQ(catalogue.Find("flops.6nd")->value, training.six_nd_flops);
  }
}

TEST(Quantities, OfScaledTypesHaveTheScales) {
  AuditSetting setting = SettingOf("gpt2");
  setting.dtype = ParseNumberType("q4", "test");
  setting.kv_dtype = ParseNumberType("int8", "test");
  const auto matrix = [](int64_t outputs, int64_t inputs) {  // 16 bits for each 128 inputs
    return outputs * (inputs / 2 + 2 * (inputs / 128));
  };
  const int64_t vectors = 4 * 768 + 2304 + 768 + 3072 + 768;  // of a layer, 16 bits each
  const int64_t layer =
      matrix(2304, 768) + matrix(768, 768) + matrix(3072, 768) + matrix(768, 3072) + 2 * vectors;
  const Catalogue catalogue = CatalogueOf(setting);
  EXPECT_EQ(catalogue.Find("memory.weights")->value,
            matrix(50257, 768) + matrix(1024, 768) + 12 * layer + 2 * 2 * 768);
  EXPECT_EQ(catalogue.Find("memory.kv_cache")->value, 12 * 1024 * 2 * 12 * (64 + 2));
}

TEST(Audit, TheHandMadeExampleIsAnsweredWhole) {
  const std::string path = FLOPLEDGER_FIXTURES "/../../examples/gpt2-xl-by-hand.json";
  const std::vector<Finding> findings =
      Audit(ParseClaimsJson(ReadTextFile(path), SettingOf("gpt2-xl"), path));
  ASSERT_EQ(findings.size(), 23u);
  const auto at = [&](int id) -> const Finding& { return findings[static_cast<size_t>(id - 1)]; };
  for (const int id : {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15, 16}) {
    EXPECT_EQ(at(id).verdict, Verdict::kRight) << id << ": " << at(id).Remark();
  }
  for (const int id : {13, 14, 17, 20, 21}) EXPECT_EQ(at(id).verdict, Verdict::kWrong) << id;
  EXPECT_EQ(at(13).derived, 6'220'499'200);
  EXPECT_THAT(at(13).Remark(), HasSubstr("×2 lost"));
  EXPECT_EQ(at(17).derived, 134'217'728);
  EXPECT_EQ(at(17).causes.at(0).kind, "elementwise");
  EXPECT_EQ(at(18).verdict, Verdict::kRightUnder);
  EXPECT_THAT(at(18).Remark(), HasSubstr("no matrix product"));
  EXPECT_EQ(at(18).causes.at(0).kind, "elementwise_only");
  for (const int id : {20, 21}) {
    EXPECT_EQ(at(id).causes.at(0).factor, "T");
    EXPECT_EQ(at(id).causes.at(0).kind, "lost");
  }
  EXPECT_EQ(at(19).verdict, Verdict::kFollows);
  EXPECT_THAT(at(19).follows, ElementsAre("17"));
  // What to mend, not what merely stands on it.
  EXPECT_THAT(at(22).follows, ElementsAre("17", "20", "21"));
  EXPECT_THAT(at(22).via, ElementsAre("19", "20", "21"));
  EXPECT_THAT(at(23).follows, ElementsAre("17", "20", "21"));
  EXPECT_THAT(at(23).via, ElementsAre("22"));
  EXPECT_THAT(at(14).follows, ElementsAre("13"));
  EXPECT_THAT(at(14).Remark(), HasSubstr("3,110,249,600 rounded up"));
}

TEST(Audit, NamesTheFactorLostOrCountedTwice) {
  std::mt19937 random(66);
  int made = 0, named_first = 0;
  while (made < 300) {
    const AuditSetting setting = RandomSetting(random);
    const Catalogue catalogue = CatalogueOf(setting);
    const auto& quantities = catalogue.quantities();
    const Quantity& quantity = quantities[random() % quantities.size()];
    const bool count = quantity.unit == Unit::kParameters || quantity.unit == Unit::kFlops ||
                       quantity.unit == Unit::kBytes;
    if (quantity.value == 0 || !count) continue;
    const std::vector<Term> flat = catalogue.Flatten(quantity);
    const Factor factor = flat.front().factors[random() % flat.front().factors.size()];
    const bool everywhere = std::ranges::all_of(flat, [&](const Term& term) {
      return std::ranges::count(term.factors, factor.symbol, &Factor::symbol) > 0;
    });
    if (!everywhere || factor.value == 1) continue;
    const bool lost = random() % 2 == 0;
    const Exact value = lost ? Exact(quantity.value / factor.value) : quantity.value * factor.value;
    if (denominator(value) != 1) continue;
    ++made;
    Claim claim;
    claim.id = "1";
    claim.quantity = quantity.name;
    claim.setting = setting;
    claim.figure = {"", value, value, value};
    const Finding finding = Audit({claim}).front();
    EXPECT_EQ(finding.verdict, Verdict::kWrong) << quantity.name;
    const bool named = !finding.causes.empty() && finding.causes[0].factor == factor.symbol &&
                       finding.causes[0].kind == (lost ? "lost" : "extra");
    named_first += named ? 1 : 0;
    if (!named) {
      std::cout << quantity.name << " " << factor.symbol << (lost ? " lost: " : " twice: ")
                << finding.Remark() << '\n';
    }
  }
  EXPECT_GE(named_first, made * 9 / 10);
}

std::vector<Finding> AuditJson(const std::string& claims, const std::string& preset = "gpt2-xl") {
  return Audit(ParseClaimsJson(claims, SettingOf(preset), "test"));
}

TEST(Audit, TellsASlipOnTopOfAnothersFigure) {
  // The block is wrong (no output projection), and the stack forgets the layers.
  const auto findings = AuditJson(R"([
      {"id": "block", "quantity": "flops.total.block", "value": "64,382,566,400"},
      {"id": "stack", "quantity": "flops.stack.model", "value": "64,382,566,400"},
      {"id": "total", "quantity": "flops.total.model", "value": "229,064,704,000"}])");
  EXPECT_EQ(findings[0].verdict, Verdict::kWrong);
  EXPECT_EQ(findings[0].causes.at(0).kind, "forgotten");
  EXPECT_EQ(findings[1].verdict, Verdict::kWrong);
  EXPECT_THAT(findings[1].follows, ElementsAre("block"));
  EXPECT_EQ(findings[1].causes.at(0).factor, "L");
  EXPECT_THAT(findings[1].Remark(), HasSubstr("with the figure of claim block: ×L"));
  EXPECT_EQ(findings[2].verdict, Verdict::kFollows);
  EXPECT_THAT(findings[2].follows, ElementsAre("block", "stack"));
}

TEST(Audit, TellsAFigureThatIsRepeatedOrRoundedTheWrongWay) {
  const auto findings = AuditJson(R"([
      {"id": "a", "quantity": "memory.weights", "value": "3,115,222,400"},
      {"id": "b", "quantity": "memory.weights", "value": "3,115,222,400"},
      {"id": "c", "quantity": "memory.weights", "value": "~3.1 GB"},
      {"id": "d", "quantity": "memory.weights", "value": "~4 GB"},
      {"id": "e", "quantity": "params.total", "value": "1.55B"},
      {"id": "f", "quantity": "params.total", "value": "1.6B"},
      {"id": "g", "quantity": "params.total", "value": "2B"}])");
  EXPECT_THAT(findings[0].Remark(), HasSubstr("×2 lost"));
  EXPECT_EQ(findings[1].Remark(), "follows from claim a; right otherwise");
  EXPECT_EQ(findings[2].Remark(), "follows from claim a; right otherwise");
  EXPECT_THAT(findings[3].Remark(), HasSubstr("claim a: 3,115,222,400 rounded up"));
  EXPECT_EQ(findings[4].causes.at(0).kind, "rounding");
  EXPECT_THAT(findings[4].Remark(), HasSubstr("cut off"));
  EXPECT_EQ(findings[5].verdict, Verdict::kRight);
  EXPECT_EQ(findings[6].verdict, Verdict::kRight);
}

TEST(Audit, AnotherConventionIsARemarkUnlessItIsNamed) {
  const auto audit = [](const std::string& quantity, int64_t value, const std::string& more) {
    return AuditJson(fmt::format(R"([{{"quantity": "{}", "value": {}{}}}])", quantity, value, more))
        .front();
  };
  const int64_t P = 1'557'611'200, attention = 12 * int64_t{48} * 1600 * 1024;
  const struct {
    std::string quantity, convention;
    int64_t value;
  } cases[] = {
      {"flops.total", "rule-of-thumb", 2 * P * 1024},
      {"flops.training", "rule-of-thumb", 6 * P * 1024},
      {"flops.training", "palm", (6 * P + attention) * 1024},
      {"flops.training", "nanogpt", (6 * int64_t{1'555'972'800} + attention) * 1024},
      {"flops.training", "llm.c", (6 * P + attention / 2) * 1024},
      // 6·(N − N_emb): neither table, for both are embeddings and the head is tied.
      {"flops.training", "torchtitan", (6 * (P - 50257 * 1600 - 1024 * 1600) + attention) * 1024},
      {"flops.attention_scores", "causal", 80'609'280'000},
  };
  for (const auto& [quantity, convention, value] : cases) {
    const Finding silent = audit(quantity, value, "");
    EXPECT_EQ(silent.verdict, Verdict::kWrong) << convention;
    EXPECT_THAT(silent.Remark(), HasSubstr(convention));
    const Finding named = audit(quantity, value, R"(, "convention": ")" + convention + "\"");
    EXPECT_EQ(named.verdict, Verdict::kRight) << convention << ": " << named.Remark();
    const Finding wrong = audit(quantity, value + 2, R"(, "convention": ")" + convention + "\"");
    EXPECT_EQ(wrong.verdict, Verdict::kWrong) << convention;
  }
  // T²/2 is right where `causal` is named, and said to be another count of half a square.
  const Finding half =
      audit("flops.attention_scores", 80'530'636'800, R"(, "convention": "causal")");
  EXPECT_EQ(half.verdict, Verdict::kRight);
  EXPECT_THAT(half.Remark(), HasSubstr("T²/2"));
  EXPECT_THAT(audit("flops.attention_scores", 80'530'636'800, "").Remark(), HasSubstr("causal"));
  // A slip is named before a coincidence.
  const Finding fewer =
      AuditJson(R"([{"quantity": "flops.total", "value": 3506703564800}])", "cs336-xl").front();
  EXPECT_THAT(fewer.causes.at(0).text, HasSubstr("two matrices"));
  EXPECT_THAT(fewer.Remark(), HasSubstr("Megatron"));
}

TEST(Audit, AnUnreadableValueIsOneUnreadableClaim) {
  for (const char* value :
       {R"("many")", "1e30", "1000000000000000000000000000000", R"("1e999")", "-3",
        R"("5 parsecs")", R"("")", "null", R"("8 GB or so")", R"("1,55,76")", R"("1.2.3")"}) {
    const auto findings = AuditJson(fmt::format(
        R"([{{"quantity": "params.total", "value": {}}},
            {{"quantity": "params.total", "value": "1.56 billion"}}])",
        value));
    EXPECT_EQ(findings[0].verdict, Verdict::kUnreadable) << value;
    EXPECT_GT(findings[0].Remark().size(), 10u) << value;
    EXPECT_THAT(findings[0].Remark(), ::testing::Not(HasSubstr("\n")));
    EXPECT_EQ(findings[1].verdict, Verdict::kRight) << value;
  }
}

TEST(Audit, RefusesBadClaimsInOneLine) {
  const std::pair<const char*, const char*> cases[] = {
      {R"([{"quantity": "params.totl", "value": 1}])", "did you mean 'params.total"},
      {R"([{"id": 1, "quantity": "params.total", "value": 1},
          {"id": "1", "quantity": "params.total", "value": 1}])",
       "two claims have the id '1'"},
      {"[]", "no claims"},
      {R"({"claims": []})", "no claims"},
      {R"([{"quantity": "params.total", "value": {}}])", "'value' must be"},
      {R"([{"quantity": "params.total", "value": 1, "dtype": "bf17"}])", "unknown number type"},
      {R"([{"quantity": "params.total", "value": 1, "convention": "megatorn"}])", "'megatron'"},
      {R"([{"quantity": "params.total", "value": 1, "activations": "2024"}])", "2025"},
      {R"([{"quantity": "batch.largest", "value": 1}])", "needs 'memory'"},
      {R"([{"quantity": "batch.largest", "value": 1, "memory": 80}])", "no unit"},
      {R"([{"quantity": "time.training_hours", "value": 1, "peak": "1T"}])", "needs 'steps'"},
      {R"([{"quantity": "mfu", "value": 1, "peak": "1T"}])", "needs 'peak'"},
      {R"([{"quantity": "params.total"}])", "'value' is missing"},
      {R"([1])", "is no object"},
      {R"(3)", "a list of claims"},
      {R"([{"quantity": "params.total", "value": 1, "batch": 0}])", "'batch' must be"},
  };
  for (const auto& [text, says] : cases) {
    try {
      ParseClaimsJson(text, SettingOf("gpt2-xl"), "claims.json");
      ADD_FAILURE() << text;
    } catch (const InputError& error) {
      EXPECT_THAT(error.what(), HasSubstr(says));
      EXPECT_THAT(error.what(), HasSubstr("claims.json"));
      EXPECT_THAT(error.what(), ::testing::Not(HasSubstr("\n")));
    }
  }
}

TEST(Audit, ReadsCsv) {
  const std::vector<Claim> claims =
      ParseClaimsCsv("id,quantity,value\na,params.total,\"1,557,611,200\"\nb,flops.total,7.0T\n",
                     SettingOf("gpt2-xl"), "claims.csv");
  const std::vector<Finding> findings = Audit(claims);
  ASSERT_EQ(findings.size(), 2u);
  EXPECT_EQ(findings[0].verdict, Verdict::kRight);
  EXPECT_EQ(findings[1].causes.at(0).kind, "extra");
  EXPECT_THROW(ParseClaimsCsv("id,value\n1,2\n", SettingOf("gpt2-xl"), "c"), InputError);
  EXPECT_THROW(ParseClaimsCsv("quantity,value\n", SettingOf("gpt2-xl"), "c"), InputError);
}

}  // namespace
}  // namespace flopledger
