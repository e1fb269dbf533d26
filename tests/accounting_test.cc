// The books against figures worked out elsewhere: the oracle's table and published counts.
#include "analysis/accounting.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "analysis/csv.h"
#include "model/input_error.h"
#include "model/json.h"

namespace flopledger {
namespace {

int64_t Component(const Breakdown& breakdown, std::string_view name) {
  for (const NamedCount& component : breakdown.components) {
    if (component.name == name) return component.value;
  }
  ADD_FAILURE() << "no component " << name;
  return -1;
}

/// A model from a row of the oracle, not from our presets.
ModelConfig FromOracle(const std::map<std::string, std::string>& row) {
  const auto number = [&](const char* key) { return std::stoll(row.at(key)); };
  ModelConfig config;
  config.name = row.at("model");
  config.num_layers = number("layers");
  config.d_model = number("d_model");
  config.num_heads = config.num_kv_heads = number("heads");
  config.vocab_size = number("vocab");
  config.context_length = number("context");
  config.d_ff = number("d_ff");
  config.ffn = row.at("ffn") == "swiglu" ? Ffn::kSwiglu : Ffn::kGeluTanh;
  config.norm = row.at("norm") == "rmsnorm" ? Norm::kRmsNorm : Norm::kLayerNorm;
  config.position = row.at("pos") == "rope"      ? Position::kRope
                    : row.at("pos") == "learned" ? Position::kLearned
                                                 : Position::kNone;
  config.bias = row.at("bias") == "True";
  config.tie_embeddings = row.at("tied") == "True";
  return config;
}

TEST(Accounting, MeetsTheOracleExactly) {
  const auto lines = ParseCsv(ReadTextFile(FLOPLEDGER_FIXTURES "/accounting.csv"), "oracle");
  ASSERT_GT(lines.size(), 10);
  for (std::size_t i = 1; i < lines.size(); ++i) {
    std::map<std::string, std::string> row;
    for (std::size_t c = 0; c < lines[0].size(); ++c) row[lines[0][c]] = lines[i][c];
    SCOPED_TRACE(row.at("model") + " at " + row.at("context"));
    ModelConfig config = FromOracle(row);
    if (row.at("model").ends_with("seed")) config.final_norm = false;
    const RunShape shape = WholePass(config, config.context_length, 1);
    const auto number = [&](const char* key) { return std::stoll(row.at(key)); };
    EXPECT_EQ(CountParameters(config).total, number("params"));
    EXPECT_EQ(CountMemory(config, shape).weights_bytes, number("bytes_fp32"));
    const Breakdown flops = CountFlops(config, shape, Convention::kMatmul);
    EXPECT_EQ(Component(flops, "attention_qkv"), number("qkv"));
    EXPECT_EQ(Component(flops, "attention_scores"), number("qk"));
    EXPECT_EQ(Component(flops, "attention_values"), number("av"));
    EXPECT_EQ(Component(flops, "attention_out"), number("out"));
    EXPECT_EQ(Component(flops, "ffn"), number("ffn_flops"));
    EXPECT_EQ(Component(flops, "lm_head"), number("lm_head"));
    EXPECT_EQ(flops.total, number("total"));
    EXPECT_EQ(CountFlops(config, shape, Convention::kCausal).total, number("total_causal"));
  }
}

TEST(Accounting, PresetsHaveTheirPublishedParameterCounts) {
  // GPT-2: the released checkpoints. CS336: the assignment's sheet of each year. seed-xl: the
  // figure of the hand accounting that this project started from.
  const std::map<std::string, int64_t> published{
      {"gpt2", 124'439'808},       {"gpt2-medium", 354'823'168},     {"gpt2-large", 774'030'080},
      {"gpt2-xl", 1'557'611'200},  {"cs336-small", 190'460'160},     {"cs336-medium", 505'629'696},
      {"cs336-xl", 2'127'057'600}, {"cs336-2026-xl", 1'640'452'800}, {"seed-xl", 1'555'124'800},
  };
  for (const auto& [name, params] : published) {
    EXPECT_EQ(CountParameters(LoadModel(name)).total, params) << name;
  }
  EXPECT_EQ(LoadModel("cs336-2026-small").d_ff, 2048);
  EXPECT_EQ(LoadModel("cs336-2026-medium").d_ff, 2752);
  EXPECT_EQ(LoadModel("cs336-2026-large").d_ff, 3392);
  EXPECT_EQ(LoadModel("cs336-2026-xl").d_ff, 4288);
}

TEST(Accounting, LongContextsOfTheCourse) {
  const auto total = [](const char* name) {
    const ModelConfig config = LoadModel(name);
    return CountFlops(config, WholePass(config, 16384, 1), Convention::kMatmul).total;
  };
  EXPECT_EQ(total("cs336-xl"), 149'522'795'724'800);
  EXPECT_EQ(total("cs336-2026-xl"), 133'577'729'638'400);
}

TEST(Accounting, CausalKeepsHalfTheSquareAndItsDiagonal) {
  ModelConfig config = LoadModel("gpt2");
  const RunShape shape = WholePass(config, 7, 3);
  const int64_t kept = 7 * 8 / 2;
  EXPECT_EQ(Component(CountFlops(config, shape, Convention::kCausal), "attention_scores"),
            2 * 12 * 3 * 12 * 64 * kept);
  EXPECT_EQ(Component(CountFlops(config, shape, Convention::kCausal), "attention_qkv"),
            Component(CountFlops(config, shape, Convention::kMatmul), "attention_qkv"));
}

TEST(Accounting, FusedAttentionCostsWhatItsPartsCost) {
  const ModelConfig config = LoadModel("gpt2");
  RunShape shape = WholePass(config, 100, 2);
  for (const Convention convention : {Convention::kMatmul, Convention::kCausal, Convention::kAll}) {
    const auto total = [&](bool fused) {
      shape.fused_attention = fused;
      int64_t sum = 0;
      for (const Op& op : ForwardOps(config, shape)) sum += OpFlops(config, shape, op, convention);
      return sum;
    };
    EXPECT_EQ(total(true), total(false)) << InfoOf(convention).name;
  }
}

TEST(Accounting, AllCountsMoreThanTheProducts) {
  const ModelConfig config = LoadModel("cs336-small");
  const RunShape shape = WholePass(config, 128, 1);
  const Breakdown all = CountFlops(config, shape, Convention::kAll);
  const Breakdown products = CountFlops(config, shape, Convention::kMatmul);
  int64_t sum = 0;
  for (const NamedCount& component : all.components) sum += component.value;
  EXPECT_EQ(sum, all.total);
  EXPECT_GT(Component(all, "norms"), 0);
  EXPECT_GT(Component(all, "rope"), 0);
  EXPECT_GT(Component(all, "ffn"), Component(products, "ffn"));
  EXPECT_EQ(Component(all, "lm_head"), Component(products, "lm_head"));
}

TEST(Accounting, RuleOfThumbIsTwiceParametersTimesTokens) {
  const ModelConfig config = LoadModel("gpt2-xl");
  EXPECT_EQ(CountFlops(config, WholePass(config, 1024, 2), Convention::kRuleOfThumb).total,
            int64_t{2} * 1'557'611'200 * 1024 * 2);
  const Op op = ForwardOps(config, WholePass(config, 8, 1)).front();
  EXPECT_THROW(OpFlops(config, WholePass(config, 8, 1), op, Convention::kRuleOfThumb),
               std::logic_error);
}

TEST(Accounting, OverflowIsAnErrorNeverAWrappedNumber) {
  ModelConfig config = LoadModel("cs336-xl");
  EXPECT_THROW(CountFlops(config, WholePass(config, int64_t{1} << 40, 1), Convention::kMatmul),
               InputError);
  config.d_ff = int64_t{1} << 60;
  EXPECT_THROW(CountParameters(config), InputError);
}

TEST(Accounting, ConventionsAreFoundByName) {
  for (const ConventionInfo& info : Conventions()) {
    EXPECT_EQ(ParseConvention(info.name), info.value);
    EXPECT_FALSE(info.source.empty());
  }
  EXPECT_THROW(ParseConvention("macs"), InputError);
}

}  // namespace
}  // namespace flopledger
