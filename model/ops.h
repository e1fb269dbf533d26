// A forward pass as a plain list of operations. model/forward executes this list and
// analysis/accounting/accounting costs it: the two meet here and nowhere else.
// Legend: B batch, T context, C d_model, NH heads, NKV key/value heads, HS head size, F d_ff,
// V vocabulary.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "model/config.h"

namespace flopledger {

/// How an op is computed and costed.
enum class OpKind {
  kEmbedding,         // rows looked up (and positions added)
  kNorm,              // LayerNorm or RMSNorm, row by row
  kMatmul,            // [m, k] · [k, n] (+ bias)
  kRope,              // queries and keys rotated by their position
  kAttentionScores,   // q · kᵀ for each head
  kAttentionSoftmax,  // causal softmax of each head's scores
  kAttentionValues,   // probabilities · v for each head
  kAttention,         // scores, softmax and values of each head in one, nothing stored
  kActivation,        // GELU, ReLU, or SwiGLU's gate
  kResidual,          // x += y
};

/// Which op of the block this is. The order is that of kOpTable in ops.cc.
enum class OpId {
  kEmbedding,
  kAttentionNorm,
  kAttentionQkv,
  kRope,
  kAttentionScores,
  kAttentionSoftmax,
  kAttentionValues,
  kAttention,
  kAttentionOut,
  kAttentionResidual,
  kFfnNorm,
  kFfnGate,
  kFfnUp,
  kFfnActivation,
  kFfnDown,
  kFfnResidual,
  kFinalNorm,
  kLmHead,
};

/// What a product does to its output besides: an op that then has no row of its own.
enum class OpEpilogue { kNone, kActivation, kResidual };

/// One operation, as one row of the ledger.
struct Op {
  OpId id;
  OpKind kind;
  bool per_layer;     // executed once in every layer, else once in the pass
  int64_t m, n, k;    // of one product; for the other kinds m×n elements, and k is 0. Attention in
                      // one op has those of its scores, [T, HS]·[HS, past + T]
  int64_t products;   // independent products (or blocks of m×n) in one execution: B·NH per head
  bool bias = false;  // adds a vector [n] to each row
  OpEpilogue epilogue = OpEpilogue::kNone;

  std::string_view name() const;
  bool operator==(const Op&) const = default;
};

std::string_view KindName(OpKind kind);

/// What is run: how many positions, in how many sequences, through how many of the layers.
struct RunShape {
  int64_t context = 1;
  int64_t batch = 1;
  int64_t num_layers = 1;
  bool fused_attention = false;  // attention is one op, and its scores are not stored
  bool fused_epilogues = false;  // activations and residuals are left to the products before them
  int64_t past = 0;  // positions before these, whose keys and values are cached; then too it is one
};

/// Every distinct op of a forward pass in the order of execution: those before the layers, those of
/// one layer (per_layer, executed num_layers times), those after. Logits are computed at every
/// position. Throws InputError where a size overflows 64 bits.
std::vector<Op> ForwardOps(const ModelConfig& config, const RunShape& shape);

/// The shape of step i ≥ 0 of decoding after a prompt of `prompt`'s context: one new position of
/// each sequence, attending to all before it through the cache.
RunShape DecodeStep(const RunShape& prompt, int64_t i);

/// How often `op` executes in one pass, counting each product: products · (layers or 1).
int64_t TotalCount(const Op& op, const RunShape& shape);

/// Calls visit(op, layer) for every execution of a pass in order; layer is −1 outside the layers.
template <class Visit>
void ForEachExecution(std::span<const Op> ops, int64_t num_layers, Visit&& visit) {
  auto first = ops.begin();
  while (first != ops.end()) {
    auto last = first;
    while (last != ops.end() && last->per_layer == first->per_layer) ++last;
    const int64_t repeat = first->per_layer ? num_layers : 1;
    for (int64_t layer = 0; layer < repeat; ++layer) {
      for (auto op = first; op != last; ++op) visit(*op, op->per_layer ? layer : int64_t{-1});
    }
    first = last;
  }
}

}  // namespace flopledger
