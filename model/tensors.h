// The one list of a model's tensors, which allocation, seeding, reading and writing walk.
// Legend: V vocabulary, P positions of the table, C d_model, E embedding_size, A = NH·HS, Q = (NH +
// 2·NKV)·HS, F d_ff.
#pragma once

#include <cstdint>

#include "model/config.h"
#include "model/weights.h"

namespace flopledger {

/// Which parameter a tensor is; with the layer it identifies the tensor. What a seed makes of a
/// tensor depends on its number: new ones go to the end.
enum class TensorId {
  kTokenEmbedding,
  kPositionEmbedding,
  kAttentionNorm,
  kAttentionNormBias,
  kQkv,
  kQkvBias,
  kAttentionOut,
  kAttentionOutBias,
  kFfnNorm,
  kFfnNormBias,
  kGate,
  kGateBias,
  kUp,
  kUpBias,
  kDown,
  kDownBias,
  kFinalNorm,
  kFinalNormBias,
  kLmHead,
  kEmbeddingProjection,
  kEmbeddingNorm,
  kEmbeddingNormBias,
  kQueryNorm,
  kKeyNorm,
  kAttentionPostNorm,
  kAttentionPostNormBias,
  kFfnPostNorm,
  kFfnPostNormBias,
  kHeadProjection,
  kLmHeadBias,
};

/// One tensor [inputs, outputs] of a model; layer is −1 outside the layers.
struct TensorSpec {
  TensorId id;
  int64_t layer, inputs, outputs;
};

/// True for what a normalised row is multiplied by.
inline bool IsGain(TensorId id) {
  using enum TensorId;
  switch (id) {
    case kAttentionNorm:
    case kFfnNorm:
    case kFinalNorm:
    case kEmbeddingNorm:
    case kQueryNorm:
    case kKeyNorm:
    case kAttentionPostNorm:
    case kFfnPostNorm: return true;
    default: return false;
  }
}

/// What a stored gain is short of the factor that it stands for.
inline float MissingGain(const ModelConfig& config, TensorId id) {
  return IsGain(id) && config.norm_gain == NormGain::kOnePlusGain ? 1.0f : 0.0f;
}

/// True for gains and biases, which checkpoints store as [n].
inline bool IsVector(TensorId id) {
  using enum TensorId;
  switch (id) {
    case kTokenEmbedding:
    case kPositionEmbedding:
    case kQkv:
    case kAttentionOut:
    case kGate:
    case kUp:
    case kDown:
    case kEmbeddingProjection:
    case kHeadProjection:
    case kLmHead: return false;
    default: return true;
  }
}

/// True for the two tables of the vocabulary, which checkpoints store as [V, E].
inline bool IsTable(TensorId id) {
  return id == TensorId::kTokenEmbedding || id == TensorId::kLmHead;
}

/// The tensors of block `index`.
template <class AnyLayer, class Visit>
void ForEachLayerTensor(const ModelConfig& config, int64_t index, AnyLayer& layer,
                        const Visit& visit) {
  const int64_t C = config.d_model, Q = config.qkv_size(), A = config.attention_size(),
                F = config.d_ff, HS = config.head_size();
  const NormPlacement placement = config.norm_placement;
  const bool before = placement == NormPlacement::kBefore || placement == NormPlacement::kBoth;
  const bool after = placement != NormPlacement::kBefore;
  const bool two = config.block != BlockOrder::kParallel;  // a norm for each half
  const bool norm_bias = config.has_norm_bias(), gate = config.has_gate();
  const bool qk_norm = config.qk_norm != QkNorm::kNone, by_row = config.qk_norm == QkNorm::kRow;
  const Biases& biases = config.biases;
  using enum TensorId;
  if (before) visit(TensorSpec{kAttentionNorm, index, 1, C}, layer.attention_norm_gain);
  if (before && norm_bias)
    visit(TensorSpec{kAttentionNormBias, index, 1, C}, layer.attention_norm_bias);
  visit(TensorSpec{kQkv, index, C, Q}, layer.attention_qkv);
  if (biases.qkv) visit(TensorSpec{kQkvBias, index, 1, Q}, layer.attention_qkv_bias);
  if (qk_norm) visit(TensorSpec{kQueryNorm, index, 1, by_row ? A : HS}, layer.query_norm_gain);
  if (qk_norm)
    visit(TensorSpec{kKeyNorm, index, 1, by_row ? config.num_kv_heads * HS : HS},
          layer.key_norm_gain);
  visit(TensorSpec{kAttentionOut, index, A, C}, layer.attention_out);
  if (biases.attention_out)
    visit(TensorSpec{kAttentionOutBias, index, 1, C}, layer.attention_out_bias);
  if (after) visit(TensorSpec{kAttentionPostNorm, index, 1, C}, layer.attention_post_norm_gain);
  if (after && norm_bias)
    visit(TensorSpec{kAttentionPostNormBias, index, 1, C}, layer.attention_post_norm_bias);
  if (before && two) visit(TensorSpec{kFfnNorm, index, 1, C}, layer.ffn_norm_gain);
  if (before && two && norm_bias) visit(TensorSpec{kFfnNormBias, index, 1, C}, layer.ffn_norm_bias);
  if (gate) visit(TensorSpec{kGate, index, C, F}, layer.ffn_gate);
  if (gate && biases.ffn_up) visit(TensorSpec{kGateBias, index, 1, F}, layer.ffn_gate_bias);
  visit(TensorSpec{kUp, index, C, F}, layer.ffn_up);
  if (biases.ffn_up) visit(TensorSpec{kUpBias, index, 1, F}, layer.ffn_up_bias);
  visit(TensorSpec{kDown, index, F, C}, layer.ffn_down);
  if (biases.ffn_down) visit(TensorSpec{kDownBias, index, 1, C}, layer.ffn_down_bias);
  if (after && two) visit(TensorSpec{kFfnPostNorm, index, 1, C}, layer.ffn_post_norm_gain);
  if (after && two && norm_bias)
    visit(TensorSpec{kFfnPostNormBias, index, 1, C}, layer.ffn_post_norm_bias);
}

/// Calls visit(spec, weight) for each tensor that the model has; of a model that model/runnable.h
/// does not name.
template <class AnyWeights, class Visit>
void ForEachTensor(const ModelConfig& config, AnyWeights& weights, const Visit& visit) {
  const int64_t V = config.vocab_size, C = config.d_model, E = config.embedded_size();
  const int64_t P = config.context_length + config.position_offset;
  const bool norm_bias = config.has_norm_bias(), projects = E != C;
  using enum TensorId;
  visit(TensorSpec{kTokenEmbedding, -1, E, V}, weights.token_embedding);
  if (projects) visit(TensorSpec{kEmbeddingProjection, -1, E, C}, weights.embedding_projection);
  if (config.position == Position::kLearned)
    visit(TensorSpec{kPositionEmbedding, -1, P, C}, weights.position_embedding);
  if (config.embedding_norm)
    visit(TensorSpec{kEmbeddingNorm, -1, 1, C}, weights.embedding_norm_gain);
  if (config.embedding_norm && norm_bias)
    visit(TensorSpec{kEmbeddingNormBias, -1, 1, C}, weights.embedding_norm_bias);
  for (std::size_t i = 0; i < weights.layers.size(); ++i) {
    ForEachLayerTensor(config, static_cast<int64_t>(i), weights.layers[i], visit);
  }
  if (config.final_norm) visit(TensorSpec{kFinalNorm, -1, 1, C}, weights.final_norm_gain);
  if (config.final_norm && norm_bias)
    visit(TensorSpec{kFinalNormBias, -1, 1, C}, weights.final_norm_bias);
  if (projects) visit(TensorSpec{kHeadProjection, -1, C, E}, weights.head_projection);
  const int64_t outputs = config.outputs();
  if (!config.tie_embeddings) visit(TensorSpec{kLmHead, -1, E, outputs}, weights.lm_head);
  if (config.biases.lm_head) visit(TensorSpec{kLmHeadBias, -1, 1, outputs}, weights.lm_head_bias);
}

}  // namespace flopledger
