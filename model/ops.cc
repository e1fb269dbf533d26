#include "model/ops.h"

#include "model/checked.h"

namespace flopledger {
namespace {

struct OpRow {
  OpId id;
  std::string_view name;
  OpKind kind;
  bool per_layer;
};
constexpr OpRow kOpTable[] = {
    {OpId::kEmbedding, "embedding", OpKind::kEmbedding, false},
    {OpId::kAttentionNorm, "attention_norm", OpKind::kNorm, true},
    {OpId::kAttentionQkv, "attention_qkv", OpKind::kMatmul, true},
    {OpId::kRope, "rope", OpKind::kRope, true},
    {OpId::kAttentionScores, "attention_scores", OpKind::kAttentionScores, true},
    {OpId::kAttentionSoftmax, "attention_softmax", OpKind::kAttentionSoftmax, true},
    {OpId::kAttentionValues, "attention_values", OpKind::kAttentionValues, true},
    {OpId::kAttention, "attention", OpKind::kAttention, true},
    {OpId::kAttentionOut, "attention_out", OpKind::kMatmul, true},
    {OpId::kAttentionResidual, "attention_residual", OpKind::kResidual, true},
    {OpId::kFfnNorm, "ffn_norm", OpKind::kNorm, true},
    {OpId::kFfnGate, "ffn_gate", OpKind::kMatmul, true},
    {OpId::kFfnUp, "ffn_up", OpKind::kMatmul, true},
    {OpId::kFfnActivation, "ffn_activation", OpKind::kActivation, true},
    {OpId::kFfnDown, "ffn_down", OpKind::kMatmul, true},
    {OpId::kFfnResidual, "ffn_residual", OpKind::kResidual, true},
    {OpId::kFinalNorm, "final_norm", OpKind::kNorm, false},
    {OpId::kLmHead, "lm_head", OpKind::kMatmul, false},
};

constexpr bool TableIsInOrder() {
  int expected = 0;
  for (const OpRow& row : kOpTable) {
    if (static_cast<int>(row.id) != expected++) return false;
  }
  return true;
}
static_assert(TableIsInOrder());

const OpRow& RowOf(OpId id) { return kOpTable[static_cast<int>(id)]; }

}  // namespace

std::string_view Op::name() const { return RowOf(id).name; }

std::string_view KindName(OpKind kind) {
  switch (kind) {
    case OpKind::kEmbedding: return "embedding";
    case OpKind::kNorm: return "norm";
    case OpKind::kMatmul: return "matmul";
    case OpKind::kRope: return "rope";
    case OpKind::kAttentionScores: return "attention_scores";
    case OpKind::kAttentionSoftmax: return "attention_softmax";
    case OpKind::kAttentionValues: return "attention_values";
    case OpKind::kAttention: return "attention";
    case OpKind::kActivation: return "activation";
    case OpKind::kResidual: return "residual";
  }
  return "";
}

std::vector<Op> ForwardOps(const ModelConfig& config, const RunShape& shape) {
  const int64_t T = shape.context, B = shape.batch, C = config.d_model, F = config.d_ff;
  const int64_t HS = config.head_size(), V = config.vocab_size;
  const int64_t rows = CheckedMul(B, T);
  const int64_t heads = CheckedMul(B, config.num_heads);
  const int64_t qkv = CheckedMul(CheckedAdd(config.num_heads, 2 * config.num_kv_heads), HS);
  const int64_t rotated = CheckedMul(CheckedAdd(config.num_heads, config.num_kv_heads), HS);

  std::vector<Op> ops;
  const auto elementwise = [&](OpId id, int64_t m, int64_t n, int64_t blocks = 1) {
    ops.push_back({id, RowOf(id).kind, RowOf(id).per_layer, m, n, 0, blocks});
  };
  const auto weight_product = [&](OpId id, int64_t n, int64_t k, bool bias) {
    ops.push_back({id, OpKind::kMatmul, RowOf(id).per_layer, rows, n, k, 1, bias});
  };
  const auto head_product = [&](OpId id, int64_t n, int64_t k) {
    ops.push_back({id, RowOf(id).kind, RowOf(id).per_layer, T, n, k, heads});
  };

  // What follows a product: within it, or an op of its own.
  const auto then = [&](OpId id, int64_t n, OpEpilogue epilogue) {
    if (shape.fused_epilogues) {
      ops.back().epilogue = epilogue;
    } else {
      elementwise(id, rows, n);
    }
  };

  elementwise(OpId::kEmbedding, rows, C);
  elementwise(OpId::kAttentionNorm, rows, C);
  weight_product(OpId::kAttentionQkv, qkv, C, config.bias);
  if (config.position == Position::kRope) elementwise(OpId::kRope, rows, rotated);
  if (shape.fused_attention || shape.past > 0) {
    head_product(OpId::kAttention, CheckedAdd(shape.past, T), HS);
  } else {
    head_product(OpId::kAttentionScores, T, HS);
    elementwise(OpId::kAttentionSoftmax, T, T, heads);
    head_product(OpId::kAttentionValues, HS, T);
  }
  weight_product(OpId::kAttentionOut, C, C, config.bias);
  then(OpId::kAttentionResidual, C, OpEpilogue::kResidual);
  elementwise(OpId::kFfnNorm, rows, C);
  if (config.has_gate()) weight_product(OpId::kFfnGate, F, C, config.bias);
  weight_product(OpId::kFfnUp, F, C, config.bias);
  then(OpId::kFfnActivation, F, OpEpilogue::kActivation);
  weight_product(OpId::kFfnDown, C, F, config.bias);
  then(OpId::kFfnResidual, C, OpEpilogue::kResidual);
  if (config.final_norm) elementwise(OpId::kFinalNorm, rows, C);
  weight_product(OpId::kLmHead, V, C, false);
  return ops;
}

RunShape DecodeStep(const RunShape& prompt, int64_t i) {
  RunShape step = prompt;
  step.context = 1;
  step.past = CheckedAdd(prompt.context, i);
  return step;
}

int64_t TotalCount(const Op& op, const RunShape& shape) {
  return CheckedMul(op.products, op.per_layer ? shape.num_layers : int64_t{1});
}

}  // namespace flopledger
