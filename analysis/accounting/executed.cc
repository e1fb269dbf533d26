#include "analysis/accounting/executed.h"

#include <algorithm>
#include <stdexcept>

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

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

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

/// One head of fused attention. A tile of `queries` lanes sees the keys up to its last query, in
/// blocks: for each key and lane, 2·HS for the score, 4 for max, minus, exp and sum, 2·HS for the
/// value; for each block and lane, minus, exp and a product for the past sum, HS products for the
/// past output; for each lane, HS products that scale the query, a reciprocal, and HS products that
/// divide the output.
int64_t FusedHead(int64_t T, int64_t HS, const KernelFacts& facts) {
  const int64_t lanes = facts.queries;
  int64_t keys = 0, blocks = 0;
  for (int64_t first = 0; first < T; first += lanes) {
    const int64_t kept = std::min(T, first + lanes);
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

/// One T×T square: row t keeps t + 1 positions and executes max t, minus, scale and exp t + 1 each,
/// sum t, reciprocal 1, times it t + 1: 6(t + 1) − 1 in all.
int64_t SoftmaxSquare(int64_t T) {
  return CheckedMul(int64_t{3}, T, CheckedAdd(T, int64_t{1})) - T;
}

int64_t ActivationElement(Ffn ffn) {
  switch (ffn) {
    case Ffn::kGeluTanh: return 8;  // x², ·cubic, +linear, ·x, tanh, 1+, 0.5·x, ·
    case Ffn::kGeluErf: return 5;   // x/√2, erf, 1+, 0.5·x, ·
    case Ffn::kRelu: return 1;
    case Ffn::kSwiglu: return 5;  // −gate, exp, 1+, ÷, ·up
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

/// One block of m×n (or one product) of `op`.
std::optional<int64_t> Block(const ModelConfig& config, const RunShape& shape, const Op& op,
                             const KernelFacts& facts) {
  const int64_t elements = CheckedMul(op.m, op.n);
  switch (op.kind) {
    case OpKind::kEmbedding: return config.position == Position::kLearned ? elements : 0;
    case OpKind::kNorm: return CheckedMul(op.m, NormRow(config, op.n));
    case OpKind::kMatmul: {
      const auto product = WeightProduct(op.m, op.n, op.k, facts);
      if (!product) return std::nullopt;
      return CheckedAdd(*product, CheckedMul(EpilogueElement(config, op), elements));
    }
    case OpKind::kAttentionScores:
    case OpKind::kAttentionValues: return HeadProduct(op.m, op.n, op.k, facts);
    case OpKind::kAttention:
      return shape.past > 0 ? CachedHead(op.n, op.k) : FusedHead(op.m, op.k, facts);
    case OpKind::kRope: return CheckedMul(int64_t{3}, elements);
    case OpKind::kAttentionSoftmax: return SoftmaxSquare(op.m);
    case OpKind::kActivation: return CheckedMul(ActivationElement(config.ffn), elements);
    case OpKind::kResidual: return elements;
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
    case OpKind::kAttention: return "causal tiles are skipped; online softmax; padded queries";
    case OpKind::kEmbedding:
      return config.position == Position::kLearned ? "positions are added" : "";
    case OpKind::kNorm: return "sums, variance, scaling; no matrix product";
    case OpKind::kRope: return "four products and two sums for each pair";
    case OpKind::kAttentionSoftmax: return "max, exp, sum and scaling of the kept positions";
    case OpKind::kActivation: return "elementwise; no matrix product";
    case OpKind::kResidual: return "one addition for each element";
  }
  throw std::logic_error("no note for this op");
}

}  // namespace flopledger
