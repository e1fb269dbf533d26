// A forward pass as a plain list of operations. model/forward executes this list and
// analysis/accounting/accounting costs it: the two meet here and nowhere else.
// Legend: B batch, T context, C d_model, NH heads, NKV key/value heads, HS head size, F d_ff,
// V vocabulary, E embedding_size.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "model/config.h"
#include "model/shard.h"

namespace flopledger {

/// How an op is computed and costed.
enum class OpKind {
  kEmbedding,         // rows looked up (and positions added)
  kNorm,              // LayerNorm or RMSNorm, row by row
  kQkNorm,            // queries and keys normed, by head or by row: m rows of n = (NH + NKV)·HS
  kMatmul,            // [m, k] · [k, n] (+ bias)
  kRope,              // queries and keys rotated by their position: n = (NH + NKV)·rotated_size
  kAttentionScores,   // q · kᵀ for each head
  kAttentionSoftmax,  // causal softmax of each head's scores
  kAttentionValues,   // probabilities · v for each head
  kAttention,         // scores, softmax and values of each head in one, nothing stored
  kActivation,        // f of the FFN, times the second product where it is gated
  kResidual,          // x += y, or x += residual_multiplier·y
  kRouting,           // the weights of the experts from the router's logits, and their choice
  kCombine,           // y += weight·x, row by row
  kAllReduce,         // the sum over all ranks of m rows of n, which each of them then has
  kLogitsGather,      // m rows of n logits, gathered at the first rank
};

/// Which op of the block this is. The order is that of kOpTable in ops.cc.
enum class OpId {
  kEmbedding,
  kEmbeddingProjection,  // [E, C] where embedding_size is not d_model
  kEmbeddingNorm,
  kAttentionNorm,
  kAttentionQkv,
  kQueryDown,  // latent attention: C to q_rank
  kQueryNorm,
  kQueryUp,  // q_rank (or C, without a low rank) to NH·(nope + rope)
  kKvDown,   // C to kv_rank + rope
  kKvNorm,
  kKvUp,  // kv_rank to NH·(nope + value)
  kQkNorm,
  kRope,
  kAttentionScores,
  kAttentionSoftmax,
  kAttentionValues,
  kAttention,
  kAttentionOut,
  kAttentionAllReduce,  // where there are several ranks
  kAttentionPostNorm,   // after attention's projection, or (kAfterResidual) after the residual
  kAttentionResidual,
  kFfnNorm,
  kFfnGate,
  kFfnUp,
  kFfnActivation,
  kFfnDown,
  kRouter,  // [C, count]
  kRouting,
  kExpertGate,  // of routed experts: m = B·T·per_token rows, spread over the experts
  kExpertUp,
  kExpertActivation,
  kExpertDown,
  kExpertCombine,
  kSharedGate,  // of the shared experts
  kSharedUp,
  kSharedActivation,
  kSharedDown,
  kSharedScale,  // [C, 1], where the shared experts have a gate of their own
  kSharedCombine,
  kFfnAllReduce,  // of the FFN, or of all experts together
  kFfnPostNorm,
  kFfnResidual,
  kFinalNorm,
  kHeadProjection,  // [C, E]
  kLmHead,
  kScoreHead,  // [C, num_labels], of one position of each sequence
  kLogitsGather,
};
inline constexpr int kNumOpIds = static_cast<int>(OpId::kLogitsGather) + 1;

/// What a product does to its output besides: an op that then has no row of its own.
enum class OpEpilogue { kNone, kActivation, kResidual };

/// One operation, as one row of the ledger.
struct Op {
  OpId id;
  OpKind kind;
  bool per_layer;     // executed once in each of `layers`, else once in the pass
  int64_t m, n, k;    // of one product; for the other kinds m×n elements, and k is 0. Attention in
                      // one op has those of its scores, [T, HS]·[HS, past + T]
  int64_t products;   // independent products (or blocks of m×n) in one execution: B·NH per head
  bool bias = false;  // adds a vector [n] to each row
  OpEpilogue epilogue = OpEpilogue::kNone;
  int64_t window = 0;    // of attention: keys that a query sees at the most; 0: all up to its own
  uint32_t kinds = ~0u;  // bit i: layers of layer_kinds[i] execute it
  int64_t layers = -1;   // how many layers of the run execute it; −1: every one

  std::string_view name() const;
  bool operator==(const Op&) const = default;
  bool in_kind(int32_t layer_kind) const { return (kinds >> layer_kind & 1u) != 0; }
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
  Shard shard = {};  // which of the ranks that compute the pass together
  bool gathers_logits = false;  // at the first of several ranks
};

/// Every distinct op of a forward pass in the order of execution: those before the layers, those of
/// the layers (per_layer), those after. Where layers are of several kinds, ops that are alike in
/// them stand once; what differs (a window, RoPE, experts) stands once a kind, one after the other,
/// and `kinds` tells which layers execute it. Logits are computed at every position. Of
/// several ranks, `config` is the model of the shape's own (RankModel), whose list this is: all
/// ranks have the same ops, of other sizes. Throws InputError where a size overflows 64 bits.
std::vector<Op> ForwardOps(const ModelConfig& config, const RunShape& shape);

/// The shape of step i ≥ 0 of decoding after a prompt of `prompt`'s context: one new position of
/// each sequence, attending to all before it through the cache.
RunShape DecodeStep(const RunShape& prompt, int64_t i);

/// How often `op` stands in one pass: the layers that have it, or 1 outside the layers.
int64_t Executions(const Op& op, const RunShape& shape);

/// Executions, counting each product: products · executions.
int64_t TotalCount(const Op& op, const RunShape& shape);

/// Calls visit(op, layer) for every execution of a pass in order; layer is −1 outside the layers.
template <class Visit>
void ForEachExecution(const ModelConfig& config, std::span<const Op> ops, int64_t num_layers,
                      Visit&& visit) {
  auto first = ops.begin();
  while (first != ops.end()) {
    auto last = first;
    while (last != ops.end() && last->per_layer == first->per_layer) ++last;
    const int64_t repeat = first->per_layer ? num_layers : 1;
    for (int64_t layer = 0; layer < repeat; ++layer) {
      const int32_t kind = first->per_layer ? config.kind_of_layer(layer) : 0;
      for (auto op = first; op != last; ++op) {
        if (op->in_kind(kind)) visit(*op, op->per_layer ? layer : int64_t{-1});
      }
    }
    first = last;
  }
}

}  // namespace flopledger
