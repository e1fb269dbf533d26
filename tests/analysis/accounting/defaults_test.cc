// What families take for keys that a config lacks, beside the configuration classes of Hugging
// Face's transformers (src/transformers/models/*/configuration_*.py, versions 4.57 to 5; copied
// from there by hand, not from our readers).
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "model/config.h"

namespace flopledger {
namespace {

struct ClassDefaults {
  const char* model_type;
  int64_t vocabulary, context, layers, d_model, heads, kv_heads, head_size, d_ff;
  double eps;
  bool tied;
  Activation activation;
};

using enum Activation;

// head_size is hidden_size / heads where the class names none; n_inner and ffn_dim are d_ff.
constexpr ClassDefaults kClasses[] = {
    {"gpt2", 50257, 1024, 12, 768, 12, 12, 64, 3072, 1e-5, true, kGeluTanh},
    {"opt", 50272, 2048, 12, 768, 12, 12, 64, 3072, 1e-5, true, kRelu},
    {"gpt_neox", 50432, 2048, 44, 6144, 64, 64, 96, 24576, 1e-5, false, kGeluErf},
    {"falcon", 65024, 2048, 32, 4544, 71, 1, 64, 18176, 1e-5, true, kGeluErf},
    {"phi", 51200, 2048, 24, 2048, 32, 32, 64, 8192, 1e-5, false, kGeluTanh},
    {"phi3", 32064, 4096, 32, 3072, 32, 32, 96, 8192, 1e-5, false, kSilu},
    {"llama", 32000, 2048, 32, 4096, 32, 32, 128, 11008, 1e-6, false, kSilu},
    {"granite", 32000, 2048, 32, 4096, 32, 32, 128, 11008, 1e-6, false, kSilu},
    {"mistral", 32000, 131072, 32, 4096, 32, 8, 128, 14336, 1e-6, false, kSilu},
    {"mixtral", 32000, 131072, 32, 4096, 32, 8, 128, 14336, 1e-5, false, kSilu},
    {"smollm3", 128256, 32768, 36, 2048, 16, 4, 128, 11008, 1e-6, true, kSilu},
    {"exaone4", 102400, 2048, 32, 4096, 32, 32, 128, 16384, 1e-5, false, kSilu},
    {"qwen2", 151936, 32768, 32, 4096, 32, 32, 128, 22016, 1e-6, false, kSilu},
    {"qwen2_moe", 151936, 32768, 24, 2048, 16, 16, 128, 5632, 1e-6, false, kSilu},
    {"qwen3", 151936, 32768, 32, 4096, 32, 32, 128, 22016, 1e-6, false, kSilu},
    {"qwen3_moe", 151936, 32768, 24, 2048, 32, 4, 64, 6144, 1e-6, false, kSilu},
    {"gemma", 256000, 8192, 28, 3072, 16, 16, 256, 24576, 1e-6, true, kGeluTanh},
    {"gemma2", 256000, 8192, 26, 2304, 8, 4, 256, 9216, 1e-6, true, kGeluTanh},
    {"stablelm", 50304, 4096, 32, 2560, 32, 32, 80, 6912, 1e-5, false, kSilu},
    {"starcoder2", 49152, 4096, 30, 3072, 24, 2, 128, 12288, 1e-5, true, kGeluTanh},
    {"olmo2", 50304, 2048, 32, 4096, 32, 32, 128, 11008, 1e-5, false, kSilu},
    {"cohere", 256000, 8192, 40, 8192, 64, 64, 128, 22528, 1e-5, true, kSilu},
    {"gpt_oss", 201088, 131072, 36, 2880, 64, 8, 64, 2880, 1e-5, false, kSilu},
    {"deepseek_v3", 129280, 4096, 61, 7168, 128, 128, 192, 18432, 1e-6, false, kSilu},
};

ModelConfig Bare(const char* model_type, nlohmann::json more = nlohmann::json::object()) {
  more["model_type"] = model_type;
  return ParseModel(more, "config.json");
}

TEST(Defaults, AreThoseOfTheConfigurationClasses) {
  for (const ClassDefaults& expected : kClasses) {
    SCOPED_TRACE(expected.model_type);
    const ModelConfig config = Bare(expected.model_type);
    EXPECT_EQ(config.vocab_size, expected.vocabulary);
    EXPECT_EQ(config.context_length, expected.context);
    EXPECT_EQ(config.num_layers, expected.layers);
    EXPECT_EQ(config.d_model, expected.d_model);
    EXPECT_EQ(config.num_heads, expected.heads);
    EXPECT_EQ(config.num_kv_heads, expected.kv_heads);
    EXPECT_EQ(config.head_size(), expected.head_size);
    EXPECT_EQ(config.d_ff, expected.d_ff);
    EXPECT_EQ(config.norm_eps, expected.eps);
    EXPECT_EQ(config.tie_embeddings, expected.tied);
    EXPECT_EQ(config.ffn.activation, expected.activation);
  }
}

TEST(Defaults, OfExperts) {
  const auto expect = [](const char* model_type, int64_t count, int64_t per_token, int64_t d_ff,
                         int64_t shared_d_ff) {
    SCOPED_TRACE(model_type);
    const Experts experts = Bare(model_type).experts;
    EXPECT_EQ(experts.count, count);
    EXPECT_EQ(experts.per_token, per_token);
    EXPECT_EQ(experts.d_ff, d_ff);
    EXPECT_EQ(experts.shared_d_ff, shared_d_ff);
  };
  expect("mixtral", 8, 2, 14336, 0);
  expect("qwen2_moe", 60, 4, 1408, 5632);
  expect("qwen3_moe", 128, 8, 768, 0);
  expect("gpt_oss", 128, 4, 2880, 0);
  expect("deepseek_v3", 256, 8, 2048, 2048);
}

TEST(Defaults, OfRotations) {
  EXPECT_EQ(Bare("llama").rope_theta, 1e4);
  EXPECT_EQ(Bare("mixtral").rope_theta, 1e6);
  EXPECT_EQ(Bare("smollm3").rope_theta, 2e6);
  EXPECT_EQ(Bare("gpt_oss").rope_theta, 150000);
  EXPECT_EQ(Bare("llama").rotated_size(), 128);
  EXPECT_EQ(Bare("gpt_neox").rotated_size(), 24);  // a quarter of 96
  EXPECT_EQ(Bare("phi").rotated_size(), 32);       // half of 64
  EXPECT_EQ(Bare("stablelm").rotated_size(), 20);  // a quarter of 80
}

TEST(Defaults, OfWindows) {
  const auto windows = [](const char* model_type) {
    const ModelConfig config = Bare(model_type);
    std::vector<int64_t> first_five;
    for (int64_t i = 0; i < 5; ++i) {
      const auto kind = static_cast<std::size_t>(config.kind_of_layer(i));
      first_five.push_back(config.layer_kinds[kind].window);
    }
    return first_five;
  };
  using Windows = std::vector<int64_t>;
  EXPECT_EQ(windows("mistral"), Windows({4096, 4096, 4096, 4096, 4096}));
  EXPECT_EQ(windows("gemma2"), Windows({4096, 0, 4096, 0, 4096}));
  EXPECT_EQ(windows("gpt_oss"), Windows({128, 0, 128, 0, 128}));
  EXPECT_EQ(windows("exaone4"), Windows({4096, 4096, 4096, 0, 4096}));
  EXPECT_EQ(windows("qwen2"), Windows({0, 0, 0, 0, 0}));  // use_sliding_window is false
  EXPECT_EQ(windows("mixtral"), Windows({0, 0, 0, 0, 0}));
}

// Mistral's class: a null says that each head has its own keys and values.
TEST(Defaults, OfKeyHeadsThatAreNull) {
  EXPECT_EQ(Bare("mistral", {{"num_key_value_heads", nullptr}}).num_kv_heads, 32);
}

// Qwen2-MoE: layer i has experts where (i + 1) mod decoder_sparse_step is 0 and mlp_only_layers
// does not name it.
TEST(Defaults, OfLayersWithExperts) {
  const ModelConfig config =
      Bare("qwen2_moe",
           {{"num_hidden_layers", 6}, {"decoder_sparse_step", 2}, {"mlp_only_layers", {3}}});
  std::vector<bool> experts;
  for (int64_t i = 0; i < 6; ++i) {
    const auto kind = static_cast<std::size_t>(config.kind_of_layer(i));
    experts.push_back(config.layer_kinds[kind].experts);
  }
  EXPECT_EQ(experts, (std::vector<bool>{false, true, false, false, false, true}));
}

// A null is not an absent key: DeepSeek-V2-Lite's q_lora_rank is null, and its queries are whole.
// Copies of its config without nulls lack the key: there V2's class, which has 1536, is not
// followed.
TEST(Defaults, OfLatentAttention) {
  for (const char* model_type : {"deepseek_v2", "deepseek_v3"}) {
    SCOPED_TRACE(model_type);
    const LatentAttention latent = Bare(model_type).latent;
    EXPECT_EQ(latent.kv_rank, 512);
    EXPECT_EQ(latent.nope, 128);
    EXPECT_EQ(latent.rope, 64);
    EXPECT_EQ(latent.value, 128);
    EXPECT_EQ(Bare(model_type, {{"q_lora_rank", nullptr}}).latent.q_rank, 0);
  }
  EXPECT_EQ(Bare("deepseek_v3").latent.q_rank, 1536);
  EXPECT_EQ(Bare("deepseek_v2").latent.q_rank, 0);
}

}  // namespace
}  // namespace flopledger
