#include "analysis/accounting/accounting.h"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "model/checked.h"

namespace flopledger {
namespace {

constexpr int64_t kBytesPerFloat = 4;

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
  // negate; exp; plus 1; divide; times up
  static constexpr int64_t kSwiglu = 5;
  // four products and two sums for each pair of elements
  static constexpr int64_t kRope = 3;
};

int64_t ActivationCost(Ffn ffn) {
  switch (ffn) {
    case Ffn::kGeluTanh: return ElementCosts::kGeluTanh;
    case Ffn::kGeluErf: return ElementCosts::kGeluErf;
    case Ffn::kRelu: return ElementCosts::kRelu;
    case Ffn::kSwiglu: return ElementCosts::kSwiglu;
  }
  NoFormula("this activation");
}

/// FLOPs of an m×n block of an op that is no product.
int64_t ElementwiseFlops(const ModelConfig& config, const Op& op) {
  const int64_t elements = CheckedMul(op.m, op.n);
  switch (op.kind) {
    case OpKind::kEmbedding: return config.position == Position::kLearned ? elements : 0;
    case OpKind::kNorm: {
      const int64_t bias = config.has_norm_bias() ? 1 : 0;
      return CheckedMul(elements, config.norm == Norm::kRmsNorm ? ElementCosts::kRmsNorm
                                                                : ElementCosts::kLayerNorm + bias);
    }
    case OpKind::kRope: return CheckedMul(elements, ElementCosts::kRope);
    case OpKind::kAttentionSoftmax: return CheckedMul(elements, ElementCosts::kSoftmax);
    case OpKind::kActivation: return CheckedMul(elements, ActivationCost(config.ffn));
    case OpKind::kResidual: return elements;
    case OpKind::kMatmul:
    case OpKind::kAttentionScores:
    case OpKind::kAttentionValues:
    case OpKind::kAttention: break;
  }
  NoFormula(op.name());
}

bool IsHeadProduct(OpKind kind) {
  return kind == OpKind::kAttentionScores || kind == OpKind::kAttentionValues;
}

/// Attention in one op is its three parts: for one head, scores and values are alike. T new
/// positions meet S = past + T; the mask keeps all of the past and T(T+1)/2 of the new ones.
int64_t OneOpAttentionFlops(const Op& op, Convention convention) {
  const int64_t T = op.m, S = op.n, HS = op.k;
  if (convention == Convention::kCausal) {
    const int64_t twice_kept =
        CheckedAdd(CheckedMul(int64_t{2}, T, S - T), CheckedMul(T, CheckedAdd(T, int64_t{1})));
    return CheckedMul(int64_t{2}, twice_kept, HS);
  }
  const int64_t products = CheckedMul(int64_t{4}, T, S, HS);
  if (convention != Convention::kAll) return products;
  return CheckedAdd(products, CheckedMul(ElementCosts::kSoftmax, T, S));
}

/// FLOPs of one product (or one m×n block).
int64_t ProductFlops(const ModelConfig& config, const Op& op, Convention convention) {
  if (op.kind == OpKind::kAttention) return OneOpAttentionFlops(op, convention);
  if (op.kind != OpKind::kMatmul && !IsHeadProduct(op.kind)) {
    return convention == Convention::kAll ? ElementwiseFlops(config, op) : 0;
  }
  if (convention == Convention::kCausal && IsHeadProduct(op.kind)) {
    // T(T+1)/2 pairs, each a dot product over HS of 2·HS FLOPs. Scores are [T, HS]·[HS, T], values
    // [T, T]·[T, HS]: T is m in both, HS what is left.
    const int64_t T = op.m, HS = op.kind == OpKind::kAttentionScores ? op.k : op.n;
    return CheckedMul(T, CheckedAdd(T, int64_t{1}), HS);
  }
  const int64_t product = CheckedMul(int64_t{2}, op.m, op.n, op.k);
  if (convention != Convention::kAll) return product;
  int64_t beside = op.bias ? 1 : 0;  // for each element of the output
  if (op.epilogue == OpEpilogue::kActivation) beside += ActivationCost(config.ffn);
  if (op.epilogue == OpEpilogue::kResidual) beside += 1;
  return CheckedAdd(product, CheckedMul(beside, op.m, op.n));
}

/// Components of FLOPs, in the order in which they are printed.
constexpr std::string_view kFlopComponents[] = {
    "attention_qkv", "attention_scores", "attention_values",  "attention_out", "ffn",
    "lm_head",       "embedding",        "attention_softmax", "norms",         "rope",
    "residual"};

std::string_view ComponentOf(OpId id) {
  switch (id) {
    case OpId::kEmbedding: return "embedding";
    case OpId::kAttentionNorm:
    case OpId::kFfnNorm:
    case OpId::kFinalNorm: return "norms";
    case OpId::kAttentionQkv: return "attention_qkv";
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
    case OpId::kLmHead: return "lm_head";
  }
  NoFormula("this op");
}

/// The component of FLOPs to which the rule of thumb charges a component of parameters.
std::string_view FlopComponentOfParameters(std::string_view name) {
  return name == "token_embedding" || name == "position_embedding" ? "embedding" : name;
}

void AddTo(Breakdown& breakdown, std::string_view name, int64_t value) {
  const auto found = std::ranges::find(breakdown.components, name, &NamedCount::name);
  if (found == breakdown.components.end()) NoFormula(name);
  found->value = CheckedAdd(found->value, value);
  breakdown.total = CheckedAdd(breakdown.total, value);
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
  return CheckedMul(ProductFlops(config, op, convention), TotalCount(op, shape));
}

int64_t OpBytes(const ModelConfig& config, const RunShape& shape, const Op& op) {
  const int64_t elements = CheckedMul(op.m, op.n);
  const int64_t executions = op.per_layer ? shape.num_layers : 1;
  // Grouped queries share keys and values: NKV of them are read for NH products.
  const int64_t kv_blocks = op.products / config.num_heads * config.num_kv_heads;
  int64_t floats = 0;  // of one execution
  switch (op.kind) {
    case OpKind::kEmbedding:
      floats = CheckedMul(int64_t{2}, elements);
      if (config.position == Position::kLearned) {
        floats = CheckedAdd(floats, CheckedMul(shape.context, config.d_model));
      }
      break;
    case OpKind::kNorm:
      floats =
          CheckedAdd(CheckedMul(int64_t{2}, elements), (config.has_norm_bias() ? 2 : 1) * op.n);
      break;
    case OpKind::kMatmul:
      floats = CheckedAdd(CheckedMul(op.m, op.k), CheckedMul(op.k, op.n), elements,
                          op.bias ? op.n : int64_t{0});
      if (op.epilogue == OpEpilogue::kResidual ||
          (op.epilogue == OpEpilogue::kActivation && config.has_gate())) {
        floats = CheckedAdd(floats, elements);  // the stream, or the gate, is read
      }
      break;
    case OpKind::kRope:
      floats = CheckedAdd(CheckedMul(int64_t{2}, elements),
                          CheckedMul(shape.context, config.head_size()));
      break;
    case OpKind::kAttentionScores:
      floats = CheckedAdd(CheckedMul(op.products, CheckedAdd(CheckedMul(op.m, op.k), elements)),
                          CheckedMul(kv_blocks, op.n, op.k));
      break;
    case OpKind::kAttentionSoftmax: floats = CheckedMul(int64_t{2}, op.products, elements); break;
    case OpKind::kAttentionValues:
      floats = CheckedAdd(CheckedMul(op.products, CheckedAdd(CheckedMul(op.m, op.k), elements)),
                          CheckedMul(kv_blocks, op.k, op.n));
      break;
    case OpKind::kAttention:  // queries in and outputs out for each head, keys and values shared
      floats = CheckedMul(CheckedMul(int64_t{2}, op.k),
                          CheckedAdd(CheckedMul(op.products, op.m), CheckedMul(kv_blocks, op.n)));
      // Those of new positions are written into the cache as well.
      if (shape.past > 0) {
        floats = CheckedAdd(floats, CheckedMul(int64_t{2}, kv_blocks, op.m, op.k));
      }
      break;
    case OpKind::kActivation:
      floats = CheckedMul(int64_t{config.has_gate() ? 3 : 2}, elements);
      break;
    case OpKind::kResidual: floats = CheckedMul(int64_t{3}, elements); break;
  }
  return CheckedMul(kBytesPerFloat, floats, executions);
}

Breakdown CountParameters(const ModelConfig& config) {
  const int64_t L = config.num_layers, C = config.d_model, F = config.d_ff,
                Q = CheckedMul(CheckedAdd(config.num_heads, 2 * config.num_kv_heads),
                               config.head_size());
  const int64_t table = CheckedMul(config.vocab_size, C);
  const int64_t positions =
      config.position == Position::kLearned ? CheckedMul(config.context_length, C) : 0;
  const auto linear = [&](int64_t inputs, int64_t outputs) {
    return CheckedAdd(CheckedMul(inputs, outputs), config.bias ? outputs : int64_t{0});
  };
  const int64_t up = CheckedMul(int64_t{config.has_gate() ? 2 : 1}, linear(C, F));
  const int64_t norms = CheckedAdd(CheckedMul(int64_t{2}, L), int64_t{config.final_norm ? 1 : 0});

  Breakdown params;
  params.components = {
      {"token_embedding", table},
      {"position_embedding", positions},
      {"attention_qkv", CheckedMul(L, linear(C, Q))},
      {"attention_out", CheckedMul(L, linear(C, C))},
      {"ffn", CheckedMul(L, CheckedAdd(up, linear(F, C)))},
      {"norms", CheckedMul(norms, int64_t{config.has_norm_bias() ? 2 : 1}, C)},
      {"lm_head", config.tie_embeddings ? 0 : table},
  };
  for (const NamedCount& component : params.components) {
    params.total = CheckedAdd(params.total, component.value);
  }
  return params;
}

Breakdown CountFlops(const ModelConfig& config, const RunShape& shape, Convention convention) {
  Breakdown flops;
  for (const std::string_view name : kFlopComponents) flops.components.push_back({name, 0});
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

MemoryFigures CountMemory(const ModelConfig& config, const RunShape& shape) {
  const int64_t B = shape.batch, T = shape.context, L = shape.num_layers, C = config.d_model,
                HS = config.head_size();
  const int64_t rows = CheckedMul(B, T);
  const int64_t qkv = CheckedMul(CheckedAdd(config.num_heads, 2 * config.num_kv_heads), HS);
  const int64_t scores = shape.fused_attention ? 0 : CheckedMul(config.num_heads, T);
  const int64_t ffn = CheckedMul(int64_t{config.has_gate() ? 2 : 1}, config.d_ff);
  const int64_t in_layer = CheckedAdd(C, std::max(CheckedAdd(qkv, scores), ffn));
  const int64_t row_floats =
      CheckedAdd(CheckedMul(int64_t{2}, C), std::max(in_layer, config.vocab_size));
  const int64_t rope = config.position == Position::kRope ? CheckedMul(T, HS) : 0;

  ModelConfig as_run = config;
  as_run.num_layers = L;
  MemoryFigures memory;
  memory.weights_bytes = CheckedMul(kBytesPerFloat, CountParameters(as_run).total);
  memory.activation_bytes =
      CheckedMul(kBytesPerFloat, CheckedAdd(CheckedMul(rows, row_floats), rope));
  memory.kv_cache_bytes =
      CheckedMul(kBytesPerFloat, int64_t{2}, L, rows, CheckedMul(config.num_kv_heads, HS));
  return memory;
}

RunShape WholePass(const ModelConfig& config, int64_t context, int64_t batch) {
  return {.context = context, .batch = batch, .num_layers = config.num_layers};
}

}  // namespace flopledger
