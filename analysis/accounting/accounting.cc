#include "analysis/accounting/accounting.h"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "analysis/accounting/collectives.h"
#include "analysis/accounting/parameters.h"
#include "model/checked.h"

namespace flopledger {
namespace {

constexpr ConventionInfo kConventions[] = {
    {Convention::kMatmul, "matmul",
     "2·M·N·K for each matrix product, attention over the full T×T square; nothing else",
     "Stanford CS336 assignment 1; PaLM (Chowdhery et al. 2022) appendix B without the embedding"},
    {Convention::kCausal, "causal",
     "as matmul, but attention counts only the T(T+1)/2 pairs that the causal mask keeps",
     "Dao 2023 (FlashAttention-2), section 4.1, with the diagonal counted"},
    {Convention::kAll, "all",
     "matmul plus biases, norms, softmax, activations, RoPE, residuals and position adds, each at "
     "its cost per element; exp, tanh, erf, sqrt and division count as one",
     "the formulas of the kernels' sources (LayerNorm, RMSNorm, GELU, SwiGLU, RoPE papers)"},
    {Convention::kRuleOfThumb, "rule-of-thumb",
     "2·parameters·tokens: each parameter multiplies and adds once a token; no attention scores",
     "Kaplan et al. 2020, section 2.1"},
};

/// A fault in the program: a kind of op for which a formula is missing.
[[noreturn]] void NoFormula(std::string_view what) {
  throw std::logic_error("no formula for " + std::string(what));
}

/// FLOPs an element under `all`, and what they are. Transcendentals count as one.
struct ElementCosts {
  // sum; minus mean; square and sum; times rstd; times gain (plus bias, added where there is one)
  static constexpr int64_t kLayerNorm = 6;
  // square and sum; times rstd; times gain
  static constexpr int64_t kRmsNorm = 4;
  // max; minus max; times scale; exp; sum; divide
  static constexpr int64_t kSoftmax = 6;
  // x·x; times b; plus a; times x; tanh; plus 1; 0.5·x; product
  static constexpr int64_t kGeluTanh = 8;
  // x/√2; erf; plus 1; 0.5·x; product
  static constexpr int64_t kGeluErf = 5;
  static constexpr int64_t kRelu = 1;
  static constexpr int64_t kReluSquared = 2;
  // negate; exp; plus 1; divide
  static constexpr int64_t kSilu = 4;
  // times 1.702; then as SiLU
  static constexpr int64_t kGeluSigmoid = 5;
  // four products and two sums for each pair of elements
  static constexpr int64_t kRope = 3;
  // times slope; plus score
  static constexpr int64_t kAlibi = 2;
  // divide; tanh; times
  static constexpr int64_t kSoftcap = 3;
  // negate; exp; plus 1; divide
  static constexpr int64_t kSigmoid = 4;
  // max; minus max; exp; sum; divide
  static constexpr int64_t kRouterSoftmax = 5;
};

int64_t ActivationCost(const ModelConfig& config) {
  const Ffn ffn = config.ffn;
  // times up; a clamped one multiplies its argument and adds 1 to up besides
  const int64_t gate = (ffn.gated ? 1 : 0) + (config.ffn_limit != 0 ? 2 : 0);
  switch (ffn.activation) {
    case Activation::kGeluTanh: return ElementCosts::kGeluTanh + gate;
    case Activation::kGeluErf: return ElementCosts::kGeluErf + gate;
    case Activation::kGeluSigmoid: return ElementCosts::kGeluSigmoid + gate;
    case Activation::kRelu: return ElementCosts::kRelu + gate;
    case Activation::kReluSquared: return ElementCosts::kReluSquared + gate;
    case Activation::kSilu: return ElementCosts::kSilu + gate;
  }
  NoFormula("this activation");
}

/// FLOPs of a norm for each element; 1 + gain is taken to be computed once.
int64_t NormCost(const ModelConfig& config, bool bias) {
  const int64_t base =
      config.norm == Norm::kRmsNorm ? ElementCosts::kRmsNorm : ElementCosts::kLayerNorm;
  return base - (config.norm_gain == NormGain::kNone ? 1 : 0) + (bias ? 1 : 0);
}

int64_t SoftmaxCost(const ModelConfig& config) {
  return ElementCosts::kSoftmax + (config.position == Position::kAlibi ? ElementCosts::kAlibi : 0) +
         (config.attention_softcap != 0 ? ElementCosts::kSoftcap : 0);
}

/// FLOPs of an m×n block of an op that is no product.
int64_t ElementwiseFlops(const ModelConfig& config, const Op& op) {
  const int64_t elements = CheckedMul(op.m, op.n);
  switch (op.kind) {
    case OpKind::kEmbedding:
      return CheckedMul(elements, int64_t{config.position == Position::kLearned} +
                                      int64_t{config.embedding_multiplier != 1});
    case OpKind::kNorm: return CheckedMul(elements, NormCost(config, config.biases.norm));
    case OpKind::kQkNorm: return CheckedMul(elements, NormCost(config, config.biases.qk_norm));
    case OpKind::kRope: return CheckedMul(elements, ElementCosts::kRope);
    case OpKind::kAttentionSoftmax: return CheckedMul(elements, SoftmaxCost(config));
    case OpKind::kActivation: return CheckedMul(elements, ActivationCost(config));
    case OpKind::kResidual:
      return CheckedMul(elements, int64_t{1} + int64_t{config.residual_multiplier != 1});
    case OpKind::kRouting:
      return CheckedMul(elements, config.experts.router_sigmoid ? ElementCosts::kSigmoid
                                                                : ElementCosts::kRouterSoftmax);
    case OpKind::kCombine: {
      const bool unweighted = op.id == OpId::kSharedCombine && !config.experts.shared_gate;
      return CheckedMul(elements, unweighted ? int64_t{1} : int64_t{2});
    }
    case OpKind::kMatmul:
    case OpKind::kAttentionScores:
    case OpKind::kAttentionValues:
    case OpKind::kAttention:
    case OpKind::kAllReduce:
    case OpKind::kLogitsGather: break;
  }
  NoFormula(op.name());
}

bool IsHeadProduct(OpKind kind) {
  return kind == OpKind::kAttentionScores || kind == OpKind::kAttentionValues;
}

/// Pairs of a query and a key that the mask keeps: query i of T, at position past + i, sees
/// min(past + i + 1, window) keys.
int64_t KeptPairs(int64_t T, int64_t past, int64_t window) {
  const int64_t growing = window > 0 ? std::clamp(window - past, int64_t{0}, T) : T;
  // The sum of past + 1 … past + growing; of two neighbours one is even.
  const int64_t triangle = growing % 2 == 0
                               ? CheckedMul(growing / 2, CheckedAdd(growing, int64_t{1}))
                               : CheckedMul(growing, (growing + 1) / 2);
  return CheckedAdd(CheckedMul(growing, past), triangle, CheckedMul(T - growing, window));
}

/// Attention in one op is its three parts: for one head, scores and values are alike. T new
/// positions meet S = past + T.
int64_t OneOpAttentionFlops(const ModelConfig& config, const Op& op, Convention convention) {
  const int64_t T = op.m, S = op.n, sizes = CheckedAdd(op.k, config.value_size());
  if (convention == Convention::kCausal) {
    return CheckedMul(int64_t{2}, KeptPairs(T, S - T, op.window), sizes);
  }
  const int64_t products = CheckedMul(int64_t{2}, T, S, sizes);
  if (convention != Convention::kAll) return products;
  return CheckedAdd(products, CheckedMul(SoftmaxCost(config), T, S));
}

/// FLOPs of one product (or one m×n block).
int64_t ProductFlops(const ModelConfig& config, const Op& op, Convention convention) {
  if (op.kind == OpKind::kAttention) return OneOpAttentionFlops(config, op, convention);
  if (op.kind != OpKind::kMatmul && !IsHeadProduct(op.kind)) {
    return convention == Convention::kAll ? ElementwiseFlops(config, op) : 0;
  }
  if (convention == Convention::kCausal && IsHeadProduct(op.kind)) {
    // Each pair kept is a dot product over a head's elements. Scores are [T, HS]·[HS, T], values
    // [T, T]·[T, HS]: T is m in both, HS what is left.
    const int64_t size = op.kind == OpKind::kAttentionScores ? op.k : op.n;
    return CheckedMul(int64_t{2}, KeptPairs(op.m, 0, op.window), size);
  }
  const int64_t product = CheckedMul(int64_t{2}, op.m, op.n, op.k);
  if (convention != Convention::kAll) return product;
  int64_t beside = op.bias ? 1 : 0;  // for each element of the output
  if (op.epilogue == OpEpilogue::kActivation) beside += ActivationCost(config);
  if (op.epilogue == OpEpilogue::kResidual) beside += 1;
  if (op.id == OpId::kLmHead) {
    beside += config.logit_multiplier != 1 ? 1 : 0;
    beside += config.logit_softcap != 0 ? ElementCosts::kSoftcap : 0;
  }
  return CheckedAdd(product, CheckedMul(beside, op.m, op.n));
}

/// Components of FLOPs, in the order in which they are printed: the contract's, and after them
/// those that are there where the model has them.
constexpr std::string_view kFlopComponents[] = {
    "attention_qkv", "attention_scores", "attention_values",  "attention_out", "ffn",
    "lm_head",       "embedding",        "attention_softmax", "norms",         "rope",
    "residual"};
constexpr std::string_view kParameterComponents[] = {
    "token_embedding", "position_embedding", "attention_qkv", "attention_out", "ffn", "norms",
    "lm_head"};

std::string_view ComponentOf(OpId id) {
  switch (id) {
    case OpId::kEmbedding: return "embedding";
    case OpId::kEmbeddingProjection:
    case OpId::kHeadProjection: return "embedding_projection";
    case OpId::kEmbeddingNorm:
    case OpId::kAttentionNorm:
    case OpId::kAttentionPostNorm:
    case OpId::kQueryNorm:
    case OpId::kKvNorm:
    case OpId::kQkNorm:
    case OpId::kFfnNorm:
    case OpId::kFfnPostNorm:
    case OpId::kFinalNorm: return "norms";
    case OpId::kAttentionQkv:
    case OpId::kQueryDown:
    case OpId::kQueryUp:
    case OpId::kKvDown:
    case OpId::kKvUp: return "attention_qkv";
    case OpId::kRope: return "rope";
    case OpId::kAttentionScores: return "attention_scores";
    case OpId::kAttentionSoftmax: return "attention_softmax";
    case OpId::kAttentionValues: return "attention_values";
    case OpId::kAttention: break;  // components are counted on the list that keeps it in parts
    case OpId::kAttentionOut: return "attention_out";
    case OpId::kAttentionResidual:
    case OpId::kFfnResidual: return "residual";
    case OpId::kFfnGate:
    case OpId::kFfnUp:
    case OpId::kFfnActivation:
    case OpId::kFfnDown: return "ffn";
    case OpId::kRouter:
    case OpId::kRouting: return "router";
    case OpId::kExpertGate:
    case OpId::kExpertUp:
    case OpId::kExpertActivation:
    case OpId::kExpertDown:
    case OpId::kExpertCombine: return "experts";
    case OpId::kSharedGate:
    case OpId::kSharedUp:
    case OpId::kSharedActivation:
    case OpId::kSharedDown:
    case OpId::kSharedScale:
    case OpId::kSharedCombine: return "shared_experts";
    case OpId::kLmHead: return "lm_head";
    case OpId::kScoreHead: return "score_head";
    case OpId::kAttentionAllReduce:
    case OpId::kFfnAllReduce: return "all_reduce";
    case OpId::kLogitsGather: return "logits_gather";
  }
  NoFormula("this op");
}

/// The component of FLOPs to which the rule of thumb charges a component of parameters.
std::string_view FlopComponentOfParameters(std::string_view name) {
  if (name == "attention_sinks") return "attention_softmax";
  return name == "token_embedding" || name == "position_embedding" ? "embedding" : name;
}

/// Adds to a component, which is appended if it is none of the contract's.
void AddTo(Breakdown& breakdown, std::string_view name, int64_t value) {
  const auto found = std::ranges::find(breakdown.components, name, &NamedCount::name);
  if (found == breakdown.components.end()) {
    breakdown.components.push_back({name, value});
  } else {
    found->value = CheckedAdd(found->value, value);
  }
  breakdown.total = CheckedAdd(breakdown.total, value);
}

template <std::size_t n>
Breakdown EmptyBreakdown(const std::string_view (&names)[n]) {
  Breakdown breakdown;
  for (const std::string_view name : names) breakdown.components.push_back({name, 0});
  return breakdown;
}

/// Of the routed experts' matrices, those that are read: each row is at one expert.
int64_t WeightsRead(const ModelConfig& config, const Op& op) {
  const bool routed =
      op.id == OpId::kExpertGate || op.id == OpId::kExpertUp || op.id == OpId::kExpertDown;
  const int64_t matrices = routed ? std::min(op.m, config.experts.count) : 1;
  return CheckedMul(matrices, CheckedAdd(CheckedMul(op.k, op.n), op.bias ? op.n : int64_t{0}));
}

}  // namespace

std::span<const ConventionInfo> Conventions() { return kConventions; }

const ConventionInfo& InfoOf(Convention convention) {
  return *std::ranges::find(kConventions, convention, &ConventionInfo::value);
}

Convention ParseConvention(std::string_view name) {
  const auto found = std::ranges::find(kConventions, name, &ConventionInfo::name);
  if (found != std::end(kConventions)) return found->value;
  std::vector<std::string> names;
  for (const ConventionInfo& info : kConventions) names.emplace_back(info.name);
  throw InputError("unknown convention '" + std::string(name) + "'" + Suggest(name, names));
}

int64_t OpFlops(const ModelConfig& config, const RunShape& shape, const Op& op,
                Convention convention) {
  if (convention == Convention::kRuleOfThumb) NoFormula("a single op by the rule of thumb");
  if (op.kind == OpKind::kLogitsGather) return 0;
  if (op.kind == OpKind::kAllReduce) {
    if (convention != Convention::kAll) return 0;
    const AllReduceCost cost = CostOfAllReduce(CheckedMul(op.m, op.n), shape.shard);
    return CheckedMul(cost.additions, TotalCount(op, shape));
  }
  return CheckedMul(ProductFlops(config, op, convention), TotalCount(op, shape));
}

namespace {

/// Grouped queries share keys and values: NKV of them are read for NH products.
int64_t KvBlocks(const ModelConfig& config, const Op& op) {
  return op.products / config.num_heads * config.num_kv_heads;
}

/// Queries in and outputs out for each head, keys and values shared.
int64_t OneOpAttentionFloats(const ModelConfig& config, const RunShape& shape, const Op& op) {
  const int64_t sizes = CheckedAdd(op.k, config.value_size()), kv_blocks = KvBlocks(config, op);
  const int64_t floats =
      CheckedMul(sizes, CheckedAdd(CheckedMul(op.products, op.m), CheckedMul(kv_blocks, op.n)));
  if (shape.past == 0) return floats;
  // Those of new positions are written into the cache as well.
  return CheckedAdd(floats, CheckedMul(sizes, kv_blocks, op.m));
}

}  // namespace

int64_t OpBytes(const ModelConfig& config, const RunShape& shape, const Op& op) {
  const int64_t elements = CheckedMul(op.m, op.n);
  const int64_t kv_blocks = KvBlocks(config, op);
  const int64_t gain = config.norm_gain == NormGain::kNone ? 0 : 1;
  int64_t floats = 0;  // of one execution
  switch (op.kind) {
    case OpKind::kEmbedding:
      floats = CheckedMul(int64_t{2}, elements);
      if (config.position == Position::kLearned) {
        floats = CheckedAdd(floats, CheckedMul(shape.context, config.d_model));
      }
      break;
    case OpKind::kNorm:
      floats = CheckedAdd(CheckedMul(int64_t{2}, elements),
                          CheckedMul(gain + int64_t{config.has_norm_bias()}, op.n));
      break;
    case OpKind::kQkNorm: {
      const int64_t n = config.qk_norm == QkNorm::kHead ? 2 * config.head_size() : op.n;
      floats = CheckedAdd(CheckedMul(int64_t{2}, elements),
                          CheckedMul(gain + int64_t{config.biases.qk_norm}, n));
      break;
    }
    case OpKind::kMatmul:
      floats = CheckedAdd(CheckedMul(op.m, op.k), WeightsRead(config, op), elements);
      if (op.epilogue == OpEpilogue::kResidual ||
          (op.epilogue == OpEpilogue::kActivation && config.has_gate())) {
        floats = CheckedAdd(floats, elements);  // the stream, or the gate, is read
      }
      break;
    case OpKind::kRope:
      floats = CheckedAdd(CheckedMul(int64_t{2}, elements),
                          CheckedMul(shape.context, config.rotated_size()));
      break;
    case OpKind::kAttentionScores:
      floats = CheckedAdd(CheckedMul(op.products, CheckedAdd(CheckedMul(op.m, op.k), elements)),
                          CheckedMul(kv_blocks, op.n, op.k));
      break;
    case OpKind::kRouting:
    case OpKind::kAttentionSoftmax: floats = CheckedMul(int64_t{2}, op.products, elements); break;
    case OpKind::kAttentionValues:
      floats = CheckedAdd(CheckedMul(op.products, CheckedAdd(CheckedMul(op.m, op.k), elements)),
                          CheckedMul(kv_blocks, op.k, op.n));
      break;
    case OpKind::kAttention: floats = OneOpAttentionFloats(config, shape, op); break;
    case OpKind::kActivation:
      floats = CheckedMul(int64_t{config.has_gate() ? 3 : 2}, elements);
      break;
    case OpKind::kCombine:
    case OpKind::kResidual: floats = CheckedMul(int64_t{3}, elements); break;
    case OpKind::kAllReduce: floats = CostOfAllReduce(elements, shape.shard).sent; break;
    case OpKind::kLogitsGather: floats = SentOfLogitsGather(op.m, op.n, shape.shard); break;
  }
  return CheckedMul(kBytesPerFloat, floats, Executions(op, shape));
}

Breakdown CountParameters(const ModelConfig& config) {
  Breakdown params = EmptyBreakdown(kParameterComponents);
  for (const TensorGroup& group : TensorGroups(config)) {
    AddTo(params, group.component, CheckedMul(group.count, group.inputs, group.outputs));
  }
  return params;
}

int64_t CountActiveParameters(const ModelConfig& config) {
  int64_t active = 0;
  for (const TensorGroup& group : TensorGroups(config)) {
    active = CheckedAdd(active, CheckedMul(group.active, group.inputs, group.outputs));
  }
  return active;
}

Breakdown CountFlops(const ModelConfig& config, const RunShape& shape, Convention convention) {
  Breakdown flops = EmptyBreakdown(kFlopComponents);
  if (convention == Convention::kRuleOfThumb) {
    ModelConfig as_run = config;
    as_run.num_layers = shape.num_layers;
    const int64_t tokens = CheckedMul(shape.batch, shape.context);
    for (const NamedCount& params : CountParameters(as_run).components) {
      AddTo(flops, FlopComponentOfParameters(params.name),
            CheckedMul(int64_t{2}, params.value, tokens));
    }
    return flops;
  }
  RunShape in_parts = shape;
  in_parts.fused_attention = in_parts.fused_epilogues = false;
  for (const Op& op : ForwardOps(config, in_parts)) {
    AddTo(flops, ComponentOf(op.id), OpFlops(config, shape, op, convention));
  }
  return flops;
}

RunShape WholePass(const ModelConfig& config, int64_t context, int64_t batch) {
  return {.context = context, .batch = batch, .num_layers = config.num_layers};
}

}  // namespace flopledger
