// Small random models and numbers of ranks that share them.
#pragma once

#include <random>
#include <utility>

#include "model/input_error.h"
#include "model/ops.h"
#include "tests/support/random_model.h"

namespace flopledger {

/// Whether a pass of this model can be split so.
inline bool Splits(const ModelConfig& config, int64_t ranks) {
  try {
    CheckRanks(config, ranks);
  } catch (const InputError&) {
    return false;
  }
  return true;
}

/// A small random model and a number of ranks that share it.
inline std::pair<ModelConfig, int64_t> RandomSplit(std::mt19937& random) {
  while (true) {
    const ModelConfig config = RandomComputedModel(random);
    const auto ranks = static_cast<int64_t>(2 + random() % 4);
    if (Splits(config, ranks)) return {config, ranks};
  }
}

/// A rank's shape, of a pass that gathers its logits.
inline RunShape ShapeOfRank(const ModelConfig& config, int64_t context, int64_t batch,
                            const Shard& shard) {
  return {.context = context,
          .batch = batch,
          .num_layers = config.num_layers,
          .fused_attention = true,
          .shard = shard,
          .gathers_logits = true};
}

}  // namespace flopledger
