// Llama and the families that share its block: RMSNorm before, RoPE, a gated FFN, grouped queries.
#include <cmath>

#include "model/families/readers.h"

namespace flopledger {
namespace {

/// Llama's block with the sizes that the family's configuration class has for absent keys.
void ReadBlock(const ObjectReader& in, const SizeDefaults& sizes, double eps, bool tied,
               ModelConfig& config) {
  ReadSizes(in, sizes, config);
  UseRmsNorm(in, eps, config);
  UseRope(in, config);
  config.ffn = {ReadActivation(in, {"hidden_act", "activation_function"}, "silu"), true};
  config.biases = {};
  config.tie_embeddings = in.Flag("tie_word_embeddings", tied);
}

/// attention_bias on queries, keys, values and the output; mlp_bias on the FFN.
void ReadBiases(const ObjectReader& in, ModelConfig& config) {
  config.biases.qkv = config.biases.attention_out = in.Flag("attention_bias", false);
  config.biases.ffn_up = config.biases.ffn_down = in.Flag("mlp_bias", false);
}

constexpr SizeDefaults kLlamaSizes{.vocab_size = 32000,
                                   .d_model = 4096,
                                   .num_layers = 32,
                                   .num_heads = 32,
                                   .context = 2048,
                                   .d_ff = 11008};

}  // namespace

void ReadLlama(const ObjectReader& in, ModelConfig& config) {
  ReadBlock(in, kLlamaSizes, 1e-6, false, config);
  ReadBiases(in, config);
}

/// Arcee: Llama with an FFN of two matrices and squared ReLU.
void ReadArcee(const ObjectReader& in, ModelConfig& config) {
  SizeDefaults sizes = kLlamaSizes;
  sizes.d_model = 2560, sizes.d_ff = 18432, sizes.context = 4096;
  ReadBlock(in, sizes, 1e-5, false, config);
  config.ffn = {ReadActivation(in, {"hidden_act"}, "relu2"), false};
  ReadBiases(in, config);
}

/// InternLM: `bias` on attention's four matrices, and never on the FFN.
void ReadInternLm(const ObjectReader& in, ModelConfig& config) {
  ReadBlock(in,
            {.vocab_size = 103168,
             .d_model = 4096,
             .num_layers = 32,
             .num_heads = 32,
             .context = 2048,
             .d_ff = 11008},
            1e-6, false, config);
  config.biases.qkv = config.biases.attention_out =
      in.Flag("bias", in.Text("model_type", "") == "internlm");
}

/// Baichuan: 7B has RoPE, 13B (whose config names no max_position_embeddings) ALiBi.
void ReadBaichuan(const ObjectReader& in, ModelConfig& config) {
  const bool alibi = !in.Has("max_position_embeddings");
  ReadBlock(in,
            {.vocab_size = 64000,
             .d_model = 4096,
             .num_layers = 32,
             .num_heads = 32,
             .context = in.Size("model_max_length", 4096),
             .d_ff = 11008},
            1e-6, false, config);
  if (alibi) config.position = Position::kAlibi;
}

/// Orion: Llama with LayerNorm.
void ReadOrion(const ObjectReader& in, ModelConfig& config) {
  ReadBlock(in,
            {.vocab_size = 84608,
             .d_model = 5120,
             .num_layers = 40,
             .num_heads = 40,
             .context = 4096,
             .d_ff = 15360},
            1e-5, false, config);
  UseLayerNorm(in, {"rms_norm_eps"}, 1e-5, true, config);
  config.biases.qkv = config.biases.attention_out = in.Flag("attention_bias", false);
}

void ReadMistral(const ObjectReader& in, ModelConfig& config) {
  ReadBlock(in,
            {.vocab_size = 32000,
             .d_model = 4096,
             .num_layers = 32,
             .num_heads = 32,
             .context = 131072,
             .d_ff = 14336,
             .num_kv_heads = 8},
            1e-6, false, config);
  const int64_t window = WindowOf(in, 4096);
  if (!ReadLayerTypes(in, window, config)) SetWindow(window, config);
}

void ReadSmolLm3(const ObjectReader& in, ModelConfig& config) {
  ReadBlock(in,
            {.vocab_size = 128256,
             .d_model = 2048,
             .num_layers = 36,
             .num_heads = 16,
             .context = 32768,
             .d_ff = 11008,
             .num_kv_heads = 4},
            1e-6, true, config);
  UseRope(in, {.theta = 2e6}, config);
  ReadBiases(in, config);
  const int64_t window = in.Flag("use_sliding_window", false) ? WindowOf(in, 0) : 0;
  const bool listed = ReadLayerTypes(in, window, config);
  if (!listed) SetWindow(window, config);
  const ModelConfig windows = config;
  const std::vector<int64_t> rotated = in.Sizes("no_rope_layers");  // 1: with RoPE
  const int64_t interval = in.Size("no_rope_layer_interval", 4);
  if (!rotated.empty() && static_cast<int64_t>(rotated.size()) != config.num_layers) {
    in.Fail("no_rope_layers", "must have an entry for each layer");
  }
  MakeLayers(in, config, [&](int64_t i) {
    LayerKind kind = windows.layer_kinds[static_cast<std::size_t>(windows.kind_of_layer(i))];
    kind.rope =
        rotated.empty() ? (i + 1) % interval != 0 : rotated[static_cast<std::size_t>(i)] != 0;
    return kind;
  });
}

/// Granite: multipliers on embedding, scores, residual and logits.
void ReadGranite(const ObjectReader& in, ModelConfig& config) {
  ReadBlock(in, kLlamaSizes, 1e-6, false, config);
  ReadBiases(in, config);
  config.embedding_multiplier = in.Number("embedding_multiplier", 1);
  config.attention_multiplier = in.Number("attention_multiplier", 1);
  config.residual_multiplier = in.Number("residual_multiplier", 1);
  config.logit_multiplier = 1 / in.Positive("logits_scaling", 1, 1e9);
}

void ReadGraniteMoe(const ObjectReader& in, ModelConfig& config) {
  ReadGranite(in, config);
  config.experts = {.count = in.Size("num_local_experts", 8),
                    .per_token = in.Size("num_experts_per_tok", 2),
                    .d_ff = config.d_ff,
                    .shared_d_ff = in.SizeOrZero("shared_intermediate_size", 0)};
  SetAllExperts(config);
}

/// MiniCPM: scale_emb on the embedding, scale_depth/√L on what a block adds, dim_model_base/C on
/// the logits.
void ReadMiniCpm(const ObjectReader& in, ModelConfig& config) {
  ReadBlock(in, kLlamaSizes, 1e-6, true, config);
  config.biases.qkv = config.biases.attention_out = in.Flag("attention_bias", false);
  config.embedding_multiplier = in.Number("scale_emb", 1);
  config.residual_multiplier =
      in.Number("scale_depth", 1) / std::sqrt(static_cast<double>(config.num_layers));
  const double base = in.Number("dim_model_base", 1);
  config.logit_multiplier = base / static_cast<double>(config.d_model);
  if (in.Has("kv_lora_rank")) {  // MiniCPM3
    config.latent = {.q_rank = in.SizeOrZero("q_lora_rank", 0),
                     .kv_rank = in.Size("kv_lora_rank"),
                     .nope = in.Size("qk_nope_head_dim"),
                     .rope = in.Size("qk_rope_head_dim"),
                     .value = in.Size("v_head_dim", config.d_model / config.num_heads)};
    config.num_kv_heads = config.num_heads;
    config.own_head_size = 0;
  }
}

/// ERNIE 4.5's dense models.
void ReadErnie(const ObjectReader& in, ModelConfig& config) {
  ReadBlock(in,
            {.vocab_size = 103424,
             .d_model = 1024,
             .num_layers = 18,
             .num_heads = 16,
             .context = 131072,
             .d_ff = 3072,
             .num_kv_heads = 2,
             .head_size = 128},
            1e-5, true, config);
  config.rope_pairs = RopePairs::kAdjacent;
  const bool bias = in.Flag("use_bias", false);
  config.biases = Biases::OfBlock(bias, config.norm);
}

/// Seed-OSS: biases of queries, keys and values apart from the output's.
void ReadSeedOss(const ObjectReader& in, ModelConfig& config) {
  ReadBlock(in,
            {.vocab_size = 155136,
             .d_model = 4096,
             .num_layers = 32,
             .num_heads = 32,
             .context = 524288,
             .d_ff = 27648,
             .num_kv_heads = 8,
             .head_size = 128},
            1e-6, false, config);
  config.biases.qkv = in.Flag("attention_bias", true);
  config.biases.attention_out = in.Flag("attention_out_bias", false);
  config.biases.ffn_up = config.biases.ffn_down = in.Flag("mlp_bias", false);
}

/// EXAONE 3: Llama's block under GPT-2's names.
void ReadExaone(const ObjectReader& in, ModelConfig& config) {
  ReadBlock(in,
            {.vocab_size = 102400,
             .d_model = 2048,
             .num_layers = 32,
             .num_heads = 32,
             .context = 2048,
             .d_ff = SizeDefaults::kFourTimes},
            1e-5, true, config);
}

/// EXAONE 4: norms after, QK-norm, and (in the hybrid ones) RoPE in the sliding layers only.
void ReadExaone4(const ObjectReader& in, ModelConfig& config) {
  ReadBlock(in,
            {.vocab_size = 102400,
             .d_model = 4096,
             .num_layers = 32,
             .num_heads = 32,
             .context = 2048,
             .d_ff = 16384,
             .num_kv_heads = 32},
            1e-5, false, config);
  config.norm_placement = NormPlacement::kAfter;
  config.qk_norm = QkNorm::kHead;
  const int64_t window = WindowOf(in, 4096);
  if (window == 0) {
    in.Pass("layer_types");
    return;
  }
  if (!ReadLayerTypes(in, window, config)) {
    const std::string pattern =
        in.Has("sliding_window_pattern") && in.raw()["sliding_window_pattern"].is_string()
            ? in.Text("sliding_window_pattern", "")
            : "";
    const auto period = pattern.empty() ? in.Size("sliding_window_pattern", 4)
                                        : static_cast<int64_t>(pattern.size());
    MakeLayers(in, config, [&](int64_t i) {
      const bool last = i + 1 == config.num_layers;
      return LayerKind{.window = (i + 1) % period != 0 && !last ? window : 0};
    });
  }
  for (LayerKind& kind : config.layer_kinds) kind.rope = kind.window > 0;
}

/// ChatGLM 2 and 3.
void ReadChatGlm(const ObjectReader& in, ModelConfig& config) {
  ReadSizes(in,
            {.vocab_size = 65024,
             .d_model = 4096,
             .num_layers = 28,
             .num_heads = 32,
             .context = 2048,
             .d_ff = 13696},
            config);
  if (in.Flag("multi_query_attention", false)) {
    config.num_kv_heads = in.Size("multi_query_group_num", 1);
  }
  const int64_t head = in.Size("kv_channels", config.head_size());
  if (head * config.num_heads != config.d_model) config.own_head_size = head;
  Require(in, "rmsnorm", true);
  Require(in, "apply_residual_connection_post_layernorm", false);
  UseRmsNorm(in, 1e-5, config);
  config.norm_eps = in.Positive("layernorm_epsilon", config.norm_eps, 1);
  UseRope(in, {.partial = 0.5, .pairs = RopePairs::kAdjacent}, config);
  config.rope_theta *= in.Positive("rope_ratio", 1, 1e9);
  config.ffn = Ffn::kSwiglu;
  const bool all = in.Flag("add_bias_linear", false);
  config.biases = {.qkv = all || in.Flag("add_qkv_bias", false),
                   .attention_out = all,
                   .ffn_up = all,
                   .ffn_down = all};
  config.final_norm = in.Flag("post_layer_norm", true);
  config.tie_embeddings = in.Flag("tie_word_embeddings", false);
}

/// GLM and GLM 4 (norms before and after).
void ReadGlm(const ObjectReader& in, ModelConfig& config) {
  const bool four = in.Text("model_type", "") == "glm4";
  ReadBlock(in,
            {.vocab_size = 151552,
             .d_model = 4096,
             .num_layers = 40,
             .num_heads = 32,
             .context = 131072,
             .d_ff = 13696,
             .num_kv_heads = 2,
             .head_size = 128},
            1.5625e-7, false, config);
  UseRope(in, {.partial = 0.5, .pairs = RopePairs::kAdjacent}, config);
  config.biases.qkv = in.Flag("attention_bias", !four);
  if (four) config.norm_placement = NormPlacement::kBoth;
}

}  // namespace flopledger
