// Random models over the whole space of configs: what can be accounted for, whether it can be run
// or not.
#pragma once

#include <array>
#include <random>

#include "model/config.h"

namespace flopledger {

/// Draws one value after another.
class Picker {
 public:
  explicit Picker(std::mt19937& random) : random_(random) {}
  int64_t Number(int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random_);
  }
  bool Flag() { return Number(0, 1) == 1; }
  template <class Value, std::size_t n>
  Value One(const std::array<Value, n>& values) {
    return values[static_cast<std::size_t>(Number(0, n - 1))];
  }

 private:
  std::mt19937& random_;
};

inline void PickAttention(Picker& pick, ModelConfig& config) {
  config.num_kv_heads = pick.Number(1, 3);
  config.num_heads = config.num_kv_heads * pick.Number(1, 3);
  const int64_t head = 2 * pick.Number(1, 6);
  config.d_model = config.num_heads * head;
  if (pick.Flag()) config.own_head_size = 2 * pick.Number(1, 9);
  config.position =
      pick.One(std::array{Position::kLearned, Position::kRope, Position::kAlibi, Position::kNone});
  if (config.position == Position::kLearned) config.position_offset = pick.Number(0, 2);
  if (pick.Number(0, 3) == 0) {
    config.latent = {.q_rank = pick.Flag() ? pick.Number(1, 20) : 0,
                     .kv_rank = pick.Number(1, 20),
                     .nope = pick.Number(1, 8),
                     .rope = 2 * pick.Number(1, 4),
                     .value = pick.Number(1, 9)};
    config.own_head_size = 0;
    config.num_kv_heads = config.num_heads;
    return;
  }
  config.qk_norm = pick.One(
      std::array{QkNorm::kNone, QkNorm::kHead, QkNorm::kEachHead, QkNorm::kRow, QkNorm::kNone});
  if (config.position == Position::kRope && pick.Flag()) {
    config.rope_dims = 2 * pick.Number(1, config.head_size() / 2);
  }
}

inline void PickLayers(Picker& pick, ModelConfig& config) {
  std::vector<LayerKind> layers;
  const int64_t period = pick.Number(1, 4);
  const bool experts = pick.Flag();
  for (int64_t i = 0; i < period; ++i) {
    layers.push_back({.window = pick.Flag() ? pick.Number(1, 12) : 0,
                      .rope = pick.Flag(),
                      .experts = experts && (i == 0 || pick.Flag())});
  }
  SetLayers(config, layers, "random");
  if (!experts) return;
  config.experts.count = pick.Number(1, 6);
  config.experts.per_token = pick.Number(1, config.experts.count);
  config.experts.d_ff = pick.Number(1, 30);
  config.experts.shared_d_ff = pick.Flag() ? pick.Number(1, 30) : 0;
  config.experts.shared_gate = config.experts.shared_d_ff > 0 && pick.Flag();
  config.experts.router_bias = pick.Flag();
  config.experts.router_sigmoid = pick.Flag();
}

inline ModelConfig RandomConfig(std::mt19937& random) {
  Picker pick(random);
  ModelConfig config;
  config.name = "random";
  config.vocab_size = pick.Number(2, 200);
  config.context_length = pick.Number(20, 60);
  config.num_layers = pick.Number(1, 7);
  PickAttention(pick, config);
  PickLayers(pick, config);
  config.d_ff = pick.Number(1, 70);
  if (pick.Number(0, 3) == 0) config.embedding_size = pick.Number(1, 40);
  config.ffn.activation = static_cast<Activation>(pick.Number(0, 5));
  config.ffn.gated = pick.Flag();
  config.norm = pick.One(std::array{Norm::kLayerNorm, Norm::kRmsNorm});
  config.norm_gain = pick.One(std::array{NormGain::kGain, NormGain::kOnePlusGain, NormGain::kNone});
  config.norm_placement = pick.One(std::array{NormPlacement::kBefore, NormPlacement::kAfter,
                                              NormPlacement::kBoth, NormPlacement::kAfterResidual});
  if (config.norm_placement == NormPlacement::kBefore) {
    config.block = pick.One(
        std::array{BlockOrder::kSequential, BlockOrder::kParallel, BlockOrder::kParallelTwoNorms});
  }
  const bool norm_bias = config.norm == Norm::kLayerNorm && config.norm_gain != NormGain::kNone;
  config.biases = {.qkv = pick.Flag(),
                   .attention_out = pick.Flag(),
                   .ffn_up = pick.Flag(),
                   .ffn_down = pick.Flag(),
                   .norm = norm_bias && pick.Flag(),
                   .qk_norm = norm_bias && config.qk_norm != QkNorm::kNone && pick.Flag(),
                   .lm_head = false};
  config.embedding_norm = pick.Flag();
  config.final_norm = pick.Flag();
  config.attention_sinks = pick.Flag();
  config.embedding_multiplier = pick.Flag() ? 1 : 3;
  config.residual_multiplier = pick.Flag() ? 1 : 0.5;
  config.tie_embeddings = pick.Flag();
  config.head = pick.One(std::array{Head::kLm, Head::kLm, Head::kScore, Head::kNone});
  if (config.head == Head::kScore) config.num_labels = pick.Number(1, 5);
  if (config.head == Head::kLm) config.biases.lm_head = pick.Flag();
  Validate(config, "random");
  return config;
}

}  // namespace flopledger
