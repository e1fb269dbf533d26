#include "analysis/audit/quantities.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <stdexcept>

namespace flopledger {
namespace {

Factor Number(int64_t value) { return {std::to_string(value), value, false}; }

Factor Summed(Factor factor) {
  factor.summed = true;
  return factor;
}

/// A term with a name of its own, or named by what it multiplies.
Term Product(std::string name, std::vector<Factor> factors) {
  return {std::move(name), std::move(factors), "", false};
}
Term Times(std::vector<Factor> factors, const std::string& of) {
  return {of, std::move(factors), of, false};
}
Term Outsider(std::vector<Factor> factors, const std::string& of) {
  return {of, std::move(factors), of, true};
}

std::string Join(const Term& term) {
  std::vector<std::string> parts;
  for (const Factor& factor : term.factors) parts.push_back(factor.symbol);
  if (!term.of.empty()) parts.push_back(term.of);
  return parts.empty() ? "1" : fmt::format("{}", fmt::join(parts, "·"));
}

}  // namespace

Exact Product(const std::vector<Factor>& factors) {
  Exact product = 1;
  for (const Factor& factor : factors) product *= factor.value;
  return product;
}

std::string Quantity::Formula() const {
  std::vector<std::string> parts;
  for (const Term& term : terms) {
    if (!term.elementwise_only) parts.push_back(Join(term));
  }
  return parts.empty() ? "0" : fmt::format("{}", fmt::join(parts, " + "));
}

Catalogue::Catalogue(const ModelConfig& config, const RunShape& shape, Convention convention) {
  symbols_ = {{"B", shape.batch},         {"T", shape.context},     {"L", shape.num_layers},
              {"C", config.d_model},      {"NH", config.num_heads}, {"NKV", config.num_kv_heads},
              {"HS", config.head_size()}, {"F", config.d_ff},       {"V", config.vocab_size}};
  constexpr std::pair<const char*, const char*> kSizes[] = {
      {"vocab_size", "V"},     {"num_layers", "L"}, {"d_model", "C"},
      {"num_heads", "NH"},     {"head_size", "HS"}, {"d_ff", "F"},
      {"num_kv_heads", "NKV"}, {"context", "T"},    {"batch", "B"}};
  for (const auto& [name, symbol] : kSizes) {
    Add(fmt::format("size.{}.model", name), Unit::kPlain, "the model's own size",
        {Product(name, {S(symbol)})});
  }
  AddParameters(config);
  AddFlops(config, shape, convention);
  AddMemory(config);
  AddShares();
}

Factor Catalogue::S(std::string_view symbol) const {
  return *std::ranges::find(symbols_, symbol, &Factor::symbol);
}

const Quantity* Catalogue::Find(std::string_view name) const {
  for (const Quantity& quantity : quantities_) {
    if (quantity.name == name || quantity.name == fmt::format("{}.model", name)) return &quantity;
  }
  return nullptr;
}

std::vector<std::string> Catalogue::names() const {
  std::vector<std::string> names;
  for (const Quantity& quantity : quantities_) names.push_back(quantity.name);
  return names;
}

void Catalogue::Add(std::string name, Unit unit, std::string meaning, std::vector<Term> terms) {
  Quantity quantity{std::move(name), unit, std::move(meaning), std::move(terms), 0};
  for (const Term& term : quantity.terms) {
    if (term.elementwise_only) continue;
    const Quantity* of = term.of.empty() ? nullptr : Find(term.of);
    if (!term.of.empty() && of == nullptr) throw std::logic_error("no quantity " + term.of);
    quantity.value += Product(term.factors) * (of == nullptr ? Exact(1) : of->value);
  }
  quantities_.push_back(std::move(quantity));
}

std::vector<Term> Catalogue::Flatten(const Quantity& quantity) const {
  std::vector<Term> flat;
  for (const Term& term : quantity.terms) {
    if (term.elementwise_only) continue;
    if (term.of.empty()) {
      flat.push_back(term);
      continue;
    }
    for (Term inner : Flatten(*Find(term.of))) {
      inner.factors.insert(inner.factors.begin(), term.factors.begin(), term.factors.end());
      flat.push_back(std::move(inner));
    }
  }
  return flat;
}

void Catalogue::AddParameters(const ModelConfig& config) {
  constexpr Unit kUnit = Unit::kParameters;
  const bool grouped = config.num_kv_heads != config.num_heads;
  const Factor C = S("C"), HS = S("HS"), NH = S("NH"), NKV = S("NKV"), F = S("F"), L = S("L");
  const auto biased = [&](std::vector<Term> terms, std::vector<Term> biases) {
    if (config.bias) terms.insert(terms.end(), biases.begin(), biases.end());
    return terms;
  };
  Add("params.token_embedding.model", kUnit, "the table of token vectors",
      {Product("token embedding", {S("V"), C})});
  Add("params.position_embedding.model", kUnit, "the table of position vectors, where learned",
      config.position == Position::kLearned
          ? std::vector<Term>{Product("position embedding",
                                      {{"context_length", config.context_length}, C})}
          : std::vector<Term>{});
  Add("params.attention_matrix.head", kUnit, "one of a head's Q, K, V matrices, without bias",
      {Product("one matrix of a head", {C, HS})});
  Add("params.attention_qkv.head", kUnit, "a head's own Q, K and V, biases with them",
      biased({Times({Number(3)}, "params.attention_matrix.head")},
             {Product("biases of Q, K and V", {Number(3), HS})}));
  Add("params.attention_qkv.block", kUnit, "Q, K and V of all heads of a block",
      grouped ? biased({Times({NH}, "params.attention_matrix.head"),
                        Times({Number(2), NKV}, "params.attention_matrix.head")},
                       {Product("biases of Q", {NH, HS}),
                        Product("biases of K and V", {Number(2), NKV, HS})})
              : std::vector<Term>{Times({NH}, "params.attention_qkv.head")});
  Add("params.attention_out.block", kUnit, "the output projection",
      biased({Product("output projection", {C, C})}, {Product("its bias", {C})}));
  Add("params.ffn_matrix.block", kUnit, "one matrix of the FFN, without bias",
      {Product("one FFN matrix", {C, F})});
  const int64_t ups = config.has_gate() ? 2 : 1;
  Add("params.ffn.block", kUnit, "the FFN: up (and gate) and down",
      biased({Times({Number(ups + 1)}, "params.ffn_matrix.block")},
             {Product("biases of up", {Number(ups), F}), Product("bias of down", {C})}));
  const int64_t vectors = config.has_norm_bias() ? 2 : 1;
  std::vector<Factor> norm{C};
  if (vectors == 2) norm.insert(norm.begin(), Number(2));
  std::vector<Factor> norms = norm;
  norms.insert(norms.begin(), Number(2));
  Add("params.norms.block", kUnit, "a block's two norms", {Product("two norms", norms)});
  Add("params.final_norm.model", kUnit, "the norm after the last block",
      config.final_norm ? std::vector<Term>{Product("final norm", norm)} : std::vector<Term>{});
  Add("params.total.block", kUnit, "all of a block",
      {Times({}, "params.attention_qkv.block"), Times({}, "params.attention_out.block"),
       Times({}, "params.ffn.block"), Times({}, "params.norms.block")});
  for (const char* part : {"attention_qkv", "attention_out", "ffn"}) {
    Add(fmt::format("params.{}.model", part), kUnit, "the same, of all blocks",
        {Times({L}, fmt::format("params.{}.block", part))});
  }
  Add("params.norms.model", kUnit, "all norms",
      {Times({L}, "params.norms.block"), Times({}, "params.final_norm.model")});
  Add("params.stack.model", kUnit, "all blocks", {Times({L}, "params.total.block")});
  Add("params.lm_head.model", kUnit, "the matrix of the logits; 0 where tied to the embedding",
      config.tie_embeddings ? std::vector<Term>{}
                            : std::vector<Term>{Product("logits' matrix", {S("V"), C})});
  Add("params.total.model", kUnit, "the whole model",
      {Times({}, "params.token_embedding.model"), Times({}, "params.position_embedding.model"),
       Times({}, "params.stack.model"), Times({}, "params.final_norm.model"),
       Times({}, "params.lm_head.model")});
}

void Catalogue::AddFlops(const ModelConfig& config, const RunShape& shape, Convention convention) {
  constexpr Unit kUnit = Unit::kFlops;
  const bool grouped = config.num_kv_heads != config.num_heads;
  const bool causal = convention == Convention::kCausal;
  const Factor B = S("B"), T = S("T"), C = S("C"), HS = S("HS"), NH = S("NH"), NKV = S("NKV"),
               F = S("F"), L = S("L"), two = Number(2);
  const Factor half_square{"(T+1)/2", Exact(shape.context + 1) / 2};
  const Factor other = causal ? half_square : T;

  // What is no product has figures only under `all`; elsewhere it is an outsider that hands add.
  RunShape one_layer = shape;
  one_layer.num_layers = 1;
  one_layer.fused_attention = one_layer.fused_epilogues = false;
  std::vector<Term> outside_block, in_block, in_model;
  for (const Op& op : ForwardOps(config, one_layer)) {
    const bool product = op.kind == OpKind::kMatmul || op.kind == OpKind::kAttentionScores ||
                         op.kind == OpKind::kAttentionValues;
    const int64_t all = OpFlops(config, one_layer, op, Convention::kAll);
    const int64_t besides =
        product ? all - OpFlops(config, one_layer, op, Convention::kMatmul) : all;
    if (besides == 0) continue;
    const std::string what = product ? fmt::format("{}_bias", op.name()) : std::string(op.name());
    const std::string name = fmt::format("flops.{}.{}", what, op.per_layer ? "block" : "model");
    Add(name, kUnit,
        convention == Convention::kAll ? "elementwise; no matrix product"
                                       : "elementwise, no matrix product: 0 in this convention",
        convention == Convention::kAll
            ? std::vector<Term>{Product(std::string(op.name()), {{what, besides}})}
            : std::vector<Term>{});
    if (convention == Convention::kAll) {
      (op.per_layer ? in_block : in_model).push_back(Times({}, name));
    } else if (op.per_layer) {
      outside_block.push_back(Outsider({}, name));
      outside_block.push_back(Outsider({NH}, name));
    }
  }

  Add("flops.attention_matrix.head", kUnit, "one of a head's Q, K, V products",
      {Product("one product of a head", {two, B, T, Summed(C), HS})});
  Add("flops.attention_qkv.head", kUnit, "a head's own Q, K and V",
      {Times({Number(3)}, "flops.attention_matrix.head")});
  Add("flops.attention_scores.head", kUnit, "a head's q·kᵀ",
      {Product("scores", {two, B, T, other, Summed(HS)})});
  Add("flops.attention_values.head", kUnit, "a head's weighted sum of its values",
      {Product("weighted sum", {two, B, T, Summed(other), HS})});
  std::vector<Term> heads{Times({}, "flops.attention_qkv.head"),
                          Times({}, "flops.attention_scores.head"),
                          Times({}, "flops.attention_values.head")};
  std::vector<Term> of_head = heads;
  for (const Term& term : outside_block) {
    if (term.factors.empty()) of_head.push_back(term);
  }
  Add("flops.attention_heads.head", kUnit, "all products of one head", of_head);
  Add("flops.attention_qkv.block", kUnit, "Q, K and V of all heads of a block",
      grouped ? std::vector<Term>{Times({NH}, "flops.attention_matrix.head"),
                                  Times({two, NKV}, "flops.attention_matrix.head")}
              : std::vector<Term>{Times({NH}, "flops.attention_qkv.head")});
  Add("flops.attention_scores.block", kUnit, "q·kᵀ of all heads",
      {Times({NH}, "flops.attention_scores.head")});
  Add("flops.attention_values.block", kUnit, "the weighted sums of all heads",
      {Times({NH}, "flops.attention_values.head")});
  std::vector<Term> of_heads{Times({}, "flops.attention_qkv.block"),
                             Times({}, "flops.attention_scores.block"),
                             Times({}, "flops.attention_values.block")};
  of_heads.insert(of_heads.end(), outside_block.begin(), outside_block.end());
  Add("flops.attention_heads.block", kUnit,
      "all products of a block's heads, without the output projection", of_heads);
  Add("flops.attention_out.block", kUnit, "the output projection",
      {Product("output projection", {two, B, T, Summed(C), C})});
  Add("flops.attention.block", kUnit, "attention with its output projection",
      {Times({}, "flops.attention_heads.block"), Times({}, "flops.attention_out.block")});
  Add("flops.ffn_matrix.block", kUnit, "one product of the FFN",
      {Product("one FFN product", {two, B, T, Summed(C), F})});
  Add("flops.ffn.block", kUnit, "the FFN: up (and gate) and down",
      {Times({Number(config.has_gate() ? 3 : 2)}, "flops.ffn_matrix.block")});
  std::vector<Term> block{Times({}, "flops.attention_heads.block"),
                          Times({}, "flops.attention_out.block"), Times({}, "flops.ffn.block")};
  block.insert(block.end(), in_block.begin(), in_block.end());
  block.insert(block.end(), outside_block.begin(), outside_block.end());
  Add("flops.total.block", kUnit, "all products of a block", block);
  for (const char* part : {"attention_qkv", "attention_scores", "attention_values",
                           "attention_heads", "attention_out", "attention", "ffn"}) {
    Add(fmt::format("flops.{}.model", part), kUnit, "the same, of all blocks",
        {Times({L}, fmt::format("flops.{}.block", part))});
  }
  Add("flops.stack.model", kUnit, "all blocks", {Times({L}, "flops.total.block")});
  Add("flops.lm_head.model", kUnit, "the logits",
      {Product("logits", {two, B, T, Summed(C), S("V")})});
  std::vector<Term> model{Times({}, "flops.stack.model"), Times({}, "flops.lm_head.model")};
  model.insert(model.end(), in_model.begin(), in_model.end());
  Add("flops.total.model", kUnit, "one forward pass", model);
  Add("flops.rule_of_thumb.model", kUnit, "2·parameters·tokens (Kaplan et al. 2020, section 2.1)",
      {Times({two, B, T}, "params.total.model")});
  Add("flops.training.model", kUnit, "forward and backward: three forward passes",
      {Times({Number(3)}, "flops.total.model")});
  Add("flops.6nd.model", kUnit, "6·parameters·tokens (Kaplan et al. 2020, section 2.1)",
      {Times({Number(6), B, T}, "params.total.model")});
}

void Catalogue::AddMemory(const ModelConfig& config) {
  constexpr Unit kUnit = Unit::kBytes;
  const Factor four = Number(4);
  Add("memory.weights.model", kUnit, "the weights in fp32", {Times({four}, "params.total.model")});
  Add("memory.gradients.model", kUnit, "the gradients in fp32",
      {Times({four}, "params.total.model")});
  Add("memory.moments.model", kUnit, "AdamW's two moments in fp32",
      {Times({Number(2), four}, "params.total.model")});
  Add("memory.training_state.model", kUnit, "weights, gradients and moments in fp32",
      {Times({}, "memory.weights.model"), Times({}, "memory.gradients.model"),
       Times({}, "memory.moments.model")});
  Add("memory.kv_cache_token.model", kUnit, "keys and values of one token, fp32",
      {Product("KV cache of a token", {Number(2), four, S("L"), S("NKV"), S("HS")})});
  Add("memory.kv_cache.model", kUnit, "keys and values at this context, fp32",
      {Times({S("B"), S("T")}, "memory.kv_cache_token.model")});
  AddTrainingMemory(config);
}

/// The list of Stanford CS336, assignment 1 (adamwAccounting), as analysis/accounting/training has
/// it.
void Catalogue::AddTrainingMemory(const ModelConfig& config) {
  const Factor B = S("B"), T = S("T"), L = S("L"), C = S("C"), NH = S("NH"), two = Number(2);
  std::vector<Term> kept;
  const auto in_block = [&](const char* name, std::vector<Factor> floats) {
    floats.insert(floats.begin(), {Number(4), B, L});
    kept.push_back(Product(name, std::move(floats)));
  };
  in_block("two norms", {two, T, C});
  in_block("queries", {T, NH, S("HS")});
  in_block("keys and values", {two, T, S("NKV"), S("HS")});
  in_block("scores", {NH, T, T});
  in_block("softmax", {NH, T, T});
  in_block("weighted sums", {T, C});
  in_block("output projection", {T, C});
  in_block("FFN up", {T, S("F")});
  in_block("FFN activation", {T, S("F")});
  in_block("FFN down", {T, C});
  if (config.final_norm) kept.push_back(Product("final norm", {Number(4), B, T, C}));
  kept.push_back(Product("logits", {Number(4), B, T, S("V")}));
  kept.push_back(Product("cross-entropy", {Number(4), B, T, S("V")}));
  Add("memory.training_activations.model", Unit::kBytes,
      "what training keeps for the backward pass (the list of CS336, assignment 1), fp32",
      std::move(kept));
  Add("memory.training.model", Unit::kBytes, "AdamW's state and the activations, fp32",
      {Times({}, "memory.training_state.model"), Times({}, "memory.training_activations.model")});
}

void Catalogue::AddShares() {
  const auto add = [&](std::string_view of, const std::vector<std::string>& parts) {
    const Exact total = Find(fmt::format("{}.total.model", of))->value;
    for (const std::string& part : parts) {
      const Exact value = Find(fmt::format("{}.{}.model", of, part))->value;
      Add(fmt::format("share.{}.{}.model", of, part), Unit::kPercent,
          fmt::format("{}.{} of {}.total, in %", of, part, of),
          {Product("share",
                   {Number(100), {fmt::format("{}.{}/{}.total", of, part, of), value / total}})});
    }
  };
  add("params", {"token_embedding", "position_embedding", "attention_qkv", "attention_out", "ffn",
                 "norms", "lm_head"});
  add("flops",
      {"attention_qkv", "attention_scores", "attention_values", "attention_out", "ffn", "lm_head"});
}

}  // namespace flopledger
