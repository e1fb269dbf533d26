// What the families share in reading Hugging Face's keys: each function fills its part of the
// config and throws InputError for what it does not understand.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/config.h"
#include "model/object_reader.h"

namespace flopledger {

/// The names of GPT-2's keys (n_embd) and of most others' (hidden_size) for the same sizes.
struct SizeKeys {
  std::vector<std::string> d_model{"hidden_size", "n_embd", "d_model"};
  std::vector<std::string> num_layers{"num_hidden_layers", "n_layer", "num_layers", "n_layers"};
  std::vector<std::string> num_heads{"num_attention_heads", "n_head", "num_heads", "n_heads"};
  std::vector<std::string> context{"max_position_embeddings", "n_positions", "n_ctx",
                                   "max_sequence_length",     "seq_length",  "max_seq_len"};
  std::vector<std::string> d_ff{"intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size"};
};

/// What a family's configuration class takes for a size that is not there; 0: it must be there.
struct SizeDefaults {
  int64_t vocab_size = 0, d_model = 0, num_layers = 0, num_heads = 0, context = 0;
  int64_t d_ff = 0;           // 0: must be there; kFourTimes: 4·d_model
  int64_t num_kv_heads = -1;  // −1: the heads
  int64_t head_size = 0;      // 0: d_model / heads
  static constexpr int64_t kFourTimes = -1;
};

/// vocab_size, context, layers, d_model, heads, key/value heads, d_ff, head_dim.
void ReadSizes(const ObjectReader& in, const SizeDefaults& defaults, ModelConfig& config);

/// Keys and values for each head, whatever the config says of key/value heads: families that have
/// no grouped queries.
void RefuseGroups(const ObjectReader& in, const ModelConfig& config);

/// The activation under the first of `keys` that is there.
Activation ReadActivation(const ObjectReader& in, const std::vector<std::string>& keys,
                          const std::string& otherwise);

/// RMSNorm in the manner of Llama: rms_norm_eps, no bias.
void UseRmsNorm(const ObjectReader& in, double eps, ModelConfig& config);
/// LayerNorm with its eps under the first of `keys`.
void UseLayerNorm(const ObjectReader& in, const std::vector<std::string>& keys, double eps,
                  bool bias, ModelConfig& config);

/// Rotary positions: rope_theta, partial_rotary_factor, rope_scaling, and transformers 5's
/// rope_parameters, which holds them all.
struct RopeDefaults {
  double theta = 10000;
  double partial = 1;  // of the head size
  RopePairs pairs = RopePairs::kHalves;
  std::vector<std::string> theta_keys{"rope_theta", "rotary_emb_base"};
  std::vector<std::string> partial_keys{"partial_rotary_factor", "rotary_pct", "rope_pct"};
};
void UseRope(const ObjectReader& in, const RopeDefaults& defaults, ModelConfig& config);
void UseRope(const ObjectReader& in, ModelConfig& config);

/// `sliding_window`; 0 where it is null, or absent and `otherwise` is 0.
int64_t WindowOf(const ObjectReader& in, int64_t otherwise);

/// Makes the FFN of every layer one of experts.
void SetAllExperts(ModelConfig& config);
/// Forgets experts that no layer has.
void DropUnusedExperts(ModelConfig& config);

/// All layers alike, with a window where it is above 0.
void SetWindow(int64_t window, ModelConfig& config);

/// `layer_types` of recent configs ("full_attention", "sliding_attention"), with `window` for the
/// sliding ones; false where the key is not there.
bool ReadLayerTypes(const ObjectReader& in, int64_t window, ModelConfig& config);

/// `num_layers` layers, made one by one.
template <class Make>
void MakeLayers(const ObjectReader& in, ModelConfig& config, Make&& make) {
  constexpr int64_t kMostListed = 100'000;
  if (config.num_layers > kMostListed) {
    throw InputError(in.where() + ": more than 100000 layers of several kinds");
  }
  std::vector<LayerKind> layers;
  for (int64_t i = 0; i < config.num_layers; ++i) layers.push_back(make(i));
  SetLayers(config, layers, in.where());
}

/// Fails unless the flag has the value that the program knows how to count.
void Require(const ObjectReader& in, const std::string& key, bool value);

}  // namespace flopledger
