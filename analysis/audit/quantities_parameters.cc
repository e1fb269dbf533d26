// Parameters: of a head, of a block, of the model.
#include <fmt/format.h>

#include "analysis/audit/quantities.h"

namespace flopledger {
namespace {

void AddTables(Catalogue& c) {
  const ModelConfig& config = c.setting().model;
  c.Add("params.token_embedding.model", Unit::kParameters, "the table of token vectors",
        {Product("token embedding", {c.S("V"), c.S("C")})});
  std::vector<Term> positions;
  if (config.position == Position::kLearned) {
    positions = {
        Product("position embedding", {{"context_length", config.context_length}, c.S("C")})};
  }
  c.Add("params.position_embedding.model", Unit::kParameters,
        "the table of position vectors, where learned", positions);
  std::vector<Term> head;
  if (!config.tie_embeddings) head = {Product("LM head", {c.S("V"), c.S("C")})};
  c.Add("params.lm_head.model", Unit::kParameters,
        "the matrix of the logits; 0 where tied to the embedding", head);
  c.Add("params.embeddings.model", Unit::kParameters, "every table: tokens, positions, LM head",
        {Times({}, "params.token_embedding.model"), Times({}, "params.position_embedding.model"),
         Times({}, "params.lm_head.model")});
}

void AddAttention(Catalogue& c) {
  const ModelConfig& config = c.setting().model;
  const bool grouped = config.num_kv_heads != config.num_heads, bias = config.biases.qkv;
  const Factor C = c.S("C"), HS = c.S("HS"), NH = c.S("NH"), NKV = c.S("NKV"), two = Number(2);
  c.Add("params.attention_matrix.head", Unit::kParameters,
        "one of a head's Q, K, V matrices, without bias",
        {Product("one matrix of a head", {C, HS})});
  c.Add("params.attention_bias.head", Unit::kParameters, "the bias of one of a head's Q, K, V",
        bias ? std::vector<Term>{Product("bias", {HS})} : std::vector<Term>{});
  const auto matrices = [&](std::vector<Factor> times) {
    std::vector<Term> terms{Times(times, "params.attention_matrix.head")};
    if (bias) terms.push_back(Times(std::move(times), "params.attention_bias.head"));
    return terms;
  };
  c.Add("params.attention_qkv.head", Unit::kParameters, "a head's own Q, K and V, biases with them",
        matrices({Number(3)}));
  c.Add("params.attention_q.block", Unit::kParameters, "Q of all heads of a block", matrices({NH}));
  c.Add("params.attention_k.block", Unit::kParameters, "K of all heads of a block",
        matrices({NKV}));
  c.Add("params.attention_v.block", Unit::kParameters, "V of all heads of a block",
        matrices({NKV}));
  std::vector<Term> qkv{Times({NH}, "params.attention_qkv.head")};
  if (grouped) {
    qkv = matrices({NH});
    for (const Term& term : matrices({two, NKV})) qkv.push_back(term);
  }
  c.Add("params.attention_qkv.block", Unit::kParameters, "Q, K and V of all heads of a block", qkv);
  c.Add("params.attention_out_bias.block", Unit::kParameters, "the output projection's bias",
        bias ? std::vector<Term>{Product("bias of the output projection", {C})}
             : std::vector<Term>{});
  std::vector<Term> out{Product("output projection", {C, C})};
  if (bias) out.push_back(Times({}, "params.attention_out_bias.block"));
  c.Add("params.attention_out.block", Unit::kParameters, "the output projection", out);
  c.Add("params.attention.block", Unit::kParameters, "Q, K, V and the output projection",
        {Times({}, "params.attention_qkv.block"), Times({}, "params.attention_out.block")});
}

void AddFfnAndNorms(Catalogue& c) {
  const ModelConfig& config = c.setting().model;
  const Factor C = c.S("C"), F = c.S("F");
  const int64_t ups = config.has_gate() ? 2 : 1;
  c.Add("params.ffn_matrix.block", Unit::kParameters, "one matrix of the FFN, without bias",
        {Product("one FFN matrix", {C, F})});
  std::vector<Term> biases;
  if (config.biases.qkv) {
    biases = {Product("biases of up", {Number(ups), F}), Product("bias of down", {C})};
  }
  c.Add("params.ffn_bias.block", Unit::kParameters, "the FFN's biases", biases);
  std::vector<Term> ffn{Times({Number(ups + 1)}, "params.ffn_matrix.block")};
  if (config.biases.qkv) ffn.push_back(Times({}, "params.ffn_bias.block"));
  c.Add("params.ffn.block", Unit::kParameters, "the FFN: up (and gate) and down", ffn);
  std::vector<Factor> norm{C};
  if (config.has_norm_bias()) norm.insert(norm.begin(), Number(2));
  std::vector<Factor> norms = norm;
  norms.insert(norms.begin(), Number(2));
  c.Add("params.norms.block", Unit::kParameters, "a block's two norms",
        {Product("two norms", norms)});
  c.Add("params.final_norm.model", Unit::kParameters, "the norm after the last block",
        config.final_norm ? std::vector<Term>{Product("final norm", norm)} : std::vector<Term>{});
}

}  // namespace

void AddParameters(Catalogue& c) {
  const bool bias = c.setting().model.biases.qkv;
  const Factor L = c.S("L"), NH = c.S("NH"), NKV = c.S("NKV");
  AddTables(c);
  AddAttention(c);
  AddFfnAndNorms(c);
  c.Add("params.total.block", Unit::kParameters, "all of a block",
        {Times({}, "params.attention_qkv.block"), Times({}, "params.attention_out.block"),
         Times({}, "params.ffn.block"), Times({}, "params.norms.block")});
  for (const char* part : {"attention_q", "attention_k", "attention_v", "attention_qkv",
                           "attention_out", "attention", "ffn"}) {
    c.Add(fmt::format("params.{}.model", part), Unit::kParameters, "the same, of all blocks",
          {Times({L}, fmt::format("params.{}.block", part))});
  }
  c.Add("params.norms.model", Unit::kParameters, "all norms",
        {Times({L}, "params.norms.block"), Times({}, "params.final_norm.model")});
  std::vector<Term> biases;
  if (bias) {
    biases = {Times({L, NH}, "params.attention_bias.head"),
              Times({L, Number(2), NKV}, "params.attention_bias.head"),
              Times({L}, "params.attention_out_bias.block"), Times({L}, "params.ffn_bias.block")};
  }
  c.Add("params.biases.model", Unit::kParameters, "all biases of the products, none of the norms",
        biases);
  c.Add("params.stack.model", Unit::kParameters, "all blocks", {Times({L}, "params.total.block")});
  c.Add("params.total.model", Unit::kParameters, "the whole model",
        {Times({}, "params.token_embedding.model"), Times({}, "params.position_embedding.model"),
         Times({}, "params.stack.model"), Times({}, "params.final_norm.model"),
         Times({}, "params.lm_head.model")});
  c.Add("params.non_embedding.model", Unit::kParameters,
        "without any table: blocks and final norm (Kaplan et al. 2020, with norms)",
        {Times({}, "params.stack.model"), Times({}, "params.final_norm.model")});
}

}  // namespace flopledger
