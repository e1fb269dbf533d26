// Qwen 1 to 3, dense and with experts.
#include "model/families/readers.h"

namespace flopledger {
namespace {

constexpr SizeDefaults kQwen2Sizes{.vocab_size = 151936,
                                   .d_model = 4096,
                                   .num_layers = 32,
                                   .num_heads = 32,
                                   .context = 32768,
                                   .d_ff = 22016,
                                   .num_kv_heads = 32};

void ReadQwenBlock(const ObjectReader& in, const SizeDefaults& sizes, ModelConfig& config) {
  ReadSizes(in, sizes, config);
  UseRmsNorm(in, 1e-6, config);
  UseRope(in, config);
  config.ffn = {ReadActivation(in, {"hidden_act"}, "silu"), true};
  config.biases = {};
  config.tie_embeddings = in.Flag("tie_word_embeddings", false);
}

/// With use_sliding_window, the layers from max_window_layers on have a window.
void ReadWindows(const ObjectReader& in, ModelConfig& config) {
  const bool used = in.Flag("use_sliding_window", false);
  const int64_t window = used ? WindowOf(in, 4096) : 0;
  const int64_t first = in.SizeOrZero("max_window_layers", 28);
  in.Pass("sliding_window");
  if (ReadLayerTypes(in, window, config) || window == 0) return;
  MakeLayers(in, config, [&](int64_t i) { return LayerKind{.window = i >= first ? window : 0}; });
}

/// The layers whose FFN is of experts: every decoder_sparse_step-th that mlp_only_layers does not
/// name.
void ReadSparseLayers(const ObjectReader& in, ModelConfig& config) {
  const int64_t step = in.Size("decoder_sparse_step", 1);
  const std::vector<int64_t> dense = in.Sizes("mlp_only_layers");
  const ModelConfig windows = config;
  MakeLayers(in, config, [&](int64_t i) {
    LayerKind kind = windows.layer_kinds[static_cast<std::size_t>(windows.kind_of_layer(i))];
    kind.experts = (i + 1) % step == 0 && std::ranges::find(dense, i) == dense.end();
    return kind;
  });
  DropUnusedExperts(config);
}

}  // namespace

/// Qwen 1: GPT-2's keys, Llama's block; intermediate_size is that of both FFN inputs together.
void ReadQwen1(const ObjectReader& in, ModelConfig& config) {
  ReadSizes(in,
            {.vocab_size = 151936,
             .d_model = 4096,
             .num_layers = 32,
             .num_heads = 32,
             .context = 8192,
             .d_ff = 22016},
            config);
  RefuseGroups(in, config);
  if (config.d_ff % 2 != 0) in.Fail("intermediate_size", "must be even");
  config.d_ff /= 2;
  const int64_t head = in.Size("kv_channels", config.head_size());
  if (head * config.num_heads != config.d_model) config.own_head_size = head;
  UseRmsNorm(in, 1e-6, config);
  UseRope(in, config);
  config.ffn = Ffn::kSwiglu;
  const bool bias = !in.Flag("no_bias", true);
  config.biases = {.qkv = true, .attention_out = bias, .ffn_up = bias, .ffn_down = bias};
  config.tie_embeddings = in.Flag("tie_word_embeddings", false);
}

void ReadQwen2(const ObjectReader& in, ModelConfig& config) {
  ReadQwenBlock(in, kQwen2Sizes, config);
  config.biases.qkv = true;
  in.Pass("attention_bias");  // they are there whatever it says
  ReadWindows(in, config);
}

/// Qwen2-VL and 2.5-VL in the form that has the text's keys at the top.
void ReadQwen2Vl(const ObjectReader& in, ModelConfig& config) {
  ReadQwen2(in, config);
  config.notes.emplace_back("the text part alone: the vision part is not counted");
}

void ReadQwen2Moe(const ObjectReader& in, ModelConfig& config) {
  ReadQwenBlock(in,
                {.vocab_size = 151936,
                 .d_model = 2048,
                 .num_layers = 24,
                 .num_heads = 16,
                 .context = 32768,
                 .d_ff = 5632,
                 .num_kv_heads = 16},
                config);
  config.biases.qkv = in.Flag("qkv_bias", true);
  config.experts = {.count = in.Size("num_experts", 60),
                    .per_token = in.Size("num_experts_per_tok", 4),
                    .d_ff = in.Size("moe_intermediate_size", 1408),
                    .shared_d_ff = in.Size("shared_expert_intermediate_size", 5632),
                    .shared_gate = true};
  ReadWindows(in, config);
  ReadSparseLayers(in, config);
}

void ReadQwen3(const ObjectReader& in, ModelConfig& config) {
  SizeDefaults sizes = kQwen2Sizes;
  sizes.head_size = 128;
  ReadQwenBlock(in, sizes, config);
  config.biases.qkv = config.biases.attention_out = in.Flag("attention_bias", false);
  config.qk_norm = QkNorm::kHead;
  ReadWindows(in, config);
}

void ReadQwen3Moe(const ObjectReader& in, ModelConfig& config) {
  ReadQwenBlock(in,
                {.vocab_size = 151936,
                 .d_model = 2048,
                 .num_layers = 24,
                 .num_heads = 32,
                 .context = 32768,
                 .d_ff = 6144,
                 .num_kv_heads = 4},
                config);
  config.biases.qkv = config.biases.attention_out = in.Flag("attention_bias", false);
  config.qk_norm = QkNorm::kHead;
  config.experts = {.count = in.Size(in.FirstOf({"num_experts", "num_local_experts"}), 128),
                    .per_token = in.Size("num_experts_per_tok", 8),
                    .d_ff = in.Size("moe_intermediate_size", 768)};
  ReadWindows(in, config);
  ReadSparseLayers(in, config);
}

}  // namespace flopledger
