// The accounting against figures worked out elsewhere: the oracle's table and published counts.
#include "analysis/accounting/accounting.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <random>

#include "analysis/text/csv.h"
#include "model/input_error.h"
#include "model/json.h"
#include "tests/support/random_model.h"

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
  config.biases = Biases::OfBlock(row.at("bias") == "True", config.norm);
  config.tie_embeddings = row.at("tied") == "True";
  return config;
}

/// The preset of a row: "gpt2_medium_cs336" is our "cs336-medium", "gpt2_small" our "gpt2".
std::string PresetOf(std::string name) {
  for (const std::string size : {"small", "medium", "large", "xl"}) {
    if (name == "gpt2_" + size) return size == "small" ? "gpt2" : "gpt2-" + size;
    if (name.starts_with("gpt2_" + size + "_cs336")) return "cs336-" + size;
  }
  return name == "gpt2_xl_seed" ? "seed-xl" : name;
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

    ModelConfig preset = LoadModel(PresetOf(row.at("model")));
    preset.name = config.name;
    preset.context_length = config.context_length;
    if (row.at("ffn") == "relu2mat") config.ffn = Ffn::kRelu;
    EXPECT_EQ(ToJson(preset), ToJson(config));
  }
}

TEST(Accounting, PresetsHaveTheirPublishedParameterCounts) {
  // GPT-2: the released checkpoints. CS336: the assignment's sheet of each year. seed-xl: the
  // figure of the hand accounting that this project started from.
  const std::map<std::string, int64_t> published{
      {"gpt2", 124'439'808},
      {"gpt2-medium", 354'823'168},
      {"gpt2-large", 774'030'080},
      {"gpt2-xl", 1'557'611'200},
      {"cs336-small", 190'460'160},
      {"cs336-medium", 505'629'696},
      {"cs336-large", 1'072'469'760},
      {"cs336-xl", 2'127'057'600},
      {"cs336-2026-xl", 1'640'452'800},
      {"seed-xl", 1'555'124'800},
  };
  for (const auto& [name, params] : published) {
    EXPECT_EQ(CountParameters(LoadModel(name)).total, params) << name;
  }
  // The 2026 sheet gives d_ff; all else is 2·V·C for the tables, and for each layer four C×C
  // matrices, three C×F and two gains, with one gain at the end.
  const auto untied = [](int64_t L, int64_t C, int64_t F) {
    return 2 * 50257 * C + L * (4 * C * C + 3 * C * F + 2 * C) + C;
  };
  EXPECT_EQ(CountParameters(LoadModel("cs336-2026-small")).total, untied(12, 768, 2048));
  EXPECT_EQ(CountParameters(LoadModel("cs336-2026-medium")).total, untied(24, 1024, 2752));
  EXPECT_EQ(CountParameters(LoadModel("cs336-2026-large")).total, untied(36, 1280, 3392));
  EXPECT_EQ(untied(48, 1600, 4288), 1'640'452'800);
  EXPECT_EQ(published.size() + 3, Presets().size());
  EXPECT_EQ(LoadModel("cs336-2026-small").d_ff, 2048);
  EXPECT_EQ(LoadModel("cs336-2026-medium").d_ff, 2752);
  EXPECT_EQ(LoadModel("cs336-2026-large").d_ff, 3392);
  EXPECT_EQ(LoadModel("cs336-2026-xl").d_ff, 4288);
}

TEST(Accounting, LongContextsOfTheCourse) {
  const auto total = [](const char* name, int64_t context) {
    const ModelConfig config = LoadModel(name);
    return CountFlops(config, WholePass(config, context, 1), Convention::kMatmul).total;
  };
  EXPECT_EQ(total("cs336-xl", 1024), 4'513'336'524'800);
  EXPECT_EQ(total("cs336-xl", 16384), 149'522'795'724'800);
  EXPECT_EQ(total("cs336-2026-xl", 1024), 3'516'769'894'400);
  EXPECT_EQ(total("cs336-2026-xl", 16384), 133'577'729'638'400);
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

TEST(Accounting, ComponentsSumToTheTotalUnderEveryConvention) {
  std::mt19937 random(13);
  for (int i = 0; i < 50; ++i) {
    const ModelConfig config = RandomModel(random);
    const RunShape shape = WholePass(config, 1 + i, 1 + i % 3);
    const auto expect_sum = [&](const Breakdown& breakdown) {
      int64_t sum = 0;
      for (const NamedCount& component : breakdown.components) sum += component.value;
      EXPECT_EQ(sum, breakdown.total);
    };
    expect_sum(CountParameters(config));
    for (const ConventionInfo& info : Conventions()) {
      expect_sum(CountFlops(config, shape, info.value));
    }
  }
}

// Every element's operations counted one by one, as a reader of the formulas' papers would.
TEST(Accounting, AllCountsEachElementsOperations) {
  const int64_t B = 3, T = 5, L = 2, R = B * T;
  ModelConfig config;
  config.name = "gpt2-like";
  config.vocab_size = 11;
  config.context_length = 8;
  config.num_layers = L;
  config.d_model = 12;
  config.num_heads = config.num_kv_heads = 3;
  config.d_ff = 20;
  const Breakdown gpt2 = CountFlops(config, WholePass(config, T, B), Convention::kAll);
  EXPECT_EQ(Component(gpt2, "embedding"), R * 12);
  EXPECT_EQ(Component(gpt2, "norms"), (2 * L + 1) * R * 12 * 7);
  EXPECT_EQ(Component(gpt2, "attention_qkv"), L * R * 36 * (2 * 12 + 1));
  EXPECT_EQ(Component(gpt2, "attention_scores"), L * B * 3 * T * T * 2 * 4);
  EXPECT_EQ(Component(gpt2, "attention_softmax"), L * B * 3 * T * T * 6);
  EXPECT_EQ(Component(gpt2, "attention_out"), L * R * 12 * (2 * 12 + 1));
  EXPECT_EQ(Component(gpt2, "ffn"),
            L * (R * 20 * (2 * 12 + 1) + R * 20 * 8 + R * 12 * (2 * 20 + 1)));
  EXPECT_EQ(Component(gpt2, "residual"), L * 2 * R * 12);
  EXPECT_EQ(Component(gpt2, "rope"), 0);
  EXPECT_EQ(Component(gpt2, "lm_head"), R * 11 * 2 * 12);

  const int64_t products = L * (R * 20 * (2 * 12 + 1) + R * 12 * (2 * 20 + 1));
  for (const auto& [ffn, cost] : {std::pair{Ffn::kGeluErf, 5}, std::pair{Ffn::kRelu, 1}}) {
    config.ffn = ffn;
    EXPECT_EQ(Component(CountFlops(config, WholePass(config, T, B), Convention::kAll), "ffn"),
              products + L * R * 20 * cost);
  }

  config.num_kv_heads = 1;
  config.ffn = Ffn::kSwiglu;
  config.norm = Norm::kRmsNorm;
  config.position = Position::kRope;
  config.biases = {};
  config.final_norm = false;
  const Breakdown llama = CountFlops(config, WholePass(config, T, B), Convention::kAll);
  EXPECT_EQ(Component(llama, "embedding"), 0);
  EXPECT_EQ(Component(llama, "norms"), 2 * L * R * 12 * 4);
  EXPECT_EQ(Component(llama, "attention_qkv"), L * R * 20 * 2 * 12);
  EXPECT_EQ(Component(llama, "rope"), L * R * (3 + 1) * 4 * 3);
  EXPECT_EQ(Component(llama, "ffn"), L * (3 * R * 20 * 2 * 12 + R * 20 * 5));
}

// Each operand once: grouped queries share keys and values, fused attention stores no scores.
TEST(Accounting, BytesAreEachOperandOnce) {
  const int64_t B = 3, T = 5, L = 2, R = B * T, C = 12, Q = 20, F = 20, V = 11, NH = 3, NKV = 1,
                HS = 4;
  ModelConfig config;
  config.vocab_size = V;
  config.context_length = 8;
  config.num_layers = L;
  config.d_model = C;
  config.num_heads = NH;
  config.num_kv_heads = NKV;
  config.d_ff = F;
  const std::map<std::string_view, int64_t> floats{
      {"embedding", 2 * R * C + T * C},
      {"attention_norm", L * (2 * R * C + 2 * C)},
      {"attention_qkv", L * (R * C + C * Q + Q + R * Q)},
      {"attention_scores", L * B * (NH * T * HS + NKV * T * HS + NH * T * T)},
      {"attention_softmax", L * B * NH * 2 * T * T},
      {"attention_values", L * B * (NH * T * T + NKV * T * HS + NH * T * HS)},
      {"attention", L * B * (2 * NH + 2 * NKV) * T * HS},
      {"attention_out", L * (R * C + C * C + C + R * C)},
      {"attention_residual", L * 3 * R * C},
      {"ffn_norm", L * (2 * R * C + 2 * C)},
      {"ffn_up", L * (R * C + C * F + F + R * F)},
      {"ffn_activation", L * 2 * R * F},
      {"ffn_down", L * (R * F + F * C + C + R * C)},
      {"ffn_residual", L * 3 * R * C},
      {"final_norm", 2 * R * C + 2 * C},
      {"lm_head", R * C + C * V + R * V},
  };
  RunShape shape = WholePass(config, T, B);
  for (const bool fused : {false, true}) {
    shape.fused_attention = fused;
    for (const Op& op : ForwardOps(config, shape)) {
      EXPECT_EQ(OpBytes(config, shape, op), 4 * floats.at(op.name())) << op.name();
    }
  }
  config.ffn = Ffn::kSwiglu;
  config.position = Position::kRope;
  const std::map<OpId, int64_t> changed{
      {OpId::kEmbedding, 2 * R * C},
      {OpId::kFfnActivation, L * 3 * R * F},
      {OpId::kRope, L * (2 * R * (NH + NKV) * HS + T * HS)},
  };
  std::size_t seen = 0;
  for (const Op& op : ForwardOps(config, shape)) {
    if (!changed.contains(op.id)) continue;
    ++seen;
    EXPECT_EQ(OpBytes(config, shape, op), 4 * changed.at(op.id)) << op.name();
  }
  EXPECT_EQ(seen, changed.size());
}

TEST(Accounting, TheCacheHoldsKeysAndValuesOfEachGroupOnce) {
  ModelConfig config = LoadModel("gpt2");
  RunShape shape = WholePass(config, 100, 3);
  EXPECT_EQ(CountMemory(config, shape).kv_cache_bytes, int64_t{4} * 2 * 12 * 3 * 100 * 768);
  config.num_kv_heads = 4;  // of 12 heads of 64
  EXPECT_EQ(CountMemory(config, shape).kv_cache_bytes, int64_t{4} * 2 * 12 * 3 * 100 * 4 * 64);
  shape.num_layers = 5;
  EXPECT_EQ(CountMemory(config, shape).kv_cache_bytes, int64_t{4} * 2 * 5 * 3 * 100 * 4 * 64);
}

// The weights and the rule of thumb of a part of the layers, as `run --layers` holds them.
TEST(Accounting, LayersThatDoNotRunAreNotCharged) {
  const ModelConfig config = LoadModel("gpt2");
  RunShape part = WholePass(config, 10, 2);
  part.num_layers = 5;
  // Each block: two LayerNorms, the joint QKV, the output and the two products of the FFN.
  const int64_t C = 768, block = 4 * C + (3 * C * C + 3 * C) + (C * C + C) + (8 * C * C + 5 * C);
  const int64_t params = 124'439'808 - 7 * block;
  EXPECT_EQ(CountMemory(config, part).weights_bytes, 4 * params);
  EXPECT_EQ(CountFlops(config, part, Convention::kRuleOfThumb).total, 2 * params * 20);
}

TEST(Accounting, OverflowIsAnErrorNeverAWrappedNumber) {
  ModelConfig config = LoadModel("cs336-xl");
  EXPECT_THROW(CountFlops(config, WholePass(config, int64_t{1} << 40, 1), Convention::kMatmul),
               InputError);
  config.d_ff = int64_t{1} << 60;
  EXPECT_THROW(CountParameters(config), InputError);
  // The largest sizes that a config may have: refused, not undefined, whatever is asked.
  const ModelConfig largest = ParseModel({{"vocab_size", 1'000'000'000'000},
                                          {"context_length", 1'000'000'000'000},
                                          {"num_layers", 1'000'000'000'000},
                                          {"d_model", 1'000'000'000'000},
                                          {"num_heads", 1'000'000'000'000},
                                          {"ffn", "swiglu"}},
                                         "largest");
  const RunShape shape = WholePass(largest, largest.context_length, 1'000'000'000'000);
  EXPECT_THROW(CountParameters(largest), InputError);
  EXPECT_THROW(CountMemory(largest, shape), InputError);
  for (const ConventionInfo& info : Conventions()) {
    EXPECT_THROW(CountFlops(largest, shape, info.value), InputError) << info.name;
  }
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
