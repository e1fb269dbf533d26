// How one pass is split over ranks, processes that compute it together: tensor parallelism as
// Megatron-LM lays it out (Shoeybi et al. 2019, section 3). The first product of each half of a
// block is split by columns (heads, d_ff), the second by rows, with an all-reduce after it; the LM
// head is split by the vocabulary; embedding, norms and residuals are computed by every rank. Plain
// numbers: nothing runs here.
#pragma once

#include <cstdint>

#include "model/config.h"

namespace flopledger {

/// One of `ranks` processes.
struct Shard {
  int64_t rank = 0;
  int64_t ranks = 1;

  bool is_whole() const { return ranks == 1; }
  bool operator==(const Shard&) const = default;
};

/// Neighbours in a list.
struct Range {
  int64_t begin = 0, size = 0;

  int64_t end() const { return begin + size; }
  bool operator==(const Range&) const = default;
};

/// Part `index` of n that are cut into `parts`: sizes differ by at most one, the larger come first.
Range PartOf(int64_t n, int64_t index, int64_t parts);

/// What of a model is one rank's. Key/value heads are split where there are as many as ranks, and
/// query heads go with theirs; where there are fewer, several ranks hold one key/value head each
/// and split its query heads. The first rank's share is never smaller than another's.
struct RankShare {
  Range heads, kv_heads, d_ff, vocabulary;
};
RankShare ShareOf(const ModelConfig& config, const Shard& shard);

/// The model that a rank computes: its own heads, d_ff and outputs of the LM head, which is then a
/// matrix of its own even where it is tied. The biases that follow an all-reduce are the first
/// rank's. With one rank it is `config`.
ModelConfig RankModel(const ModelConfig& config, const Shard& shard);

/// Throws InputError where a pass of this model cannot be split over that many ranks.
void CheckRanks(const ModelConfig& config, int64_t ranks);

}  // namespace flopledger
