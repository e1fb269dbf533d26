// A model's parameters, laid out as the kernels want them: plain, or packed into panels while they
// are filled. Filled from a seed, or read from safetensors. Shapes are [inputs, outputs], whatever
// the layout: y = x·w. Legend: V vocabulary, P context_length + position_offset, C d_model, E
// embedding_size, A = NH·HS, Q = (NH + 2·NKV)·HS, F d_ff.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "kernels/weight.h"
#include "model/config.h"
#include "model/safetensors.h"
#include "model/shard.h"

namespace flopledger {

/// The parameters of one block. A tensor that the model lacks is empty (size 0). Gains are what a
/// normalised row is multiplied by: of a model that stores g for 1 + g, 1 + g.
template <class Scalar>
struct LayerWeights {
  Weight<Scalar> attention_norm_gain;       // [1, C]
  Weight<Scalar> attention_norm_bias;       // [1, C]
  Weight<Scalar> attention_qkv;             // [C, Q]: all queries, all keys, all values
  Weight<Scalar> attention_qkv_bias;        // [1, Q]
  Weight<Scalar> query_norm_gain;           // [1, HS] for every head, or [1, A] for the whole row
  Weight<Scalar> key_norm_gain;             // [1, HS], or [1, NKV·HS]
  Weight<Scalar> attention_out;             // [A, C]
  Weight<Scalar> attention_out_bias;        // [1, C]
  Weight<Scalar> attention_post_norm_gain;  // [1, C]
  Weight<Scalar> attention_post_norm_bias;  // [1, C]
  Weight<Scalar> ffn_norm_gain;             // [1, C]
  Weight<Scalar> ffn_norm_bias;             // [1, C]
  Weight<Scalar> ffn_gate;                  // [C, F], where the FFN is gated
  Weight<Scalar> ffn_gate_bias;             // [1, F]
  Weight<Scalar> ffn_up;                    // [C, F]
  Weight<Scalar> ffn_up_bias;               // [1, F]
  Weight<Scalar> ffn_down;                  // [F, C]
  Weight<Scalar> ffn_down_bias;             // [1, C]
  Weight<Scalar> ffn_post_norm_gain;        // [1, C]
  Weight<Scalar> ffn_post_norm_bias;        // [1, C]
};

template <class Scalar>
struct Weights {
  Weight<Scalar> token_embedding;       // [E, V]
  Weight<Scalar> embedding_projection;  // [E, C], where E is not C
  Weight<Scalar> position_embedding;    // [P, C], learned positions only
  Weight<Scalar> embedding_norm_gain;   // [1, C]
  Weight<Scalar> embedding_norm_bias;   // [1, C]
  std::vector<LayerWeights<Scalar>> layers;
  Weight<Scalar> final_norm_gain;  // [1, C]
  Weight<Scalar> final_norm_bias;  // [1, C]
  Weight<Scalar> head_projection;  // [C, E], where E is not C
  Weight<Scalar> lm_head;          // [E, V]; empty when tied to token_embedding
  Weight<Scalar> lm_head_bias;     // [1, V]

  /// The table that the logits are computed with: lm_head, or the tied token_embedding.
  const Weight<Scalar>& Unembedding() const {
    return lm_head.size() > 0 ? lm_head : token_embedding;
  }
};

/// Bytes held by all tensors, the padding of panels among them.
template <class Scalar>
int64_t WeightBytes(const ModelConfig& config, const Weights<Scalar>& weights);

/// Uninitialised weights of the config's shapes, with the first num_layers of its layers. `packed`
/// lays out in panels what products read; else a table of the vocabulary is [V, C], the rest [K,
/// N].
template <class Scalar>
Weights<Scalar> AllocateWeights(const ModelConfig& config, int64_t num_layers, bool packed);

/// Which weights are filled, and who is told of it.
struct Filling {
  /// Of several ranks, whose: those of RankModel, with the numbers that they have in the whole
  /// model.
  Shard shard = {};
  /// Told after each tensor which share of all elements is filled; what it throws ends the filling.
  std::function<void(double)> after_tensor = {};
};

/// Weights drawn from `seed`, in parallel: element i of a tensor depends on the seed, the tensor
/// and i alone, so neither the thread count nor the layout changes a value. Matrices and biases are
/// uniform with GPT-2's standard deviation, 0.02 (Radford et al. 2019); gains lie within 10 % of 1.
template <class Scalar>
Weights<Scalar> SeededWeights(const ModelConfig& config, int64_t num_layers, uint64_t seed,
                              bool packed = false, const Filling& filling = {});

/// Reads a checkpoint with Hugging Face's tensor names, GPT-2's ("wte.weight", with or without
/// "transformer.") or Llama's ("embed_tokens.weight", with or without "model."); F32, F16 or BF16.
/// A tied table may stand there as "lm_head.weight" alone, as safetensors' save_model leaves it.
/// Of several ranks, the shard's own. Throws InputError for a tensor that is missing, has another
/// shape, or belongs to no part of the model.
template <class Scalar>
Weights<Scalar> ReadWeights(const ModelConfig& config, const SafetensorsFile& file,
                            bool packed = false, const Shard& shard = {});

}  // namespace flopledger
