#include "model/ops.h"

#include <algorithm>
#include <optional>

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
    {OpId::kEmbeddingProjection, "embedding_projection", OpKind::kMatmul, false},
    {OpId::kEmbeddingNorm, "embedding_norm", OpKind::kNorm, false},
    {OpId::kAttentionNorm, "attention_norm", OpKind::kNorm, true},
    {OpId::kAttentionQkv, "attention_qkv", OpKind::kMatmul, true},
    {OpId::kQueryDown, "query_down", OpKind::kMatmul, true},
    {OpId::kQueryNorm, "query_norm", OpKind::kNorm, true},
    {OpId::kQueryUp, "query_up", OpKind::kMatmul, true},
    {OpId::kKvDown, "kv_down", OpKind::kMatmul, true},
    {OpId::kKvNorm, "kv_norm", OpKind::kNorm, true},
    {OpId::kKvUp, "kv_up", OpKind::kMatmul, true},
    {OpId::kQkNorm, "qk_norm", OpKind::kQkNorm, true},
    {OpId::kRope, "rope", OpKind::kRope, true},
    {OpId::kAttentionScores, "attention_scores", OpKind::kAttentionScores, true},
    {OpId::kAttentionSoftmax, "attention_softmax", OpKind::kAttentionSoftmax, true},
    {OpId::kAttentionValues, "attention_values", OpKind::kAttentionValues, true},
    {OpId::kAttention, "attention", OpKind::kAttention, true},
    {OpId::kAttentionOut, "attention_out", OpKind::kMatmul, true},
    {OpId::kAttentionAllReduce, "attention_all_reduce", OpKind::kAllReduce, true},
    {OpId::kAttentionPostNorm, "attention_post_norm", OpKind::kNorm, true},
    {OpId::kAttentionResidual, "attention_residual", OpKind::kResidual, true},
    {OpId::kFfnNorm, "ffn_norm", OpKind::kNorm, true},
    {OpId::kFfnGate, "ffn_gate", OpKind::kMatmul, true},
    {OpId::kFfnUp, "ffn_up", OpKind::kMatmul, true},
    {OpId::kFfnActivation, "ffn_activation", OpKind::kActivation, true},
    {OpId::kFfnDown, "ffn_down", OpKind::kMatmul, true},
    {OpId::kRouter, "router", OpKind::kMatmul, true},
    {OpId::kRouting, "routing", OpKind::kRouting, true},
    {OpId::kExpertGate, "expert_gate", OpKind::kMatmul, true},
    {OpId::kExpertUp, "expert_up", OpKind::kMatmul, true},
    {OpId::kExpertActivation, "expert_activation", OpKind::kActivation, true},
    {OpId::kExpertDown, "expert_down", OpKind::kMatmul, true},
    {OpId::kExpertCombine, "expert_combine", OpKind::kCombine, true},
    {OpId::kSharedGate, "shared_gate", OpKind::kMatmul, true},
    {OpId::kSharedUp, "shared_up", OpKind::kMatmul, true},
    {OpId::kSharedActivation, "shared_activation", OpKind::kActivation, true},
    {OpId::kSharedDown, "shared_down", OpKind::kMatmul, true},
    {OpId::kSharedScale, "shared_scale", OpKind::kMatmul, true},
    {OpId::kSharedCombine, "shared_combine", OpKind::kCombine, true},
    {OpId::kFfnAllReduce, "ffn_all_reduce", OpKind::kAllReduce, true},
    {OpId::kFfnPostNorm, "ffn_post_norm", OpKind::kNorm, true},
    {OpId::kFfnResidual, "ffn_residual", OpKind::kResidual, true},
    {OpId::kFinalNorm, "final_norm", OpKind::kNorm, false},
    {OpId::kHeadProjection, "head_projection", OpKind::kMatmul, false},
    {OpId::kLmHead, "lm_head", OpKind::kMatmul, false},
    {OpId::kScoreHead, "score_head", OpKind::kMatmul, false},
    {OpId::kLogitsGather, "logits_gather", OpKind::kLogitsGather, false},
};

constexpr bool TableIsInOrder() {
  int expected = 0;
  for (const OpRow& row : kOpTable) {
    if (static_cast<int>(row.id) != expected++) return false;
  }
  return expected == kNumOpIds;
}
static_assert(TableIsInOrder());

const OpRow& RowOf(OpId id) { return kOpTable[static_cast<int>(id)]; }

/// The ops of one layer in the order of execution, whatever the model has of them.
std::vector<OpId> LayerOrder(const ModelConfig& config) {
  using enum OpId;
  const auto last_of_half = [&](OpId post_norm, OpId residual) {
    return config.norm_placement == NormPlacement::kAfterResidual
               ? std::vector{residual, post_norm}
               : std::vector{post_norm, residual};
  };
  std::vector<OpId> order{kAttentionNorm};
  // Both halves of a parallel block read the stream as it was before the block.
  if (config.is_parallel()) order.push_back(kFfnNorm);
  order.insert(order.end(), {kAttentionQkv, kQueryDown, kQueryNorm, kQueryUp, kKvDown, kKvNorm,
                             kKvUp, kQkNorm, kRope, kAttentionScores, kAttentionSoftmax,
                             kAttentionValues, kAttention, kAttentionOut, kAttentionAllReduce});
  for (const OpId id : last_of_half(kAttentionPostNorm, kAttentionResidual)) order.push_back(id);
  if (!config.is_parallel()) order.push_back(kFfnNorm);
  order.insert(order.end(),
               {kFfnGate, kFfnUp, kFfnActivation, kFfnDown, kRouter, kRouting, kExpertGate,
                kExpertUp, kExpertActivation, kExpertDown, kExpertCombine, kSharedGate, kSharedUp,
                kSharedActivation, kSharedDown, kSharedScale, kSharedCombine, kFfnAllReduce});
  for (const OpId id : last_of_half(kFfnPostNorm, kFfnResidual)) order.push_back(id);
  return order;
}

/// Makes the ops of one pass, one at a time.
class OpMaker {
 public:
  OpMaker(const ModelConfig& config, const RunShape& shape)
      : config_(config), shape_(shape), rows_(CheckedMul(shape.batch, shape.context)) {}

  /// The op `id` of a layer of `kind`, or none where the model (or the run) has no such op.
  std::optional<Op> Make(OpId id, const LayerKind& kind) const {
    const OpKind op_kind = RowOf(id).kind;
    if (op_kind == OpKind::kMatmul) return Product(id, kind);
    if (op_kind == OpKind::kNorm) return NormOp(id);
    if (op_kind == OpKind::kActivation) return ActivationOp(id, kind);
    return Other(id, kind);
  }

 private:
  Op Elementwise(OpId id, int64_t m, int64_t n, int64_t blocks = 1) const {
    return {id, RowOf(id).kind, RowOf(id).per_layer, m, n, 0, blocks};
  }

  Op Weight(OpId id, int64_t m, int64_t n, int64_t k, bool bias) const {
    return {id, OpKind::kMatmul, RowOf(id).per_layer, m, n, k, 1, bias};
  }

  static std::optional<Op> When(bool present, const Op& op) {
    return present ? std::optional(op) : std::nullopt;
  }

  std::optional<Op> NormOp(OpId id) const {
    using enum OpId;
    const NormPlacement placement = config_.norm_placement;
    const bool before = placement == NormPlacement::kBefore || placement == NormPlacement::kBoth;
    const LatentAttention& latent = config_.latent;
    int64_t n = config_.d_model;
    bool present = false;
    switch (id) {
      case kEmbeddingNorm: present = config_.embedding_norm; break;
      case kAttentionNorm: present = before; break;
      case kFfnNorm: present = before && config_.block != BlockOrder::kParallel; break;
      case kAttentionPostNorm: present = placement != NormPlacement::kBefore; break;
      case kFfnPostNorm:
        present = placement != NormPlacement::kBefore && config_.block != BlockOrder::kParallel;
        break;
      case kFinalNorm: present = config_.final_norm; break;
      case kQueryNorm: present = latent.kv_rank > 0 && latent.q_rank > 0, n = latent.q_rank; break;
      case kKvNorm: present = latent.kv_rank > 0, n = latent.kv_rank; break;
      default: break;
    }
    if (!present) return std::nullopt;
    return Elementwise(id, rows_, n);
  }

  /// Products with a weight.
  std::optional<Op> Product(OpId id, const LayerKind& kind) const {
    if (id >= OpId::kRouter && id <= OpId::kSharedScale) return ExpertProduct(id, kind);
    std::optional<Op> op = DenseProduct(id, kind);
    if (!op || !shape_.fused_epilogues) return op;
    if (id == OpId::kFfnUp) op->epilogue = OpEpilogue::kActivation;
    if ((id == OpId::kAttentionOut || id == OpId::kFfnDown) && FusesResiduals()) {
      op->epilogue = OpEpilogue::kResidual;
    }
    return op;
  }

  std::optional<Op> DenseProduct(OpId id, const LayerKind& kind) const {
    using enum OpId;
    const int64_t C = config_.d_model, F = config_.d_ff, NH = config_.num_heads,
                  E = config_.embedded_size();
    const LatentAttention& latent = config_.latent;
    const bool is_latent = latent.kv_rank > 0, dense = !kind.experts;
    const Biases& biases = config_.biases;
    switch (id) {
      case kEmbeddingProjection: return When(E != C, Weight(id, rows_, C, E, false));
      case kAttentionQkv: return When(!is_latent, Weight(id, rows_, QkvSize(), C, biases.qkv));
      case kQueryDown:
        return When(is_latent && latent.q_rank > 0,
                    Weight(id, rows_, latent.q_rank, C, biases.qkv));
      case kQueryUp:
        return When(is_latent, Weight(id, rows_, CheckedMul(NH, config_.head_size()),
                                      latent.q_rank > 0 ? latent.q_rank : C, false));
      case kKvDown:
        return When(is_latent, Weight(id, rows_, latent.kv_rank + latent.rope, C, biases.qkv));
      case kKvUp:
        return When(is_latent, Weight(id, rows_, CheckedMul(NH, latent.nope + latent.value),
                                      latent.kv_rank, false));
      case kAttentionOut:
        return Weight(id, rows_, C, CheckedMul(NH, config_.value_size()), biases.attention_out);
      case kFfnGate:
        return When(dense && config_.has_gate(), Weight(id, rows_, F, C, biases.ffn_up));
      case kFfnUp: return When(dense, Weight(id, rows_, F, C, biases.ffn_up));
      case kFfnDown: return When(dense, Weight(id, rows_, C, F, biases.ffn_down));
      case kHeadProjection: return When(E != C, Weight(id, rows_, E, C, false));
      case kLmHead:
        return When(config_.head == Head::kLm,
                    Weight(id, rows_, config_.outputs(), E, biases.lm_head));
      case kScoreHead:
        return When(config_.head == Head::kScore,
                    Weight(id, shape_.batch, config_.num_labels, E, false));
      default: return std::nullopt;
    }
  }

  std::optional<Op> ExpertProduct(OpId id, const LayerKind& kind) const {
    using enum OpId;
    if (!kind.experts) return std::nullopt;
    const Experts& experts = config_.experts;
    const int64_t C = config_.d_model, F = experts.d_ff, S = experts.shared_d_ff;
    const int64_t routed = CheckedMul(rows_, experts.per_token);
    const bool gate = config_.has_gate(), up = config_.biases.ffn_up,
               down = config_.biases.ffn_down;
    switch (id) {
      case kRouter: return Weight(id, rows_, experts.count, C, experts.router_bias);
      case kExpertGate: return When(gate, Weight(id, routed, F, C, up));
      case kExpertUp: return Weight(id, routed, F, C, up);
      case kExpertDown: return Weight(id, routed, C, F, down);
      case kSharedGate: return When(S > 0 && gate, Weight(id, rows_, S, C, up));
      case kSharedUp: return When(S > 0, Weight(id, rows_, S, C, up));
      case kSharedDown: return When(S > 0, Weight(id, rows_, C, S, down));
      case kSharedScale: return When(S > 0 && experts.shared_gate, Weight(id, rows_, 1, C, false));
      default: return std::nullopt;
    }
  }

  std::optional<Op> ActivationOp(OpId id, const LayerKind& kind) const {
    const Experts& experts = config_.experts;
    if (id == OpId::kFfnActivation) {
      if (kind.experts || shape_.fused_epilogues) return std::nullopt;
      return Elementwise(id, rows_, config_.d_ff);
    }
    if (!kind.experts) return std::nullopt;
    if (id == OpId::kExpertActivation) {
      return Elementwise(id, CheckedMul(rows_, experts.per_token), experts.d_ff);
    }
    if (experts.shared_d_ff == 0) return std::nullopt;
    return Elementwise(id, rows_, experts.shared_d_ff);
  }

  std::optional<Op> Other(OpId id, const LayerKind& kind) const {
    using enum OpId;
    const int64_t C = config_.d_model;
    const Experts& experts = config_.experts;
    switch (id) {
      case kEmbedding: return Elementwise(id, rows_, config_.embedded_size());
      case kQkNorm:
        if (config_.qk_norm == QkNorm::kNone) return std::nullopt;
        return Elementwise(id, rows_, CheckedMul(QueryAndKeyHeads(), config_.head_size()));
      case kRope:
        if (config_.position != Position::kRope || !kind.rope) return std::nullopt;
        return Elementwise(id, rows_, CheckedMul(QueryAndKeyHeads(), config_.rotated_size()));
      case kAttentionScores:
      case kAttentionSoftmax:
      case kAttentionValues:
      case kAttention: return AttentionOp(id, kind);
      case kAttentionResidual:
        if (shape_.fused_epilogues && FusesResiduals()) return std::nullopt;
        return Elementwise(id, rows_, C);
      case kFfnResidual:
        if (shape_.fused_epilogues && FusesResiduals() && !kind.experts) return std::nullopt;
        return Elementwise(id, rows_, C);
      case kRouting:
        if (!kind.experts) return std::nullopt;
        return Elementwise(id, rows_, experts.count);
      case kExpertCombine:
        if (!kind.experts) return std::nullopt;
        return Elementwise(id, CheckedMul(rows_, experts.per_token), C);
      case kSharedCombine:
        if (!kind.experts || experts.shared_d_ff == 0) return std::nullopt;
        return Elementwise(id, rows_, C);
      case kAttentionAllReduce:
      case kFfnAllReduce: return When(!shape_.shard.is_whole(), Elementwise(id, rows_, C));
      case kLogitsGather:
        return When(!shape_.shard.is_whole() && shape_.gathers_logits && config_.head == Head::kLm,
                    Elementwise(id, rows_, config_.vocab_size));
      default: return std::nullopt;
    }
  }

  std::optional<Op> AttentionOp(OpId id, const LayerKind& kind) const {
    const bool in_one = shape_.fused_attention || shape_.past > 0;
    if (in_one != (id == OpId::kAttention)) return std::nullopt;
    const int64_t T = shape_.context, HS = config_.head_size(), S = CheckedAdd(shape_.past, T);
    const bool is_values = id == OpId::kAttentionValues;
    Op op = Elementwise(id, T, is_values ? config_.value_size() : S,
                        CheckedMul(shape_.batch, config_.num_heads));
    if (id != OpId::kAttentionSoftmax) op.k = is_values ? S : HS;
    if (kind.window < S) op.window = kind.window;  // a longer one hides nothing
    return op;
  }

  /// Products add onto the stream where nothing stands between them and the residual.
  bool FusesResiduals() const {
    return config_.norm_placement == NormPlacement::kBefore && config_.residual_multiplier == 1 &&
           shape_.shard.is_whole();
  }

  int64_t QkvSize() const {
    return CheckedMul(CheckedAdd(config_.num_heads, CheckedMul(int64_t{2}, config_.num_kv_heads)),
                      config_.head_size());
  }

  /// Heads that are normed and rotated; latent attention has one rotated key for all heads.
  int64_t QueryAndKeyHeads() const {
    return CheckedAdd(config_.num_heads,
                      config_.latent.kv_rank > 0 ? int64_t{1} : config_.num_kv_heads);
  }

  const ModelConfig& config_;
  const RunShape& shape_;
  int64_t rows_;
};

/// The op `id` of every kind of layer: alike ops once, with the kinds and the number of layers.
void AddLayerOps(const ModelConfig& config, const RunShape& shape, const OpMaker& maker, OpId id,
                 std::vector<Op>& ops) {
  const std::size_t first = ops.size();
  const auto kinds = static_cast<int32_t>(config.layer_kinds.size());
  for (int32_t kind = 0; kind < kinds; ++kind) {
    const int64_t layers = config.LayersOfKind(kind, shape.num_layers);
    std::optional<Op> op = layers > 0
                               ? maker.Make(id, config.layer_kinds[static_cast<std::size_t>(kind)])
                               : std::nullopt;
    if (!op) continue;
    op->kinds = 0, op->layers = 0;
    const auto alike = std::find_if(ops.begin() + static_cast<std::ptrdiff_t>(first), ops.end(),
                                    [&](const Op& other) {
                                      Op same = other;
                                      same.kinds = 0, same.layers = 0;
                                      return same == *op;
                                    });
    Op& target = alike != ops.end() ? *alike : ops.emplace_back(*op);
    target.kinds |= 1u << kind;
    target.layers += layers;
  }
  for (std::size_t i = first; i < ops.size(); ++i) {
    if (ops[i].layers == shape.num_layers) ops[i].kinds = ~0u, ops[i].layers = -1;
  }
}

}  // namespace

std::string_view Op::name() const { return RowOf(id).name; }

std::string_view KindName(OpKind kind) {
  switch (kind) {
    case OpKind::kEmbedding: return "embedding";
    case OpKind::kNorm: return "norm";
    case OpKind::kQkNorm: return "qk_norm";
    case OpKind::kMatmul: return "matmul";
    case OpKind::kRope: return "rope";
    case OpKind::kAttentionScores: return "attention_scores";
    case OpKind::kAttentionSoftmax: return "attention_softmax";
    case OpKind::kAttentionValues: return "attention_values";
    case OpKind::kAttention: return "attention";
    case OpKind::kActivation: return "activation";
    case OpKind::kResidual: return "residual";
    case OpKind::kRouting: return "routing";
    case OpKind::kCombine: return "combine";
    case OpKind::kAllReduce: return "all_reduce";
    case OpKind::kLogitsGather: return "logits_gather";
  }
  return "";
}

std::vector<Op> ForwardOps(const ModelConfig& config, const RunShape& shape) {
  using enum OpId;
  const OpMaker maker(config, shape);
  std::vector<Op> ops;
  const auto add_once = [&](std::initializer_list<OpId> ids) {
    for (const OpId id : ids) {
      if (const auto op = maker.Make(id, LayerKind{})) ops.push_back(*op);
    }
  };
  add_once({kEmbedding, kEmbeddingProjection, kEmbeddingNorm});
  for (const OpId id : LayerOrder(config)) AddLayerOps(config, shape, maker, id, ops);
  add_once({kFinalNorm, kHeadProjection, kLmHead, kScoreHead, kLogitsGather});
  return ops;
}

RunShape DecodeStep(const RunShape& prompt, int64_t i) {
  RunShape step = prompt;
  step.context = 1;
  step.past = CheckedAdd(prompt.context, i);
  return step;
}

int64_t Executions(const Op& op, const RunShape& shape) {
  if (!op.per_layer) return 1;
  return op.layers < 0 ? shape.num_layers : op.layers;
}

int64_t TotalCount(const Op& op, const RunShape& shape) {
  return CheckedMul(op.products, Executions(op, shape));
}

}  // namespace flopledger
