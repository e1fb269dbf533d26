// Small random models of every family and feature.
#pragma once

#include <array>
#include <random>

#include "model/config.h"

namespace flopledger {

inline constexpr int64_t kLongestRandomContext = 70;

inline ModelConfig RandomModel(std::mt19937& random) {
  const auto pick = [&](int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random);
  };
  ModelConfig config;
  config.name = "random";
  config.num_kv_heads = pick(1, 3);
  config.num_heads = config.num_kv_heads * pick(1, 3);
  config.position = std::array{Position::kLearned, Position::kRope,
                               Position::kNone}[static_cast<std::size_t>(pick(0, 2))];
  const int64_t head_size = config.position == Position::kRope ? 2 * pick(1, 9) : pick(1, 17);
  config.d_model = config.num_heads * head_size;
  config.d_ff = pick(1, 10) == 1 ? pick(480, 1500) : pick(1, 70);
  config.vocab_size = pick(1, 10) == 1 ? pick(900, 1100) : pick(1, 70);
  config.context_length = kLongestRandomContext;  // learned positions end there
  config.num_layers = pick(1, 2);
  config.ffn = std::array{Ffn::kGeluTanh, Ffn::kGeluErf, Ffn::kRelu,
                          Ffn::kSwiglu}[static_cast<std::size_t>(pick(0, 3))];
  config.norm = static_cast<Norm>(pick(0, 1));
  config.biases = Biases::OfBlock(pick(0, 1) == 1, config.norm);
  config.tie_embeddings = pick(0, 1) == 1;
  config.final_norm = pick(0, 1) == 1;
  config.norm_eps = pick(0, 1) == 1 ? 1e-5 : 1e-3;
  config.rope_theta = pick(0, 1) == 1 ? 1e4 : 5e5;
  return config;
}

/// RoPE's share of a head, its pairs and its scaling.
inline void RandomRope(std::mt19937& random, ModelConfig& config) {
  const auto pick = [&](int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random);
  };
  const int64_t pairs = config.head_size() / 2;
  config.rope_dims = pick(0, 1) * 2 * pick(1, pairs);
  config.rope_pairs = static_cast<RopePairs>(pick(0, 1));
  RopeScaling& scaling = config.rope_scaling;
  scaling.kind = static_cast<RopeScaling::Kind>(pick(0, 5));
  if (scaling.kind == RopeScaling::Kind::kNone) return;
  scaling.factor = static_cast<double>(pick(2, 8));
  scaling.original_context = pick(0, 3) == 0 ? 0 : 16;
  if (scaling.kind == RopeScaling::Kind::kYarn) {
    scaling.truncate = pick(0, 1) == 1;
    scaling.beta_fast = static_cast<double>(pick(4, 32));
    if (pick(0, 2) == 0) scaling.attention_factor = 1.25;
    if (pick(0, 2) == 0) scaling.mscale = 1, scaling.mscale_all_dim = 0.707;
  }
  if (scaling.kind == RopeScaling::Kind::kLongRope) {
    for (int64_t j = 0; j < config.rotated_size() / 2; ++j) {
      scaling.short_factor.push_back(1 + 0.125 * static_cast<double>(pick(0, 8)));
      scaling.long_factor.push_back(1 + static_cast<double>(pick(0, 30)));
    }
  }
}

/// Small models of all that the forward pass computes.
inline ModelConfig RandomComputedModel(std::mt19937& random) {
  ModelConfig config = RandomModel(random);
  const auto pick = [&](int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random);
  };
  const auto one_in = [&](int64_t n) { return pick(1, n) == 1; };
  config.ffn = {static_cast<Activation>(pick(0, 5)), one_in(2)};
  config.biases = {.qkv = one_in(2),
                   .attention_out = one_in(2),
                   .ffn_up = one_in(2),
                   .ffn_down = one_in(2),
                   .norm = config.norm == Norm::kLayerNorm && one_in(2),
                   .lm_head = one_in(3)};
  if (one_in(2)) {  // a width that the heads have nothing to do with
    config.own_head_size = config.head_size();
    config.d_model = pick(1, 60);
  }
  if (one_in(5)) config.embedding_size = pick(1, 60);
  config.block = one_in(2) ? BlockOrder::kSequential : static_cast<BlockOrder>(pick(1, 2));
  if (!config.is_parallel()) config.norm_placement = static_cast<NormPlacement>(pick(0, 3));
  if (config.norm == Norm::kRmsNorm && one_in(2)) {
    config.qk_norm = one_in(2) ? QkNorm::kHead : QkNorm::kRow;
  }
  config.embedding_norm = one_in(6);
  if (config.position == Position::kLearned) config.position_offset = pick(0, 2);
  if (config.position == Position::kRope) RandomRope(random, config);
  if (one_in(2)) {
    config.layer_kinds = {LayerKind{.window = pick(1, 80), .rope = !one_in(4)}};
    if (one_in(2)) {
      config.layer_kinds.push_back({.window = pick(0, 1) * pick(1, 40)});
      config.layer_pattern = {0, 1};
      config.num_layers = pick(2, 3);
    }
  }
  if (one_in(4)) config.embedding_multiplier = 3.5;
  if (one_in(4)) config.attention_multiplier = 0.3;
  if (one_in(4)) config.residual_multiplier = 0.22;
  config.scale_by_layer = one_in(6);
  return config;
}

}  // namespace flopledger
