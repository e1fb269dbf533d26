#include "analysis/accounting/executed.h"

#include <algorithm>
#include <stdexcept>

#include "analysis/accounting/collectives.h"
#include "model/checked.h"

namespace flopledger {
namespace {

/// Eigen's product on tiles. Each K-block of a tile adds alpha·accumulator onto y (2·M·N), makes
/// alpha from its three factors (2 products a call), and where N is odd the last column, which
/// fills no register tile, folds its four pairs of accumulators together for each four rows of y.
int64_t EigenProduct(int64_t M, int64_t N, int64_t K, const KernelFacts& facts) {
  const int64_t exact = CheckedMul(int64_t{2}, M, N, K);
  if (M == 1 || N == 1) return exact;  // the thin path: one multiply and one add for each weight
  const int64_t tiles =
      CheckedMul(std::max<int64_t>(1, M / facts.tile_m), std::max<int64_t>(1, N / facts.tile_n));
  const int64_t blocks = (K + facts.k_block - 1) / facts.k_block;
  const int64_t folded = N % 2 == 0 ? 0 : M / 4 * 4;
  return CheckedAdd(exact, CheckedMul(blocks, CheckedAdd(CheckedMul(int64_t{2}, M, N),
                                                         CheckedMul(int64_t{2}, tiles), folded)));
}

bool IsPacked(const KernelFacts& facts) {
  return facts.matmul == "packed" || facts.matmul == "packed-fused";
}

/// One product with a weight, by the chosen backend.
std::optional<int64_t> WeightProduct(int64_t M, int64_t N, int64_t K, const KernelFacts& facts) {
  if (IsPacked(facts)) {
    return CheckedMul(int64_t{2}, M, CheckedMul(CeilDiv(N, facts.panel), facts.panel), K);
  }
  if (facts.matmul == "reference") return CheckedMul(int64_t{2}, M, N, K);
  if (facts.matmul == "eigen") return EigenProduct(M, N, K, facts);
  return std::nullopt;
}

/// One head's product in reference attention: packed weights do not serve it, Eigen does.
std::optional<int64_t> HeadProduct(int64_t M, int64_t N, int64_t K, const KernelFacts& facts) {
  if (IsPacked(facts)) return EigenProduct(M, N, K, facts);
  return WeightProduct(M, N, K, facts);
}

/// Positions that t attends to.
int64_t Attended(int64_t t, int64_t window) { return window > 0 ? std::min(t + 1, window) : t + 1; }

/// One head of fused attention. A tile of `queries` lanes sees the keys from the first that its
/// first query attends to up to its last query, in blocks: for each key and lane, 2·HS for the
/// score, 4 for max, minus, exp and sum, 2·HS for the value; for each block and lane, minus, exp
/// and a product for the past sum, HS products for the past output; for each lane, HS products that
/// scale the query, a reciprocal, and HS products that divide the output.
int64_t FusedHead(int64_t T, int64_t HS, int64_t window, const KernelFacts& facts) {
  const int64_t lanes = facts.queries;
  int64_t keys = 0, blocks = 0;
  for (int64_t first = 0; first < T; first += lanes) {
    const int64_t kept = std::min(T, first + lanes) - (first + 1) + Attended(first, window);
    keys = CheckedAdd(keys, kept);
    blocks += CeilDiv(kept, facts.keys);
  }
  const int64_t of_keys =
      CheckedMul(keys, lanes, CheckedAdd(CheckedMul(int64_t{4}, HS), int64_t{4}));
  const int64_t of_blocks = CheckedMul(blocks, lanes, CheckedAdd(HS, int64_t{3}));
  const int64_t of_tiles =
      CheckedMul(CeilDiv(T, lanes), lanes, CheckedAdd(CheckedMul(int64_t{2}, HS), int64_t{1}));
  return CheckedAdd(of_keys, of_blocks, of_tiles);
}

/// One query against S cached keys: S dot products of 2·HS − 1; softmax, 6·S − 1 (as SoftmaxSquare
/// has it for a row); S products and sums of HS values.
int64_t CachedHead(int64_t S, int64_t HS) {
  return CheckedMul(S, CheckedAdd(CheckedMul(int64_t{4}, HS), int64_t{5})) - 1;
}

/// One row of C elements. A sum of C terms is C − 1 additions.
int64_t NormRow(const ModelConfig& config, int64_t C) {
  if (config.norm == Norm::kRmsNorm) {
    // squares C, sum C − 1, mean 1, plus eps 1, sqrt 1, reciprocal 1, times rstd C, times gain C
    return CheckedAdd(CheckedMul(int64_t{4}, C), int64_t{3});
  }
  // sum C − 1, mean 1, minus mean C, squares C, sum C − 1, variance 1, plus eps 1, sqrt 1,
  // reciprocal 1, times rstd C, times gain C, plus bias C where there is one
  return CheckedAdd(CheckedMul(int64_t{config.has_norm_bias() ? 7 : 6}, C), int64_t{3});
}

/// One T×T square: a row that keeps n positions executes max n − 1, minus, scale and exp n each,
/// sum n − 1, reciprocal 1, times it n: 6·n − 1 in all. Row t keeps t + 1, or the window.
int64_t SoftmaxSquare(int64_t T, int64_t window) {
  const int64_t W = window > 0 ? std::min(window, T) : T;
  const int64_t twice_kept =
      CheckedMul(W, CheckedAdd(W, int64_t{1}) + CheckedMul(int64_t{2}, T - W));
  return CheckedMul(int64_t{3}, twice_kept) - T;
}

int64_t ActivationElement(Ffn ffn) {
  const int64_t gate = ffn.gated ? 1 : 0;  // ·up
  switch (ffn.activation) {
    case Activation::kGeluTanh: return 8 + gate;  // x², ·cubic, +linear, ·x, tanh, 1+, 0.5·x, ·
    case Activation::kGeluErf: return 5 + gate;   // x/√2, erf, 1+, 0.5·x, ·
    case Activation::kGeluSigmoid: return 4 + gate;  // −1.702·x, exp, 1+, ÷
    case Activation::kRelu: return 1 + gate;
    case Activation::kReluSquared: return 2 + gate;
    case Activation::kSilu: return 4 + gate;  // −x, exp, 1+, ÷
  }
  throw std::logic_error("no executed formula for this activation");
}

/// What a product executes beside its sums, which start from the bias, or for a residual from what
/// is added onto: the bias is then an addition of its own.
int64_t EpilogueElement(const ModelConfig& config, const Op& op) {
  switch (op.epilogue) {
    case OpEpilogue::kNone: return 0;
    case OpEpilogue::kActivation: return ActivationElement(config.ffn);
    case OpEpilogue::kResidual: return op.bias ? 1 : 0;
  }
  throw std::logic_error("no executed formula for this epilogue");
}

/// One element of the embedding: its multiplier, and the learned position unless a projection
/// comes first.
int64_t EmbeddingElement(const ModelConfig& config) {
  const bool adds =
      config.position == Position::kLearned && config.embedded_size() == config.d_model;
  return (adds ? 1 : 0) + (config.embedding_multiplier != 1 ? 1 : 0);
}

/// One row of queries and keys, each head (or all heads of a kind together) normed by itself.
int64_t QkNormRow(const ModelConfig& config) {
  const int64_t NH = config.num_heads, NKV = config.num_kv_heads, HS = config.head_size();
  if (config.qk_norm == QkNorm::kRow) {
    return CheckedAdd(NormRow(config, CheckedMul(NH, HS)), NormRow(config, CheckedMul(NKV, HS)));
  }
  return CheckedMul(CheckedAdd(NH, NKV), NormRow(config, HS));
}

/// One block of m×n (or one product) of `op`.
std::optional<int64_t> Block(const ModelConfig& config, const RunShape& shape, const Op& op,
                             const KernelFacts& facts) {
  const int64_t elements = CheckedMul(op.m, op.n);
  switch (op.kind) {
    case OpKind::kEmbedding: return CheckedMul(EmbeddingElement(config), elements);
    case OpKind::kQkNorm: return CheckedMul(op.m, QkNormRow(config));
    case OpKind::kNorm: return CheckedMul(op.m, NormRow(config, op.n));
    case OpKind::kMatmul: {
      const auto product = WeightProduct(op.m, op.n, op.k, facts);
      if (!product) return std::nullopt;
      const bool adds_positions =
          op.id == OpId::kEmbeddingProjection && config.position == Position::kLearned;
      const int64_t after = EpilogueElement(config, op) + (adds_positions ? 1 : 0);
      return CheckedAdd(*product, CheckedMul(after, elements));
    }
    case OpKind::kAttentionScores:
    case OpKind::kAttentionValues: return HeadProduct(op.m, op.n, op.k, facts);
    case OpKind::kAttention:
      return shape.past > 0 ? CachedHead(Attended(op.n - 1, op.window), op.k)
                            : FusedHead(op.m, op.k, op.window, facts);
    case OpKind::kRope: return CheckedMul(int64_t{3}, elements);
    case OpKind::kAttentionSoftmax: return SoftmaxSquare(op.m, op.window);
    case OpKind::kActivation: return CheckedMul(ActivationElement(config.ffn), elements);
    case OpKind::kResidual:
      return CheckedMul(int64_t{config.residual_multiplier == 1 ? 1 : 2}, elements);
    case OpKind::kAllReduce: return CostOfAllReduce(elements, shape.shard).additions;
    case OpKind::kLogitsGather: return 0;
    case OpKind::kRouting:
    case OpKind::kCombine: break;  // not executed
  }
  throw std::logic_error("no executed formula for this op");
}

std::string ProductNote(const Op& op, bool by_eigen, const KernelFacts& facts) {
  if (by_eigen && op.m > 1 && op.n > 1) {
    const int64_t blocks = CeilDiv(op.k, facts.k_block);
    return "Eigen adds alpha·accumulator onto y for each of " + std::to_string(blocks) +
           (blocks == 1 ? " K-block" : " K-blocks");
  }
  const int64_t padding = CeilDiv(op.n, std::max<int64_t>(1, facts.panel)) * facts.panel - op.n;
  if (!IsPacked(facts) || padding == 0) return "";
  return "the last panel is padded by " + std::to_string(padding) + " columns";
}

}  // namespace

std::optional<int64_t> ExecutedFlops(const ModelConfig& config, const RunShape& shape, const Op& op,
                                     const KernelFacts& facts) {
  const std::optional<int64_t> block = Block(config, shape, op, facts);
  if (!block) return std::nullopt;
  return CheckedMul(*block, TotalCount(op, shape));
}

std::string ExecutedNote(const ModelConfig& config, const Op& op, const KernelFacts& facts) {
  const bool eigen = facts.matmul == "eigen", packed = IsPacked(facts);
  switch (op.kind) {
    case OpKind::kMatmul: {
      std::string note = ProductNote(op, eigen, facts);
      if (op.epilogue == OpEpilogue::kNone) return note;
      note += note.empty() ? "" : "; ";
      return note + (op.epilogue == OpEpilogue::kActivation ? "the activation is within"
                                                            : "the residual is within");
    }
    case OpKind::kAttentionScores:
    case OpKind::kAttentionValues: return ProductNote(op, eigen || packed, facts);
    case OpKind::kAttention:
      return op.window > 0
                 ? "tiles that the mask or the window drops are skipped; online softmax; padded "
                   "queries"
                 : "causal tiles are skipped; online softmax; padded queries";
    case OpKind::kEmbedding:
      return config.position == Position::kLearned ? "positions are added" : "";
    case OpKind::kQkNorm:
    case OpKind::kNorm: return "sums, variance, scaling; no matrix product";
    case OpKind::kRope: return "four products and two sums for each pair";
    case OpKind::kAttentionSoftmax: return "max, exp, sum and scaling of the kept positions";
    case OpKind::kActivation: return "elementwise; no matrix product";
    case OpKind::kResidual:
      return config.residual_multiplier == 1 ? "one addition for each element"
                                             : "a product and an addition for each element";
    case OpKind::kAllReduce: return "the additions of the sum over ranks";
    case OpKind::kLogitsGather: return "";
    case OpKind::kRouting:
    case OpKind::kCombine: break;  // not executed
  }
  throw std::logic_error("no note for this op");
}

}  // namespace flopledger
