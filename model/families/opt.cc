// Families with LayerNorm and an FFN of two matrices, attention and FFN one after the other: OPT,
// BLOOM, MPT, StarCoder2, Nemotron, Persimmon.
#include <fmt/format.h>

#include "model/families/readers.h"

namespace flopledger {

/// OPT: learned positions from row 2 on. The 350M model has its norms after the residual and
/// embeddings of 512 elements.
void ReadOpt(const ObjectReader& in, ModelConfig& config) {
  ReadSizes(in,
            {.vocab_size = 50272,
             .d_model = 768,
             .num_layers = 12,
             .num_heads = 12,
             .context = 2048,
             .d_ff = 3072},
            config);
  RefuseGroups(in, config);
  const bool bias = in.Flag("enable_bias", true);
  const bool parameters = in.Flag("layer_norm_elementwise_affine", true);
  UseLayerNorm(in, {"layer_norm_eps"}, 1e-5, parameters, config);
  if (!parameters) config.norm_gain = NormGain::kNone;
  const bool before = in.Flag("do_layer_norm_before", true);
  if (!before) config.norm_placement = NormPlacement::kAfterResidual;
  config.final_norm = before && !in.Flag("_remove_final_layer_norm", false);
  config.position_offset = 2;
  config.ffn = {ReadActivation(in, {"activation_function"}, "relu"), false};
  config.biases = {
      .qkv = bias, .attention_out = bias, .ffn_up = bias, .ffn_down = bias, .norm = parameters};
  const int64_t embedding = in.Size("word_embed_proj_dim", config.d_model);
  if (embedding != config.d_model) config.embedding_size = embedding;
  config.tie_embeddings = in.Flag("tie_word_embeddings", true);
}

void ReadBloom(const ObjectReader& in, ModelConfig& config) {
  const int64_t d_model = in.Size(in.FirstOf({"hidden_size", "n_embed"}), 64);
  ReadSizes(in,
            {.vocab_size = 250880,
             .d_model = d_model,
             .num_layers = 2,
             .num_heads = 8,
             .context = 2048,
             .d_ff = SizeDefaults::kFourTimes},
            config);
  RefuseGroups(in, config);
  Require(in, "apply_residual_connection_post_layernorm", false);
  UseLayerNorm(in, {"layer_norm_epsilon"}, 1e-5, true, config);
  config.embedding_norm = true;
  config.position = Position::kAlibi;
  config.tie_embeddings = in.Flag("tie_word_embeddings", true);
}

/// MPT. `no_bias` takes the norms' as well.
void ReadMpt(const ObjectReader& in, ModelConfig& config) {
  ReadSizes(in,
            {.vocab_size = 50368,
             .d_model = 2048,
             .num_layers = 24,
             .num_heads = 16,
             .context = 2048,
             .d_ff = 1},
            config);
  const nlohmann::json nothing = nlohmann::json::object();
  const ObjectReader attention =
      in.Has("attn_config") ? in.Object("attn_config") : ObjectReader(nothing, in.where());
  if (in.Has("ffn_config")) {
    const ObjectReader ffn = in.Object("ffn_config");
    if (ffn.Text("ffn_type", "mptmlp") != "mptmlp") ffn.Fail("ffn_type", "must be mptmlp");
  }
  const double ratio = in.Positive("expansion_ratio", 4, 1e6);
  config.d_ff = static_cast<int64_t>(ratio * static_cast<double>(config.d_model));
  if (config.d_ff < 1) in.Fail("expansion_ratio", "leaves the FFN no columns");
  const std::string type = attention.Text("attn_type", "multihead_attention");
  if (type == "multiquery_attention") {
    config.num_kv_heads = 1;
  } else if (type == "grouped_query_attention") {
    config.num_kv_heads = attention.Size("kv_n_heads");
  } else if (type != "multihead_attention") {
    attention.Fail("attn_type",
                   "must be multihead_attention, multiquery_attention or "
                   "grouped_query_attention");
  }
  const bool bias = !in.Flag("no_bias", true);
  const std::string norm = in.Text("norm_type", "low_precision_layernorm");
  if (norm.ends_with("rmsnorm")) {
    UseRmsNorm(in, 1e-5, config);
  } else {
    UseLayerNorm(in, {"layer_norm_epsilon"}, 1e-5, bias, config);
  }
  config.ffn = Ffn::kGeluErf;
  config.biases = Biases::OfBlock(bias, config.norm);
  config.clip_qkv = attention.Number("clip_qkv", 0);
  config.attention_multiplier = attention.Number("softmax_scale", 0);
  Require(attention, "qk_gn", false);
  if (attention.Flag("qk_ln", false)) config.qk_norm = QkNorm::kRow, config.biases.qk_norm = bias;
  if (attention.Flag("alibi", true)) {
    config.position = Position::kAlibi;
    in.Pass("learned_pos_emb");
  } else if (attention.Flag("rope", false)) {
    UseRope(attention, config);
  } else if (!in.Flag("learned_pos_emb", true)) {
    config.position = Position::kNone;
  }
  config.tie_embeddings = in.Flag("tie_word_embeddings", true);
}

void ReadStarCoder2(const ObjectReader& in, ModelConfig& config) {
  ReadSizes(in,
            {.vocab_size = 49152,
             .d_model = 3072,
             .num_layers = 30,
             .num_heads = 24,
             .context = 4096,
             .d_ff = 12288,
             .num_kv_heads = 2},
            config);
  UseLayerNorm(in, {"norm_epsilon", "layer_norm_epsilon"}, 1e-5, true, config);
  UseRope(in, config);
  config.ffn = {ReadActivation(in, {"hidden_act"}, "gelu_pytorch_tanh"), false};
  config.biases = Biases::OfBlock(in.Flag("use_bias", true), config.norm);
  config.biases.norm = true;
  const int64_t window = WindowOf(in, 0);
  if (!ReadLayerTypes(in, window, config)) SetWindow(window, config);
  config.tie_embeddings = in.Flag("tie_word_embeddings", true);
}

/// Nemotron: LayerNorm with 1 + gain, squared ReLU.
void ReadNemotron(const ObjectReader& in, ModelConfig& config) {
  ReadSizes(in,
            {.vocab_size = 256000,
             .d_model = 6144,
             .num_layers = 32,
             .num_heads = 48,
             .context = 4096,
             .d_ff = 24576},
            config);
  UseLayerNorm(in, {"norm_eps"}, 1e-5, true, config);
  config.norm_gain = NormGain::kOnePlusGain;
  UseRope(in, {.partial = 0.5}, config);
  config.ffn = {ReadActivation(in, {"hidden_act"}, "relu2"), false};
  const bool attention = in.Flag("attention_bias", false), ffn = in.Flag("mlp_bias", false);
  config.biases = {
      .qkv = attention, .attention_out = attention, .ffn_up = ffn, .ffn_down = ffn, .norm = true};
  config.tie_embeddings = in.Flag("tie_word_embeddings", false);
}

void ReadPersimmon(const ObjectReader& in, ModelConfig& config) {
  ReadSizes(in,
            {.vocab_size = 262144,
             .d_model = 4096,
             .num_layers = 36,
             .num_heads = 64,
             .context = 16384,
             .d_ff = 16384},
            config);
  RefuseGroups(in, config);
  UseLayerNorm(in, {"layer_norm_eps"}, 1e-5, true, config);
  UseRope(in, {.theta = 25000, .partial = 0.5}, config);
  config.ffn = {ReadActivation(in, {"hidden_act"}, "relu2"), false};
  if (in.Flag("qk_layernorm", true)) config.qk_norm = QkNorm::kHead, config.biases.qk_norm = true;
  config.tie_embeddings = in.Flag("tie_word_embeddings", false);
}

}  // namespace flopledger
