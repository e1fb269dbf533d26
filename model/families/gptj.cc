// Families whose attention and FFN stand in parallel: GPT-J, CodeGen, GPT-NeoX, Falcon, Phi,
// Command-R; and StableLM, which may.
#include <fmt/format.h>

#include "model/families/readers.h"

namespace flopledger {

/// GPT-J and CodeGen: one norm, biases on the FFN and the logits.
void ReadGptJ(const ObjectReader& in, ModelConfig& config) {
  ReadSizes(in,
            {.vocab_size = 50400,
             .d_model = 4096,
             .num_layers = 28,
             .num_heads = 16,
             .context = 2048,
             .d_ff = SizeDefaults::kFourTimes},
            config);
  RefuseGroups(in, config);
  UseLayerNorm(in, {"layer_norm_epsilon"}, 1e-5, true, config);
  UseRope(in, {.pairs = RopePairs::kAdjacent}, config);
  config.rope_dims = in.Size("rotary_dim", int64_t{64});
  config.ffn = {ReadActivation(in, {"activation_function"}, "gelu_new"), false};
  config.block = BlockOrder::kParallel;
  config.biases = {.ffn_up = true, .ffn_down = true, .norm = true, .lm_head = true};
  config.tie_embeddings = in.Flag("tie_word_embeddings", false);
}

void ReadGptNeoX(const ObjectReader& in, ModelConfig& config) {
  ReadSizes(in,
            {.vocab_size = 50432,
             .d_model = 6144,
             .num_layers = 44,
             .num_heads = 64,
             .context = 2048,
             .d_ff = 24576},
            config);
  RefuseGroups(in, config);
  UseLayerNorm(in, {"layer_norm_eps"}, 1e-5, true, config);
  UseRope(in, {.partial = 0.25}, config);
  config.ffn = {ReadActivation(in, {"hidden_act"}, "gelu"), false};
  if (in.Flag("use_parallel_residual", true)) config.block = BlockOrder::kParallelTwoNorms;
  const bool attention = in.Flag("attention_bias", true);
  config.biases = {
      .qkv = attention, .attention_out = attention, .ffn_up = true, .ffn_down = true, .norm = true};
  config.tie_embeddings = in.Flag("tie_word_embeddings", false);
}

/// Falcon, and RefinedWeb, as it was first called: RefinedWebModel is 7B's, RefinedWeb 40B's.
void ReadFalcon(const ObjectReader& in, ModelConfig& config) {
  const bool is_old_40b = in.Text("model_type", "") == "RefinedWeb";
  ReadSizes(in,
            {.vocab_size = 65024,
             .d_model = 4544,
             .num_layers = 32,
             .num_heads = 71,
             .context = 2048,
             .d_ff = SizeDefaults::kFourTimes},
            config);
  const bool is_new = in.Flag("new_decoder_architecture", is_old_40b);
  const bool parallel = in.Flag("parallel_attn", true);
  const bool multi_query = in.Flag("multi_query", true);
  if (is_new) {
    config.num_kv_heads = in.Size(in.FirstOf({"num_kv_heads", "n_head_kv"}), config.num_heads);
  } else {
    config.num_kv_heads = multi_query ? 1 : config.num_heads;
  }
  UseLayerNorm(in, {"layer_norm_epsilon"}, 1e-5, true, config);
  const bool bias = in.Flag("bias", false);
  config.biases = Biases::OfBlock(bias, config.norm);
  config.biases.norm = true;
  UseRope(in, config);
  if (in.Flag("alibi", false)) config.position = Position::kAlibi;
  config.ffn = {ReadActivation(in, {"activation", "hidden_act"}, "gelu"), false};
  const int64_t norms = in.Size("num_ln_in_parallel_attn", is_new ? int64_t{2} : int64_t{1});
  if (is_new || parallel) {
    config.block = is_new && norms == 2 ? BlockOrder::kParallelTwoNorms : BlockOrder::kParallel;
  }
  config.tie_embeddings = in.Flag("tie_word_embeddings", true);
}

void ReadPhi(const ObjectReader& in, ModelConfig& config) {
  const bool old = in.Text("model_type", "") == "phi-msft";  // with GPT-2's names
  ReadSizes(in,
            {.vocab_size = 51200,
             .d_model = 2048,
             .num_layers = 24,
             .num_heads = 32,
             .context = 2048,
             .d_ff = old ? SizeDefaults::kFourTimes : 8192},
            config);
  UseLayerNorm(in, {"layer_norm_eps", "layer_norm_epsilon"}, 1e-5, true, config);
  UseRope(in, {.partial = 0.5}, config);
  if (old) config.rope_dims = in.Size("rotary_dim", int64_t{32});
  config.ffn = {ReadActivation(in, {"hidden_act"}, "gelu_new"), false};
  config.block = BlockOrder::kParallel;
  config.biases = {.qkv = true,
                   .attention_out = true,
                   .ffn_up = true,
                   .ffn_down = true,
                   .norm = true,
                   .lm_head = true};
  if (in.Flag("qk_layernorm", false)) config.qk_norm = QkNorm::kHead, config.biases.qk_norm = true;
  config.tie_embeddings = in.Flag("tie_word_embeddings", false);
}

/// Command-R, and (cohere2) Command-R7B: windows with RoPE, and every fourth layer full without.
void ReadCohere(const ObjectReader& in, ModelConfig& config) {
  ReadSizes(in,
            {.vocab_size = 256000,
             .d_model = 8192,
             .num_layers = 40,
             .num_heads = 64,
             .context = 8192,
             .d_ff = 22528},
            config);
  UseLayerNorm(in, {"layer_norm_eps"}, 1e-5, false, config);
  UseRope(in, {.pairs = RopePairs::kAdjacent}, config);
  config.ffn = {ReadActivation(in, {"hidden_act"}, "silu"), true};
  config.block = BlockOrder::kParallel;
  const bool attention = in.Flag("attention_bias", false);
  config.biases = {.qkv = attention, .attention_out = attention};
  config.logit_multiplier = in.Number("logit_scale", 0.0625);
  config.tie_embeddings = in.Flag("tie_word_embeddings", true);
  if (in.Text("model_type", "") != "cohere2") {
    if (in.Flag("use_qk_norm", false)) config.qk_norm = QkNorm::kEachHead;
    return;
  }
  const int64_t window = WindowOf(in, 4096), period = in.Size("sliding_window_pattern", int64_t{4});
  if (!ReadLayerTypes(in, window, config)) {
    MakeLayers(in, config,
               [&](int64_t i) { return LayerKind{.window = (i + 1) % period != 0 ? window : 0}; });
  }
  for (LayerKind& kind : config.layer_kinds) kind.rope = kind.window > 0;
}

void ReadStableLm(const ObjectReader& in, ModelConfig& config) {
  ReadSizes(in,
            {.vocab_size = 50304,
             .d_model = 2560,
             .num_layers = 32,
             .num_heads = 32,
             .context = 4096,
             .d_ff = 6912,
             .num_kv_heads = 32},
            config);
  UseLayerNorm(in, {"layer_norm_eps", "norm_eps"}, 1e-5, true, config);
  UseRope(in, {.partial = 0.25}, config);
  config.ffn = {ReadActivation(in, {"hidden_act"}, "silu"), true};
  if (in.Flag("use_parallel_residual", false)) config.block = BlockOrder::kParallel;
  config.biases = {.qkv = in.Flag("use_qkv_bias", false), .norm = true};
  if (in.Flag("qk_layernorm", false)) config.qk_norm = QkNorm::kEachHead;
  config.tie_embeddings = in.Flag("tie_word_embeddings", false);
}

}  // namespace flopledger
