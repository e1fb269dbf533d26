// Small random models of every family and feature.
#pragma once

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
  config.position = static_cast<Position>(pick(0, 2));
  const int64_t head_size = config.position == Position::kRope ? 2 * pick(1, 9) : pick(1, 17);
  config.d_model = config.num_heads * head_size;
  config.d_ff = pick(1, 10) == 1 ? pick(480, 1500) : pick(1, 70);
  config.vocab_size = pick(1, 10) == 1 ? pick(900, 1100) : pick(1, 70);
  config.context_length = kLongestRandomContext;  // learned positions end there
  config.num_layers = pick(1, 2);
  config.ffn = static_cast<Ffn>(pick(0, 3));
  config.norm = static_cast<Norm>(pick(0, 1));
  config.bias = pick(0, 1) == 1;
  config.tie_embeddings = pick(0, 1) == 1;
  config.final_norm = pick(0, 1) == 1;
  config.norm_eps = pick(0, 1) == 1 ? 1e-5 : 1e-3;
  config.rope_theta = pick(0, 1) == 1 ? 1e4 : 5e5;
  return config;
}

}  // namespace flopledger
