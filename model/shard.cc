#include "model/shard.h"

#include <fmt/format.h>

#include <algorithm>

#include "model/checked.h"

namespace flopledger {

Range PartOf(int64_t n, int64_t index, int64_t parts) {
  const int64_t least = n / parts, larger = n % parts;
  return {index * least + std::min(index, larger), least + (index < larger ? 1 : 0)};
}

RankShare ShareOf(const ModelConfig& config, const Shard& shard) {
  const int64_t r = shard.rank, P = shard.ranks, NKV = config.num_kv_heads;
  const int64_t group = config.num_heads / NKV;  // query heads of one key/value head
  RankShare share{.heads = {},
                  .kv_heads = {},
                  .d_ff = PartOf(config.d_ff, r, P),
                  .vocabulary = PartOf(config.vocab_size, r, P)};
  if (P <= NKV) {
    share.kv_heads = PartOf(NKV, r, P);
    share.heads = {share.kv_heads.begin * group, share.kv_heads.size * group};
    return share;
  }
  // The ranks of head kv are a part of all ranks; the last heads have the more ranks, so that the
  // first rank's share is the largest.
  int64_t kv = 0;
  while (P - PartOf(P, NKV - 1 - kv, NKV).begin <= r) ++kv;
  const Range from_the_end = PartOf(P, NKV - 1 - kv, NKV);
  const int64_t first = P - from_the_end.end();
  const Range queries = PartOf(group, r - first, from_the_end.size);
  share.kv_heads = {kv, 1};
  share.heads = {kv * group + queries.begin, queries.size};
  return share;
}

ModelConfig RankModel(const ModelConfig& config, const Shard& shard) {
  ModelConfig own = config;
  if (shard.is_whole()) return own;
  const RankShare share = ShareOf(config, shard);
  if (config.latent.kv_rank == 0) own.own_head_size = config.head_size();
  own.num_heads = share.heads.size;
  own.num_kv_heads = share.kv_heads.size;
  own.d_ff = share.d_ff.size;
  own.experts.d_ff = PartOf(config.experts.d_ff, shard.rank, shard.ranks).size;
  own.experts.shared_d_ff = PartOf(config.experts.shared_d_ff, shard.rank, shard.ranks).size;
  own.head_columns = share.vocabulary.size;
  own.tie_embeddings = false;
  const bool first = shard.rank == 0;
  own.biases.attention_out = config.biases.attention_out && first;
  own.biases.ffn_down = config.biases.ffn_down && first;
  return own;
}

void CheckRanks(const ModelConfig& config, int64_t ranks) {
  if (ranks < 1 || ranks > config.num_heads) {
    throw InputError(fmt::format("{}: ranks must be from 1 to its {} query heads, found {}",
                                 config.name, config.num_heads, ranks));
  }
  if (ranks == 1) return;
  const Experts& experts = config.experts;
  for (const int64_t columns :
       {config.d_ff, config.vocab_size, experts.d_ff, experts.shared_d_ff}) {
    if (columns == 0 || columns >= ranks) continue;  // 0: the model has no such columns
    throw InputError(
        fmt::format("{}: {} columns cannot be split over {} ranks", config.name, columns, ranks));
  }
  if (config.qk_norm == QkNorm::kRow) {
    throw InputError(fmt::format(
        "{}: norms of queries and keys over the whole row are not split over ranks", config.name));
  }
}

}  // namespace flopledger
