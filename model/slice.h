// Where a rank's part of a tensor lies in the whole one.
#pragma once

#include <array>

#include "model/shard.h"
#include "model/tensors.h"

namespace flopledger {

/// Rows and columns of a whole tensor [inputs, outputs] that make up a rank's.
struct Slice {
  TensorSpec whole;                // of a tied LM head, the table
  int64_t first_input = 0;         // the rank's inputs are those from here on
  std::array<Range, 3> columns{};  // the rank's outputs: these, one after the other

  /// The column of the whole tensor that is the rank's column n.
  int64_t WholeColumn(int64_t n) const {
    for (const Range& range : columns) {
      if (n < range.size) return range.begin + n;
      n -= range.size;
    }
    FL_CHECK(false, n);
  }
};

/// The part of the whole model's tensor that `own`, one of RankModel(config, shard), is.
inline Slice SliceOf(const ModelConfig& config, const Shard& shard, const TensorSpec& own) {
  Slice slice{.whole = own, .columns = {Range{0, own.outputs}}};
  if (shard.is_whole()) return slice;
  const RankShare share = ShareOf(config, shard);
  const int64_t HS = config.head_size(), NH = config.num_heads, NKV = config.num_kv_heads;
  const auto heads = [&](int64_t before, const Range& range) {
    return Range{(before + range.begin) * HS, range.size * HS};
  };
  const auto columns_of = [&](int64_t outputs, const Range& range) {
    slice.whole.outputs = outputs;
    slice.columns = {range};
  };
  using enum TensorId;
  switch (own.id) {
    case kQkv:
    case kQkvBias:
      slice.whole.outputs = config.qkv_size();
      slice.columns = {heads(0, share.heads), heads(NH, share.kv_heads),
                       heads(NH + NKV, share.kv_heads)};
      break;
    case kAttentionOut:
      slice.whole.inputs = NH * HS;
      slice.first_input = share.heads.begin * HS;
      break;
    case kGate:
    case kGateBias:
    case kUp:
    case kUpBias: columns_of(config.d_ff, share.d_ff); break;
    case kDown:
      slice.whole.inputs = config.d_ff;
      slice.first_input = share.d_ff.begin;
      break;
    case kLmHead:
      columns_of(config.vocab_size, share.vocabulary);
      if (config.tie_embeddings) slice.whole.id = kTokenEmbedding;
      break;
    case kLmHeadBias: columns_of(config.vocab_size, share.vocabulary); break;
    default: break;
  }
  return slice;
}

}  // namespace flopledger
