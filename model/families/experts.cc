// Families of experts that no other file has: Mixtral, Phi-3.5-MoE, DBRX, gpt-oss, DeepSeek and
// Kimi (with latent attention), GLM 4.5. And Phi-3, whose config Phi-3.5-MoE's follows.
#include "model/checked.h"
#include "model/families/readers.h"

namespace flopledger {
namespace {

void ReadBlock(const ObjectReader& in, const SizeDefaults& sizes, double eps, double theta,
               ModelConfig& config) {
  ReadSizes(in, sizes, config);
  UseRmsNorm(in, eps, config);
  UseRope(in, {.theta = theta}, config);
  config.ffn = {ReadActivation(in, {"hidden_act"}, "silu"), true};
  config.biases = {};
  config.tie_embeddings = in.Flag("tie_word_embeddings", false);
}

/// The first layers dense, then every moe_layer_freq-th of experts.
void ReadDenseFirst(const ObjectReader& in, int64_t dense, ModelConfig& config) {
  const int64_t first = in.SizeOrZero("first_k_dense_replace", dense);
  const int64_t step = in.Size("moe_layer_freq", 1);
  MakeLayers(in, config,
             [&](int64_t i) { return LayerKind{.experts = i >= first && i % step == 0}; });
  DropUnusedExperts(config);
}

}  // namespace

void ReadPhi3(const ObjectReader& in, ModelConfig& config) {
  ReadBlock(in,
            {.vocab_size = 32064,
             .d_model = 3072,
             .num_layers = 32,
             .num_heads = 32,
             .context = 4096,
             .d_ff = 8192},
            1e-5, 10000, config);
  Require(in, "attention_bias", false);
  SetWindow(WindowOf(in, 0), config);
}

void ReadMixtral(const ObjectReader& in, ModelConfig& config) {
  ReadBlock(in,
            {.vocab_size = 32000,
             .d_model = 4096,
             .num_layers = 32,
             .num_heads = 32,
             .context = 131072,
             .d_ff = 14336,
             .num_kv_heads = 8},
            1e-5, 1e6, config);
  SetWindow(WindowOf(in, 0), config);
  config.experts = {.count = in.Size("num_local_experts", 8),
                    .per_token = in.Size("num_experts_per_tok", 2),
                    .d_ff = config.d_ff};
  SetAllExperts(config);
}

/// Llama 4's text: experts in every interleave_moe_layer_step-th layer, with a shared one.
void ReadLlama4(const ObjectReader& in, ModelConfig& config) {
  ReadBlock(in,
            {.vocab_size = 202048,
             .d_model = 5120,
             .num_layers = 48,
             .num_heads = 40,
             .context = 131072,
             .d_ff = 8192,
             .num_kv_heads = 8,
             .head_size = 128},
            1e-5, 500000, config);
  config.rope_pairs = RopePairs::kAdjacent;
  config.biases.qkv = config.biases.attention_out = in.Flag("attention_bias", false);
  config.experts = {.count = in.Size("num_local_experts", 16),
                    .per_token = in.Size("num_experts_per_tok", int64_t{1}),
                    .d_ff = config.d_ff,
                    .shared_d_ff = config.d_ff,
                    .router_sigmoid = true};
  config.d_ff = in.Size("intermediate_size_mlp", 16384);
  const int64_t step = in.Size("interleave_moe_layer_step", int64_t{1});
  const std::vector<int64_t> listed = in.Sizes("moe_layers"), rotated = in.Sizes("no_rope_layers");
  MakeLayers(in, config, [&](int64_t i) {
    const auto layer = static_cast<std::size_t>(i);
    const bool rope = layer < rotated.size() ? rotated[layer] != 0 : (i + 1) % 4 != 0;
    const bool experts =
        listed.empty() ? (i + 1) % step == 0 : std::ranges::find(listed, i) != listed.end();
    return LayerKind{.rope = rope, .experts = experts};
  });
  DropUnusedExperts(config);
  for (const char* key : {"layer_types", "use_qk_norm", "moe_layers"}) in.Pass(key);
  config.notes.emplace_back(
      "attention in chunks is counted as full attention; the norms of queries and keys, which have "
      "no parameters, are not counted");
}

void ReadPhiMoe(const ObjectReader& in, ModelConfig& config) {
  ReadBlock(in,
            {.vocab_size = 32064,
             .d_model = 4096,
             .num_layers = 32,
             .num_heads = 32,
             .context = 131072,
             .d_ff = 6400,
             .num_kv_heads = 8},
            1e-5, 1e6, config);
  UseLayerNorm(in, {"rms_norm_eps"}, 1e-5, true, config);
  const bool attention = in.Flag("attention_bias", false);
  config.biases = {.qkv = attention,
                   .attention_out = attention,
                   .norm = true,
                   .lm_head = in.Flag("lm_head_bias", false)};
  SetWindow(WindowOf(in, 0), config);
  config.experts = {.count = in.Size("num_local_experts", 16),
                    .per_token = in.Size("num_experts_per_tok", 2),
                    .d_ff = config.d_ff};
  SetAllExperts(config);
}

/// DBRX: LayerNorm without bias; sizes of attention and FFN in objects of their own.
void ReadDbrx(const ObjectReader& in, ModelConfig& config) {
  ReadSizes(in,
            {.vocab_size = 32000,
             .d_model = 2048,
             .num_layers = 24,
             .num_heads = 16,
             .context = 2048,
             .d_ff = 3584},
            config);
  const nlohmann::json nothing = nlohmann::json::object();
  const auto part = [&](const char* key) {
    return in.Has(key) ? in.Object(key) : ObjectReader(nothing, in.where());
  };
  const ObjectReader attention = part("attn_config"), ffn = part("ffn_config");
  config.num_kv_heads = attention.Size("kv_n_heads", 1);
  config.clip_qkv = attention.Number("clip_qkv", 0);
  UseLayerNorm(in, {"layer_norm_epsilon"}, 1e-5, false, config);
  UseRope(attention, config);
  const ObjectReader activation =
      ffn.Has("ffn_act_fn") ? ffn.Object("ffn_act_fn") : ObjectReader(nothing, in.where());
  config.ffn = {ReadActivation(activation, {"name"}, "silu"), true};
  config.biases = {};
  config.d_ff = ffn.Size("ffn_hidden_size", 3584);
  config.experts = {.count = ffn.Size("moe_num_experts", 4),
                    .per_token = ffn.Size("moe_top_k", 1),
                    .d_ff = config.d_ff};
  config.tie_embeddings = in.Flag("tie_word_embeddings", false);
  SetAllExperts(config);
}

/// gpt-oss: biases everywhere, a learned logit a head in each softmax, windows in every other
/// layer.
void ReadGptOss(const ObjectReader& in, ModelConfig& config) {
  ReadBlock(in,
            {.vocab_size = 201088,
             .d_model = 2880,
             .num_layers = 36,
             .num_heads = 64,
             .context = 131072,
             .d_ff = 2880,
             .num_kv_heads = 8,
             .head_size = 64},
            1e-5, 150000, config);
  const bool attention = in.Flag("attention_bias", true);
  config.biases = {.qkv = attention, .attention_out = attention, .ffn_up = true, .ffn_down = true};
  config.attention_sinks = true;
  config.ffn_limit = in.Number("swiglu_limit", 7);
  const int64_t window = WindowOf(in, 128);
  if (!ReadLayerTypes(in, window, config)) {
    MakeLayers(in, config, [&](int64_t i) { return LayerKind{.window = i % 2 == 0 ? window : 0}; });
  }
  config.experts = {
      .count = in.Size("num_local_experts", 128),
      .per_token = in.Size(in.FirstOf({"num_experts_per_tok", "experts_per_token"}), 4),
      .d_ff = config.d_ff,
      .router_bias = true};
  SetAllExperts(config);
}

/// DeepSeek-V2 and V3, Kimi K2, and DeepSeek-MoE without latent attention.
void ReadDeepSeek(const ObjectReader& in, ModelConfig& config) {
  const std::string type = in.Text("model_type", "");
  const bool third = type == "deepseek_v3" || type == "kimi_k2";
  if (third) {
    ReadBlock(in,
              {.vocab_size = 129280,
               .d_model = 7168,
               .num_layers = 61,
               .num_heads = 128,
               .context = 4096,
               .d_ff = 18432},
              1e-6, 10000, config);
  } else {
    ReadBlock(in,
              {.vocab_size = 102400,
               .d_model = 4096,
               .num_layers = 30,
               .num_heads = 32,
               .context = 2048,
               .d_ff = 11008},
              1e-6, 10000, config);
  }
  config.rope_pairs = RopePairs::kAdjacent;
  config.biases.qkv = config.biases.attention_out = in.Flag("attention_bias", false);
  if (type != "deepseek") {
    // A null says that the queries are whole, and so does an absent key in copies of V2-Lite's
    // config, though its class has 1536.
    const int64_t q_rank = third && !in.raw().contains("q_lora_rank") ? 1536 : 0;
    config.latent = {.q_rank = in.SizeOrZero("q_lora_rank", q_rank),
                     .kv_rank = in.Size("kv_lora_rank", 512),
                     .nope = in.Size("qk_nope_head_dim", 128),
                     .rope = in.Size("qk_rope_head_dim", 64),
                     .value = in.Size("v_head_dim", 128)};
    config.own_head_size = 0;
    config.num_kv_heads = config.num_heads;
    in.Pass("qk_head_dim");  // nope + rope
  }
  if (in.SizeOrZero("num_nextn_predict_layers", 0) > 0) {
    config.notes.emplace_back("the layer for predicting a second token is not counted");
  }
  if (!third && !in.Has("n_routed_experts")) return;
  const int64_t expert = in.Size("moe_intermediate_size", third ? 2048 : 1407);
  config.experts = {
      .count = in.Size("n_routed_experts", 256),
      .per_token = in.Size("num_experts_per_tok", third ? int64_t{8} : int64_t{6}),
      .d_ff = expert,
      .shared_d_ff = CheckedMul(expert, in.SizeOrZero("n_shared_experts", third ? 1 : 0)),
      .router_bias = in.Text("topk_method", third ? "noaux_tc" : "greedy") == "noaux_tc",
      .router_sigmoid = in.Text("scoring_func", third ? "sigmoid" : "softmax") == "sigmoid"};
  ReadDenseFirst(in, third ? 3 : 0, config);
}

/// GLM 4.5.
void ReadGlmMoe(const ObjectReader& in, ModelConfig& config) {
  ReadBlock(in,
            {.vocab_size = 151552,
             .d_model = 4096,
             .num_layers = 46,
             .num_heads = 96,
             .context = 131072,
             .d_ff = 10944,
             .num_kv_heads = 8,
             .head_size = 128},
            1e-5, 10000, config);
  UseRope(in, {.partial = 0.5}, config);
  config.biases.qkv = in.Flag("attention_bias", false);
  if (in.Flag("use_qk_norm", false)) config.qk_norm = QkNorm::kHead;
  const int64_t expert = in.Size("moe_intermediate_size", 1408);
  config.experts = {.count = in.Size("n_routed_experts", 128),
                    .per_token = in.Size("num_experts_per_tok", 8),
                    .d_ff = expert,
                    .shared_d_ff = CheckedMul(expert, in.SizeOrZero("n_shared_experts", 1)),
                    .router_bias = true,
                    .router_sigmoid = true};
  if (in.SizeOrZero("num_nextn_predict_layers", 0) > 0) {
    config.notes.emplace_back("the layer for predicting a second token is not counted");
  }
  ReadDenseFirst(in, 1, config);
}

}  // namespace flopledger
