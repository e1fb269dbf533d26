// Configs as they are published, with totals worked out elsewhere; and random models over the whole
// space of configs, counted once more by walking over their tensors, layers and positions.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <numeric>

#include "analysis/accounting/accounting.h"
#include "analysis/text/csv.h"
#include "model/json.h"
#include "tests/support/random_config.h"
#include "tests/support/refusal.h"

namespace flopledger {
namespace {

using ::testing::HasSubstr;

TEST(Configs, EachIsRightOrRefusedWithItsReason) {
  const std::string folder = FLOPLEDGER_FIXTURES "/configs/";
  const auto lines = ParseCsv(ReadTextFile(folder + "configs.csv"), "configs.csv");
  const std::map<std::string, std::string> refused = {
      {"EAGLE3-LLaMA3.1-8B", "'architectures' names a model whose head"},
      {"rwkv5-3b", "it has no attention: a recurrent model; families: gpt2"}};
  ASSERT_EQ(lines.size(), 41);
  for (std::size_t i = 1; i < lines.size(); ++i) {
    const auto& row = lines[i];
    SCOPED_TRACE(row[0]);
    const std::string file = folder + row[0] + ".json";
    if (const auto reason = refused.find(row[0]); reason != refused.end()) {
      EXPECT_THAT(Refusal([&] { LoadModel(file); }), HasSubstr(reason->second));
      continue;
    }
    const ModelConfig config = LoadModel(file);
    const RunShape shape = WholePass(config, std::stoll(row[1]), 1);
    EXPECT_EQ(CountParameters(config).total, std::stoll(row[2]));
    EXPECT_EQ(CountActiveParameters(config), std::stoll(row[3]));
    // A score head multiplies one position of the sequence; the table leaves it out.
    const int64_t score = 2 * config.d_model * config.num_labels;
    EXPECT_EQ(CountFlops(config, shape, Convention::kMatmul).total, std::stoll(row[4]) + score);
    EXPECT_EQ(CountMemory(config, shape).kv_cache_bytes, std::stoll(row[5]));
    // What was read can be written with own keys, and counts the same.
    const ModelConfig again = ParseModel(ToJson(config), "own keys");
    EXPECT_EQ(ToJson(again), ToJson(config));
    EXPECT_EQ(CountParameters(again).total, std::stoll(row[2]));
    EXPECT_EQ(CountFlops(again, shape, Convention::kMatmul).total,
              CountFlops(config, shape, Convention::kMatmul).total);
  }
}

TEST(Configs, AWindowKeepsNoMoreThanItsPositions) {
  const ModelConfig mistral = LoadModel(FLOPLEDGER_FIXTURES "/configs/Mistral-7B-v0.1.json");
  const MemoryFigures memory = CountMemory(mistral, WholePass(mistral, 32768, 1));
  EXPECT_EQ(memory.kv_cache_bytes, 8'589'934'592);
  EXPECT_EQ(memory.kv_cache_window_bytes, 1'073'741'824);
}

/// The tensors of a model, one by one, as a module that builds them would: [rows, columns].
struct Walker {
  const ModelConfig& m;
  int64_t params = 0, active = 0, matmul = 0, kept = 0, cache = 0;

  void Tensor(int64_t a, int64_t b = 1) { params += a * b, active += a * b; }
  void NormOf(int64_t n, bool bias) {
    if (m.norm_gain == NormGain::kNone) return;
    Tensor(n);
    if (bias) Tensor(n);
  }
  /// A linear layer that `rows` rows go through.
  void Linear(int64_t rows, int64_t in, int64_t out, bool bias) {
    Tensor(in, out);
    if (bias) Tensor(out);
    matmul += 2 * rows * in * out;
  }
  void Ffn(int64_t rows, int64_t width) {
    if (m.ffn.gated) Linear(rows, m.d_model, width, m.biases.ffn_up);
    Linear(rows, m.d_model, width, m.biases.ffn_up);
    Linear(rows, width, m.d_model, m.biases.ffn_down);
  }

  void Attention(int64_t T, const LayerKind& kind) {
    const int64_t C = m.d_model, NH = m.num_heads;
    int64_t key = m.own_head_size > 0 ? m.own_head_size : C / NH, value = key;
    if (m.latent.kv_rank > 0) {
      key = m.latent.nope + m.latent.rope, value = m.latent.value;
      if (m.latent.q_rank > 0) {
        Linear(T, C, m.latent.q_rank, m.biases.qkv);
        Tensor(m.latent.q_rank);
        Linear(T, m.latent.q_rank, NH * key, false);
      } else {
        Linear(T, C, NH * key, false);
      }
      Linear(T, C, m.latent.kv_rank + m.latent.rope, m.biases.qkv);
      Tensor(m.latent.kv_rank);
      Linear(T, m.latent.kv_rank, NH * (m.latent.nope + value), false);
      cache += T * (m.latent.kv_rank + m.latent.rope);
    } else {
      Linear(T, C, NH * key, m.biases.qkv);
      Linear(T, C, m.num_kv_heads * key, m.biases.qkv);
      Linear(T, C, m.num_kv_heads * key, m.biases.qkv);
      cache += T * 2 * m.num_kv_heads * key;
    }
    if (m.qk_norm == QkNorm::kHead) NormOf(key, m.biases.qk_norm), NormOf(key, m.biases.qk_norm);
    if (m.qk_norm == QkNorm::kEachHead || m.qk_norm == QkNorm::kRow) {
      for (int64_t head = 0; head < NH + m.num_kv_heads; ++head) NormOf(key, m.biases.qk_norm);
    }
    if (m.attention_sinks) Tensor(NH);
    for (int64_t query = 0; query < T; ++query) {
      for (int64_t other = 0; other <= query; ++other) {
        if (kind.window > 0 && query - other >= kind.window) continue;
        kept += 2 * NH * (key + value);
      }
    }
    matmul += 2 * T * T * NH * (key + value);
    Linear(T, NH * value, C, m.biases.attention_out);
  }

  void ExpertsOf(int64_t T) {
    const Experts& e = m.experts;
    Linear(T, m.d_model, e.count, e.router_bias);
    const int64_t before = params, flops = matmul;
    for (int64_t i = 0; i < e.count; ++i) Ffn(T, e.d_ff);
    active -= (params - before) / e.count * (e.count - e.per_token);
    matmul = flops + (matmul - flops) / e.count * e.per_token;
    if (e.shared_d_ff > 0) Ffn(T, e.shared_d_ff);
    if (e.shared_gate) Linear(T, m.d_model, 1, false);
  }

  void Layer(int64_t T, const LayerKind& kind) {
    int64_t norms = m.norm_placement == NormPlacement::kBoth ? 4 : 2;
    if (m.block == BlockOrder::kParallel) norms = 1;
    for (int64_t i = 0; i < norms; ++i) NormOf(m.d_model, m.biases.norm);
    Attention(T, kind);
    if (kind.experts) {
      ExpertsOf(T);
    } else {
      Ffn(T, m.d_ff);
    }
  }

  void Model(int64_t T) {
    const int64_t E = m.embedding_size > 0 ? m.embedding_size : m.d_model;
    Tensor(m.vocab_size, E);
    if (m.position == Position::kLearned) {
      Tensor(m.context_length + m.position_offset, m.d_model);
    }
    if (E != m.d_model) Linear(T, E, m.d_model, false), Linear(T, m.d_model, E, false);
    if (m.embedding_norm) NormOf(m.d_model, m.biases.norm);
    for (int64_t layer = 0; layer < m.num_layers; ++layer) {
      Layer(T, m.layer_kinds[static_cast<std::size_t>(m.kind_of_layer(layer))]);
    }
    if (m.final_norm) NormOf(m.d_model, m.biases.norm);
    if (m.head == Head::kScore) Linear(1, E, m.num_labels, false);
    if (m.head != Head::kLm) return;
    matmul += 2 * T * E * m.vocab_size;
    if (!m.tie_embeddings) Tensor(m.vocab_size, E);
    if (m.biases.lm_head) Tensor(m.vocab_size);
  }
};

TEST(Configs, RandomOnesCountWhatTheirTensorsAdd) {
  std::mt19937 random(2026);
  for (int i = 0; i < 240; ++i) {
    const ModelConfig config = RandomConfig(random);
    SCOPED_TRACE(ToJson(config).dump());
    const int64_t T = 1 + i % 20;
    Walker walker{config};
    walker.Model(T);
    const RunShape shape = WholePass(config, T, 1);
    const Breakdown params = CountParameters(config);
    EXPECT_EQ(params.total, walker.params);
    EXPECT_EQ(CountActiveParameters(config), walker.active);
    const int64_t matmul = CountFlops(config, shape, Convention::kMatmul).total;
    EXPECT_EQ(matmul, walker.matmul);
    int64_t attention = 0;
    for (const Op& op : ForwardOps(config, shape)) {
      if (op.kind != OpKind::kAttentionScores && op.kind != OpKind::kAttentionValues) continue;
      attention += OpFlops(config, shape, op, Convention::kMatmul);
    }
    EXPECT_EQ(CountFlops(config, shape, Convention::kCausal).total,
              matmul - attention + walker.kept);
    const MemoryFigures memory = CountMemory(config, shape);
    EXPECT_EQ(memory.weights_bytes, 4 * walker.params);
    EXPECT_EQ(memory.kv_cache_bytes, 4 * walker.cache);
    // Read back from own keys, it is the same model.
    EXPECT_EQ(ToJson(ParseModel(ToJson(config), "own keys")), ToJson(config));
    // Two sequences cost twice as much, whatever the convention.
    for (const ConventionInfo& convention : Conventions()) {
      EXPECT_EQ(CountFlops(config, WholePass(config, T, 2), convention.value).total,
                2 * CountFlops(config, shape, convention.value).total);
    }
  }
}

TEST(Configs, TheOpsOfEachLayerAreThoseOfItsKind) {
  std::mt19937 random(7);
  for (int i = 0; i < 60; ++i) {
    const ModelConfig config = RandomConfig(random);
    SCOPED_TRACE(ToJson(config).dump());
    const RunShape shape = WholePass(config, 15, 1);
    const std::vector<Op> ops = ForwardOps(config, shape);
    std::map<const Op*, int64_t> executions;
    ForEachExecution(config, ops, config.num_layers, [&](const Op& op, int64_t layer) {
      ++executions[&op];
      if (layer < 0) return;
      const LayerKind& kind =
          config.layer_kinds[static_cast<std::size_t>(config.kind_of_layer(layer))];
      if (op.id == OpId::kFfnUp) {
        EXPECT_FALSE(kind.experts);
      }
      if (op.id == OpId::kRouter) {
        EXPECT_TRUE(kind.experts);
      }
      if (op.id == OpId::kRope) {
        EXPECT_TRUE(kind.rope);
      }
      if (op.id == OpId::kAttentionScores) {
        EXPECT_EQ(op.window, kind.window < 15 ? kind.window : 0);
      }
    });
    for (const Op& op : ops) EXPECT_EQ(executions[&op], Executions(op, shape)) << op.name();
  }
}

TEST(DataTypes, BytesOfWeightsAndCache) {
  ModelConfig config;
  config.name = "small";
  config.vocab_size = 10, config.context_length = 8, config.num_layers = 1;
  config.d_model = 200, config.num_heads = config.num_kv_heads = 2, config.d_ff = 3;
  config.norm = Norm::kRmsNorm, config.position = Position::kNone, config.biases = {};
  const RunShape shape = WholePass(config, 5, 1);
  const auto bytes = [&](const char* weights, const char* kv) {
    return CountMemory(config, shape,
                       {ParseDataType(weights, "--dtype"), ParseDataType(kv, "--kv-dtype")});
  };
  // Rows of inputs: 10 + 600 + 200 + 3 of 200, and 200 of 3; three gains of 200.
  const int64_t numbers = 813 * 200 + 200 * 3 + 600;
  EXPECT_EQ(bytes("f32", "f32").weights_bytes, 4 * numbers);
  EXPECT_EQ(bytes("bf16", "f32").weights_bytes, 2 * numbers);
  EXPECT_EQ(bytes("f8", "f32").weights_bytes, numbers);
  // Two groups of at most 128 in a row of 200, one in a row of 3; gains in 16 bits.
  EXPECT_EQ(bytes("int8", "f32").weights_bytes, 813 * (200 + 4) + 200 * (3 + 2) + 2 * 600);
  EXPECT_EQ(bytes("int4", "f32").weights_bytes, 813 * (100 + 4) + 200 * (2 + 2) + 2 * 600);
  // 5 positions of 2 heads' keys and values, 100 numbers each.
  EXPECT_EQ(bytes("f32", "f32").kv_cache_bytes, 5 * 4 * 400);
  EXPECT_EQ(bytes("f32", "f16").kv_cache_bytes, 5 * 4 * 200);
  EXPECT_EQ(bytes("int4", "int8").kv_cache_bytes, 5 * 4 * (100 + 2));
  EXPECT_THAT(Refusal([] { ParseDataType("fp32", "--dtype"); }),
              HasSubstr("--dtype: unknown data type 'fp32'; did you mean 'f32'?"));
  EXPECT_EQ(DataTypeOfConfig("torch.bfloat16")->name, "bf16");
  EXPECT_EQ(DataTypeOfConfig("float8_e4m3fn")->name, "f8");
  EXPECT_EQ(DataTypeOfConfig("auto"), nullptr);
}

}  // namespace
}  // namespace flopledger
