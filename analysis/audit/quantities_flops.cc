// FLOPs: of a head, of a block, of a pass, of training.
#include <fmt/format.h>

#include <optional>

#include "analysis/audit/quantities.h"

namespace flopledger {
namespace {

/// What is no matrix product: figures of their own under `all`, else only what people add.
struct Elementwise {
  std::vector<Term> in_block, in_model;  // under `all`
  std::vector<Term> added_to_block;      // elsewhere
};

Elementwise AddElementwise(Catalogue& c) {
  const AuditSetting& setting = c.setting();
  const bool all = setting.convention == Convention::kAll;
  Elementwise elementwise;
  RunShape one_layer = WholePass(setting.model, setting.context, setting.batch);
  one_layer.num_layers = 1;
  for (const Op& op : ForwardOps(setting.model, one_layer)) {
    const bool product = op.kind == OpKind::kMatmul || op.kind == OpKind::kAttentionScores ||
                         op.kind == OpKind::kAttentionValues;
    const int64_t whole = OpFlops(setting.model, one_layer, op, Convention::kAll);
    const int64_t besides =
        product ? whole - OpFlops(setting.model, one_layer, op, Convention::kMatmul) : whole;
    if (besides == 0) continue;
    const std::string what = product ? fmt::format("{}_bias", op.name()) : std::string(op.name());
    const std::string name = fmt::format("flops.{}.{}", what, op.per_layer ? "block" : "model");
    c.Add(name, Unit::kFlops,
          all ? "elementwise; no matrix product"
              : "elementwise, no matrix product: 0 in this convention",
          all ? std::vector<Term>{Product(std::string(op.name()), {{what, besides}})}
              : std::vector<Term>{});
    if (all) {
      (op.per_layer ? elementwise.in_block : elementwise.in_model).push_back(Times({}, name));
    } else if (op.per_layer) {
      elementwise.added_to_block.push_back({name, {}, name, true});
      elementwise.added_to_block.push_back({name, {c.S("NH")}, name, true});
    }
  }
  return elementwise;
}

std::vector<Term> With(std::vector<Term> terms, const std::vector<Term>& more) {
  terms.insert(terms.end(), more.begin(), more.end());
  return terms;
}

/// The positions that one query attends to: T, or on the average those that the mask keeps.
Factor Attended(const AuditSetting& setting) {
  if (setting.convention != Convention::kCausal) return {"T", setting.context};
  if (setting.pairs == CausalPairs::kHalf) return {"T/2", Exact(setting.context) / 2};
  return {"(T+1)/2", Exact(setting.context + 1) / 2};
}

void AddHead(Catalogue& c, const Elementwise& elementwise) {
  const Factor B = c.S("B"), T = c.S("T"), C = c.S("C"), HS = c.S("HS"), two = Number(2),
               attended = Attended(c.setting());
  c.Add("flops.attention_matrix.head", Unit::kFlops, "one of a head's Q, K, V products",
        {Product("one product of a head", {two, B, T, Summed(C), HS})});
  c.Add("flops.attention_qkv.head", Unit::kFlops, "a head's own Q, K and V",
        {Times({Number(3)}, "flops.attention_matrix.head")});
  c.Add("flops.attention_scores.head", Unit::kFlops, "a head's q·kᵀ",
        {Product("scores", {two, B, T, attended, Summed(HS)})});
  c.Add("flops.attention_values.head", Unit::kFlops, "a head's weighted sum of its values",
        {Product("weighted sum", {two, B, T, Summed(attended), HS})});
  std::vector<Term> head{Times({}, "flops.attention_qkv.head"),
                         Times({}, "flops.attention_scores.head"),
                         Times({}, "flops.attention_values.head")};
  for (const Term& term : elementwise.added_to_block) {
    if (term.factors.empty()) head.push_back(term);
  }
  c.Add("flops.attention_heads.head", Unit::kFlops, "all products of one head", head);
}

void AddAttentionOfBlock(Catalogue& c, const Elementwise& elementwise) {
  const ModelConfig& config = c.setting().model;
  const Factor B = c.S("B"), T = c.S("T"), C = c.S("C"), NH = c.S("NH"), NKV = c.S("NKV"),
               two = Number(2);
  c.Add("flops.attention_q.block", Unit::kFlops, "Q of all heads of a block",
        {Times({NH}, "flops.attention_matrix.head")});
  c.Add("flops.attention_k.block", Unit::kFlops, "K of all heads of a block",
        {Times({NKV}, "flops.attention_matrix.head")});
  c.Add("flops.attention_v.block", Unit::kFlops, "V of all heads of a block",
        {Times({NKV}, "flops.attention_matrix.head")});
  const bool grouped = config.num_kv_heads != config.num_heads;
  c.Add("flops.attention_qkv.block", Unit::kFlops, "Q, K and V of all heads of a block",
        grouped ? std::vector<Term>{Times({NH}, "flops.attention_matrix.head"),
                                    Times({two, NKV}, "flops.attention_matrix.head")}
                : std::vector<Term>{Times({NH}, "flops.attention_qkv.head")});
  c.Add("flops.attention_scores.block", Unit::kFlops, "q·kᵀ of all heads",
        {Times({NH}, "flops.attention_scores.head")});
  c.Add("flops.attention_values.block", Unit::kFlops, "the weighted sums of all heads",
        {Times({NH}, "flops.attention_values.head")});
  c.Add("flops.attention_products.block", Unit::kFlops,
        "both T×T products: scores and weighted sums",
        {Times({}, "flops.attention_scores.block"), Times({}, "flops.attention_values.block")});
  c.Add("flops.attention_heads.block", Unit::kFlops,
        "all products of a block's heads, without the output projection",
        With({Times({}, "flops.attention_qkv.block"), Times({}, "flops.attention_scores.block"),
              Times({}, "flops.attention_values.block")},
             elementwise.added_to_block));
  c.Add("flops.attention_out.block", Unit::kFlops, "the output projection",
        {Product("output projection", {two, B, T, Summed(C), C})});
  c.Add("flops.projections.block", Unit::kFlops, "the projections of attention: Q, K, V and output",
        {Times({}, "flops.attention_qkv.block"), Times({}, "flops.attention_out.block")});
  c.Add("flops.attention.block", Unit::kFlops, "attention with its output projection",
        {Times({}, "flops.attention_heads.block"), Times({}, "flops.attention_out.block")});
}

void AddModel(Catalogue& c) {
  const Factor L = c.S("L");
  for (const char* part :
       {"attention_q", "attention_k", "attention_v", "attention_qkv", "attention_scores",
        "attention_values", "attention_products", "attention_heads", "attention_out", "projections",
        "attention", "ffn_matrix", "ffn"}) {
    c.Add(fmt::format("flops.{}.model", part), Unit::kFlops, "the same, of all blocks",
          {Times({L}, fmt::format("flops.{}.block", part))});
  }
  c.Add("flops.stack.model", Unit::kFlops, "all blocks", {Times({L}, "flops.total.block")});
  c.Add("flops.lm_head.model", Unit::kFlops, "the logits",
        {Product("LM head", {Number(2), c.S("B"), c.S("T"), Summed(c.S("C")), c.S("V")})});
}

/// The parts of another tool's sum.
std::vector<Term> PartsOf(const OtherTool& tool, const AuditSetting& setting) {
  std::vector<Term> terms;
  for (const NamedCount& part :
       tool.figure(setting.model, WholePass(setting.model, setting.context, setting.batch)).terms) {
    const std::string name(part.name);
    terms.push_back(Product(name, {{name, part.value}}));
  }
  return terms;
}

void AddTotal(Catalogue& c, const Elementwise& elementwise) {
  const AuditSetting& setting = c.setting();
  const char* const name = "flops.total.model";
  if (setting.tool != nullptr) {
    c.Add(name, Unit::kFlops, fmt::format("one forward pass as {} counts", setting.tool->title),
          PartsOf(*setting.tool, setting));
  } else if (setting.convention == Convention::kRuleOfThumb) {
    c.Add(name, Unit::kFlops, "one forward pass by the rule of thumb",
          {Times({Number(2), c.S("B"), c.S("T")}, "params.total.model")});
  } else {
    c.Add(name, Unit::kFlops, "one forward pass",
          With({Times({}, "flops.stack.model"), Times({}, "flops.lm_head.model")},
               elementwise.in_model));
  }
}

void AddTrainingTotal(Catalogue& c) {
  const AuditSetting& setting = c.setting();
  std::optional<int64_t> theirs;
  if (setting.tool != nullptr) {
    const RunShape shape = WholePass(setting.model, setting.context, setting.batch);
    theirs = setting.tool->figure(setting.model, shape).training;
  }
  if (theirs) {
    c.Add("flops.training.model", Unit::kFlops,
          fmt::format("forward and backward as {} counts", setting.tool->title),
          {Product("forward and backward", {{std::string(setting.tool->name), *theirs}})});
  } else {
    c.Add("flops.training.model", Unit::kFlops, "forward and backward: three forward passes",
          {Times({Number(3)}, "flops.total.model")});
  }
}

void AddTraining(Catalogue& c) {
  const Factor B = c.S("B"), T = c.S("T"), two = Number(2);
  const Factor per_token{"1/(B·T)", Exact(1) / (B.value * T.value)};
  c.Add("flops.rule_of_thumb.model", Unit::kFlops,
        "2·parameters·tokens (Kaplan et al. 2020, section 2.1)",
        {Times({two, B, T}, "params.total.model")});
  AddTrainingTotal(c);
  c.Add("flops.backward.model", Unit::kFlops, "the backward pass: two forward passes",
        {Times({two}, "flops.total.model")});
  c.Add("flops.6nd.model", Unit::kFlops, "6·parameters·tokens (Kaplan et al. 2020, section 2.1)",
        {Times({Number(6), B, T}, "params.total.model")});
  c.Add("flops.per_token.model", Unit::kFlops, "one forward pass, a token",
        {Times({per_token}, "flops.total.model")});
  c.Add("flops.training_per_token.model", Unit::kFlops, "forward and backward, a token",
        {Times({per_token}, "flops.training.model")});
  c.Add("flops.optimizer_update.model", Unit::kFlops, "AdamW's own update, 14 a parameter",
        {Times({Number(14)}, "params.total.model")});
  c.Add("macs.total.model", Unit::kMacs, "multiply-adds of one forward pass",
        {Times({{"1/2", Exact(1) / 2}}, "flops.total.model")});
}

/// One more token in each sequence, at position T: it attends to T of them.
void AddDecode(Catalogue& c) {
  const Factor per_token{"1/T", Exact(1) / c.S("T").value};
  const Factor B = c.S("B"), L = c.S("L"), T = c.S("T"), two = Number(2);
  c.Add("flops.decode_attention.model", Unit::kFlops, "one query of each sequence over T positions",
        {Product("attention of one token", {two, two, B, L, T, c.S("NH"), c.S("HS")})});
  c.Add("flops.decode.model", Unit::kFlops, "one decoding step: a token in each of the B sequences",
        {Times({per_token}, "flops.projections.model"), Times({per_token}, "flops.ffn.model"),
         Times({per_token}, "flops.lm_head.model"), Times({}, "flops.decode_attention.model")});
}

}  // namespace

void AddFlops(Catalogue& c) {
  const AuditSetting& setting = c.setting();
  const Elementwise elementwise = AddElementwise(c);
  AddHead(c, elementwise);
  AddAttentionOfBlock(c, elementwise);
  c.Add("flops.ffn_matrix.block", Unit::kFlops, "one product of the FFN",
        {Product("one FFN product", {Number(2), c.S("B"), c.S("T"), Summed(c.S("C")), c.S("F")})});
  c.Add("flops.ffn.block", Unit::kFlops, "the FFN: up (and gate) and down",
        {Times({Number(setting.model.has_gate() ? 3 : 2)}, "flops.ffn_matrix.block")});
  c.Add("flops.total.block", Unit::kFlops, "all products of a block",
        With(With({Times({}, "flops.attention_heads.block"), Times({}, "flops.attention_out.block"),
                   Times({}, "flops.ffn.block")},
                  elementwise.in_block),
             elementwise.added_to_block));
  AddModel(c);
  AddTotal(c, elementwise);
  AddTraining(c);
  AddDecode(c);
}

}  // namespace flopledger
