#include "analysis/audit/explain.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <stdexcept>

#include "analysis/audit/quantities.h"
#include "analysis/text/table.h"

namespace flopledger {
namespace {

/// Letters and their value, as one factor of a product.
struct Size {
  std::string letters;
  int64_t value = 0;
};

ExplainedLine ProductText(std::string name, std::string shape, const std::vector<Size>& sizes,
                          int64_t value) {
  std::vector<std::string> letters, numbers;
  for (const Size& size : sizes) {
    letters.push_back(size.letters);
    numbers.push_back(Grouped(size.value));
  }
  return {std::move(name), std::move(shape), fmt::format("{}", fmt::join(letters, " · ")),
          fmt::format("{}", fmt::join(numbers, " · ")), value};
}

/// A quantity of the catalogue down to its sizes: a sum of products.
ExplainedLine SumOfProducts(std::string name, const Catalogue& catalogue,
                            const Quantity& quantity) {
  std::vector<std::string> letters, numbers;
  for (const Term& term : catalogue.Flatten(quantity)) {
    std::vector<std::string> symbols, values;
    for (const Factor& factor : term.factors) {
      symbols.push_back(factor.symbol);
      values.push_back(Show(factor.value));
    }
    letters.push_back(fmt::format("{}", fmt::join(symbols, "·")));
    numbers.push_back(fmt::format("{}", fmt::join(values, "·")));
  }
  return {std::move(name), "",
          letters.empty() ? "none" : fmt::format("{}", fmt::join(letters, " + ")),
          letters.empty() ? "0" : fmt::format("{}", fmt::join(numbers, " + ")),
          quantity.value.convert_to<int64_t>()};
}

ExplainedLine Total(int64_t value) { return {"total", "", "the sum of these", "", value}; }

ExplainedSection Parameters(const ModelConfig& config, const Catalogue& catalogue) {
  ExplainedSection section{"parameters", "count", {}};
  const Breakdown params = CountParameters(config);
  for (const NamedCount& part : params.components) {
    const Quantity& quantity = *catalogue.Find(fmt::format("params.{}.model", part.name));
    section.lines.push_back(SumOfProducts(std::string(part.name), catalogue, quantity));
    if (part.name == "lm_head" && config.tie_embeddings) {
      section.lines.back().letters = "none: tied to the token embedding";
    }
  }
  section.lines.push_back(Total(params.total));
  return section;
}

ExplainedSection Memory(const ModelConfig& config, const RunShape& shape) {
  const MemoryFigures memory = CountMemory(config, shape);
  const int64_t T = shape.context, rows = shape.batch * T, HS = config.head_size();
  ExplainedSection section{"memory (fp32)", "bytes", {}};
  section.lines.push_back(ProductText(
      "weights", "", {{"4", 4}, {"P", CountParameters(config).total}}, memory.weights_bytes));
  const bool stored = !shape.fused_attention, rope = config.position == Position::kRope;
  const std::string gate = config.has_gate() ? "2·" : "";
  section.lines.push_back(
      {"activations", "",
       fmt::format("4 · (B·T · (2·C + max(C + max((NH+2·NKV)·HS{}, {}F), V)){})",
                   stored ? " + NH·T" : "", gate, rope ? " + T·HS" : ""),
       fmt::format("4 · ({} · ({} + max({} + max({}{}, {}), {})){})", Grouped(rows),
                   Grouped(2 * config.d_model), Grouped(config.d_model), Grouped(config.qkv_size()),
                   stored ? " + " + Grouped(config.num_heads * T) : "",
                   Grouped((config.has_gate() ? 2 : 1) * config.d_ff), Grouped(config.vocab_size),
                   rope ? " + " + Grouped(T * HS) : ""),
       memory.activation_bytes});
  section.lines.push_back(ProductText("KV cache", "",
                                      {{"2", 2},
                                       {"4", 4},
                                       {"L", shape.num_layers},
                                       {"B·T", rows},
                                       {"NKV·HS", config.num_kv_heads * HS}},
                                      memory.kv_cache_bytes));
  return section;
}

/// Letters of what one product (or block of m×n) of an op is made of.
struct OpLetters {
  std::string products, m, n, k;
};

OpLetters LettersOf(OpId id) {
  switch (id) {
    case OpId::kEmbedding:
    case OpId::kAttentionNorm:
    case OpId::kFfnNorm:
    case OpId::kFinalNorm:
    case OpId::kAttentionResidual:
    case OpId::kFfnResidual: return {"", "B·T", "C", ""};
    case OpId::kAttentionQkv: return {"", "B·T", "(NH+2·NKV)·HS", "C"};
    case OpId::kRope: return {"", "B·T", "(NH+NKV)·HS", ""};
    case OpId::kAttentionScores: return {"B·NH", "T", "T", "HS"};
    case OpId::kAttentionSoftmax: return {"B·NH", "T", "T", ""};
    case OpId::kAttentionValues: return {"B·NH", "T", "HS", "T"};
    case OpId::kAttentionOut: return {"", "B·T", "C", "C"};
    case OpId::kFfnGate:
    case OpId::kFfnUp: return {"", "B·T", "F", "C"};
    case OpId::kFfnActivation: return {"", "B·T", "F", ""};
    case OpId::kFfnDown: return {"", "B·T", "C", "F"};
    case OpId::kLmHead: return {"", "B·T", "V", "C"};
    case OpId::kAttention: break;  // the list explained keeps it in parts
    default: break;                // Catalogue refuses models that have them
  }
  throw std::logic_error("no letters for this op");
}

std::string Repeated(int64_t count) {
  return count == 1 ? "" : fmt::format(", {} times", Grouped(count));
}

ExplainedLine OpLine(const ModelConfig& config, const RunShape& shape, const Op& op,
                     Convention convention) {
  const OpLetters letters = LettersOf(op.id);
  const int64_t flops = OpFlops(config, shape, op, convention);
  const int64_t count = TotalCount(op, shape);
  std::vector<Size> sizes;
  if (op.per_layer) sizes.push_back({"L", shape.num_layers});
  if (!letters.products.empty()) sizes.push_back({letters.products, op.products});
  if (op.k == 0) {  // each of m×n elements at its cost
    sizes.insert(sizes.end(), {{letters.m, op.m}, {letters.n, op.n}});
    const int64_t cost = flops / (count * op.m * op.n);
    sizes.push_back({fmt::format("{} an element", cost), cost});
    return ProductText(std::string(op.name()),
                       fmt::format("[{} × {}]{}", Grouped(op.m), Grouped(op.n), Repeated(count)),
                       sizes, flops);
  }
  const bool head = !letters.products.empty();
  const std::string shapes = fmt::format("[{0} × {1}] · [{1} × {2}]{3}", Grouped(op.m),
                                         Grouped(op.k), Grouped(op.n), Repeated(count));
  if (head && convention == Convention::kCausal) {  // T(T+1)/2 pairs, 2·HS each
    sizes.insert(sizes.end(),
                 {{"T", shape.context}, {"(T+1)", shape.context + 1}, {"HS", config.head_size()}});
  } else if (op.bias && convention == Convention::kAll) {
    sizes.insert(
        sizes.end(),
        {{letters.m, op.m}, {fmt::format("(2·{}+1)", letters.k), 2 * op.k + 1}, {letters.n, op.n}});
  } else {
    sizes.insert(sizes.end(), {{letters.m, op.m}, {"2", 2}, {letters.k, op.k}, {letters.n, op.n}});
  }
  return ProductText(std::string(op.name()), shapes, sizes, flops);
}

ExplainedSection Flops(const ModelConfig& config, const RunShape& shape, Convention convention) {
  const int64_t total = CountFlops(config, shape, convention).total;
  if (convention == Convention::kRuleOfThumb) {
    return {
        "FLOPs by the rule of thumb",
        "FLOPs",
        {ProductText(
            "total", "",
            {{"2", 2}, {"P", CountParameters(config).total}, {"B·T", shape.batch * shape.context}},
            total)}};
  }
  ExplainedSection section{
      convention == Convention::kAll ? "operations" : "matrix products", "FLOPs", {}};
  RunShape in_parts = shape;
  in_parts.fused_attention = in_parts.fused_epilogues = false;
  for (const Op& op : ForwardOps(config, in_parts)) {
    const bool counted = op.k > 0 || OpFlops(config, in_parts, op, convention) > 0;
    if (counted) section.lines.push_back(OpLine(config, in_parts, op, convention));
  }
  section.lines.push_back(Total(total));
  return section;
}

}  // namespace

std::vector<ExplainedSection> Explain(const ModelConfig& config, const RunShape& shape,
                                      Convention convention) {
  AuditSetting setting;
  setting.model = config;
  setting.context = shape.context;
  setting.batch = shape.batch;
  const Catalogue catalogue(setting);
  return {Parameters(config, catalogue), Memory(config, shape), Flops(config, shape, convention)};
}

}  // namespace flopledger
