// OLMo 1 to 3 and OLMoE.
#include "model/families/readers.h"

namespace flopledger {
namespace {

void ReadBlock(const ObjectReader& in, ModelConfig& config) {
  UseRope(in, config);
  config.ffn = {ReadActivation(in, {"hidden_act"}, "silu"), true};
  const bool attention = in.Flag("attention_bias", false);
  config.biases = {.qkv = attention, .attention_out = attention};
  config.tie_embeddings = in.Flag("tie_word_embeddings", false);
  config.clip_qkv = in.Number("clip_qkv", 0);
}

constexpr SizeDefaults kOlmoSizes{.vocab_size = 50304,
                                  .d_model = 4096,
                                  .num_layers = 32,
                                  .num_heads = 32,
                                  .context = 2048,
                                  .d_ff = 11008};

}  // namespace

/// OLMo 1: LayerNorm without parameters.
void ReadOlmo(const ObjectReader& in, ModelConfig& config) {
  ReadSizes(in, kOlmoSizes, config);
  config.norm = Norm::kLayerNorm;
  config.norm_gain = NormGain::kNone;
  ReadBlock(in, config);
}

/// OLMo 2 and 3: norms after, QK-norm over the whole row; OLMo 3 has windows in three layers of
/// four.
void ReadOlmo2(const ObjectReader& in, ModelConfig& config) {
  ReadSizes(in, kOlmoSizes, config);
  UseRmsNorm(in, 1e-5, config);
  config.norm_placement = NormPlacement::kAfter;
  config.qk_norm = QkNorm::kRow;
  ReadBlock(in, config);
  if (in.Text("model_type", "") != "olmo3") return;
  const int64_t window = WindowOf(in, 4096);
  if (ReadLayerTypes(in, window, config)) return;
  MakeLayers(in, config,
             [&](int64_t i) { return LayerKind{.window = (i + 1) % 4 != 0 ? window : 0}; });
}

void ReadOlmoe(const ObjectReader& in, ModelConfig& config) {
  ReadSizes(in,
            {.vocab_size = 50304,
             .d_model = 2048,
             .num_layers = 16,
             .num_heads = 16,
             .context = 4096,
             .d_ff = 2048},
            config);
  UseRmsNorm(in, 1e-5, config);
  config.qk_norm = QkNorm::kRow;
  ReadBlock(in, config);
  config.experts = {.count = in.Size("num_experts", 64),
                    .per_token = in.Size("num_experts_per_tok", 8),
                    .d_ff = config.d_ff};
  SetAllExperts(config);
}

}  // namespace flopledger
