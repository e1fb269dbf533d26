// Random models to be accounted for by hand: sizes that differ, so that a lost factor can be told
// from another.
#pragma once

#include <random>

#include "analysis/audit/audit.h"

namespace flopledger {

inline AuditSetting RandomSetting(std::mt19937& random) {
  const auto pick = [&](int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random);
  };
  AuditSetting setting;
  setting.model = LoadModel(pick(0, 1) == 0 ? "gpt2" : "cs336-small");
  ModelConfig& model = setting.model;
  model.num_heads = model.num_kv_heads = pick(5, 30);
  model.d_model = model.num_heads * 2 * pick(16, 64);
  model.d_ff = model.d_model * 3 + pick(1, 100);
  model.num_layers = pick(31, 90);
  model.vocab_size = pick(20'000, 90'000);
  model.context_length = pick(100, 9000);
  model.biases = Biases::OfBlock(pick(0, 1) == 1, model.norm);
  model.tie_embeddings = pick(0, 1) == 1;
  setting.context = model.context_length;
  setting.batch = pick(1, 17);
  return setting;
}

}  // namespace flopledger
