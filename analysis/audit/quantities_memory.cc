// Bytes: weights, AdamW's state, the KV cache, what training keeps for the backward pass.
#include <fmt/format.h>

#include "analysis/accounting/accounting.h"
#include "analysis/audit/quantities.h"

namespace flopledger {
namespace {

Factor BytesOf(const NumberType& type) { return {Show(type.bytes), type.bytes, false}; }

/// The weights' bytes: of a scaled type, those of the scales besides.
std::vector<Term> Weights(const Catalogue& c) {
  const NumberType& number = c.setting().dtype;
  std::vector<Term> terms{Times({BytesOf(number)}, "params.total.model")};
  if (number.scaled != nullptr) {
    const ModelConfig& model = c.setting().model;
    const MemoryFigures stored = CountMemory(
        model, WholePass(model, c.setting().context, c.setting().batch), {*number.scaled, F32()});
    const Exact besides =
        Exact(stored.weights_bytes) - number.bytes * c.Find("params.total.model")->value;
    terms.push_back(Product("scales, and gains and biases in 16 bits", {{Show(besides), besides}}));
  }
  return terms;
}

void AddState(Catalogue& c) {
  const Factor bytes = BytesOf(c.setting().dtype), two = Number(2);
  const std::string in = fmt::format("in {}", c.setting().dtype.name);
  c.Add("memory.weights.model", Unit::kBytes, "the weights " + in, Weights(c));
  c.Add("memory.gradients.model", Unit::kBytes, "the gradients " + in,
        {Times({bytes}, "params.total.model")});
  c.Add("memory.moments.model", Unit::kBytes, "AdamW's two moments " + in,
        {Times({two, bytes}, "params.total.model")});
  c.Add("memory.training_state.model", Unit::kBytes, "weights, gradients and moments " + in,
        {Times({}, "memory.weights.model"), Times({}, "memory.gradients.model"),
         Times({}, "memory.moments.model")});
  c.Add("memory.training_state_mixed.model", Unit::kBytes,
        "mixed precision: weights and gradients in 2 bytes, fp32 weights and two moments in 12",
        {Times({Number(16)}, "params.total.model")});
  c.Add("memory.checkpoint.model", Unit::kBytes,
        "a checkpoint: weights and AdamW's two moments " + in,
        {Times({}, "memory.weights.model"), Times({}, "memory.moments.model")});
}

void AddCache(Catalogue& c) {
  const NumberType& type = c.setting().kv_dtype;
  const std::string in = fmt::format(", {}", type.name);
  const Factor B = c.S("B"), T = c.S("T");
  std::vector<Term> token{
      Product("KV cache of a token and layer", {Number(2), BytesOf(type), c.S("NKV"), c.S("HS")})};
  if (type.scaled != nullptr) {
    const int64_t size = c.setting().model.head_size();
    const Exact scales = Exact(StoredBytes(*type.scaled, 1, size)) - type.bytes * size;
    token.push_back(Product("scales", {Number(2), c.S("NKV"), {Show(scales), scales}}));
  }
  c.Add("memory.kv_cache_token.block", Unit::kBytes,
        "keys and values of one token in one layer" + in, std::move(token));
  c.Add("memory.kv_cache_token.model", Unit::kBytes, "keys and values of one token" + in,
        {Times({c.S("L")}, "memory.kv_cache_token.block")});
  c.Add("memory.kv_cache.block", Unit::kBytes, "keys and values of one layer at this context" + in,
        {Times({B, T}, "memory.kv_cache_token.block")});
  c.Add("memory.kv_cache.model", Unit::kBytes, "keys and values at this context" + in,
        {Times({B, T}, "memory.kv_cache_token.model")});
}

/// Activations of one layer and one sequence, as analysis/accounting/training has them.
std::vector<Term> KeptInBlock(const Catalogue& c, ActivationList list) {
  const ModelConfig& config = c.setting().model;
  const Factor T = c.S("T"), C = c.S("C"), NH = c.S("NH"), NKV = c.S("NKV"), HS = c.S("HS"),
               F = c.S("F"), two = Number(2), bytes = BytesOf(c.setting().dtype);
  std::vector<Term> kept;
  const auto add = [&](const char* name, std::vector<Factor> floats) {
    floats.insert(floats.begin(), bytes);
    kept.push_back(Product(name, std::move(floats)));
  };
  add("two norms", {two, T, C});
  add("queries", {T, NH, HS});
  add("keys and values", {two, T, NKV, HS});
  if (list != ActivationList::kFused) {
    add("scores", {NH, T, T});
    add("softmax", {NH, T, T});
  }
  add("weighted sums", {T, C});
  add("output projection", {T, C});
  add("FFN up", {T, F});
  const bool sheet_2026 = SheetOf(config) == ActivationList::k2026;
  const bool gated = list == ActivationList::k2026 || list == ActivationList::kFull ||
                     (list == ActivationList::kFused && sheet_2026);
  if (gated && config.has_gate()) add("FFN gate", {T, F});
  add("FFN activation", {T, F});
  if (gated && config.has_gate()) add("FFN gated product", {T, F});
  add("FFN down", {T, C});
  if (list != ActivationList::kFull) return kept;
  if (config.position == Position::kRope) {
    add("rotated queries", {T, NH, HS});
    add("rotated keys", {T, NKV, HS});
  }
  add("residual stream", {two, T, C});
  return kept;
}

std::string MeaningOf(ActivationList list) {
  switch (list) {
    case ActivationList::k2025: return "the list of CS336, assignment 1, of 2025";
    case ActivationList::k2026: return "the list of CS336, assignment 1, of 2026";
    case ActivationList::kFused: return "the sheet's list without scores and softmax";
    case ActivationList::kFull: break;
  }
  return "every output that an autograd stores";
}

void AddActivations(Catalogue& c) {
  const AuditSetting& setting = c.setting();
  const ModelConfig& config = setting.model;
  const ActivationList list = setting.activations.value_or(SheetOf(config));
  const std::string of = fmt::format("what training keeps for the backward pass ({}), {}",
                                     MeaningOf(list), setting.dtype.name);
  const Factor B = c.S("B"), T = c.S("T"), C = c.S("C"), bytes = BytesOf(setting.dtype);
  c.Add("memory.training_activations_sequence.block", Unit::kBytes,
        of + ", one layer, one sequence", KeptInBlock(c, list));
  c.Add("memory.training_activations.block", Unit::kBytes, of + ", one layer",
        {Times({B}, "memory.training_activations_sequence.block")});
  std::vector<Term> kept{Times({c.S("L")}, "memory.training_activations_sequence.block")};
  if (config.final_norm) kept.push_back(Product("final norm", {bytes, T, C}));
  kept.push_back(Product("logits", {bytes, T, c.S("V")}));
  kept.push_back(Product("cross-entropy", {bytes, T, c.S("V")}));
  if (list == ActivationList::kFull) kept.push_back(Product("embedded tokens", {bytes, T, C}));
  c.Add("memory.training_activations_sequence.model", Unit::kBytes, of + ", one sequence", kept);
  c.Add("memory.training_activations.model", Unit::kBytes, of,
        {Times({B}, "memory.training_activations_sequence.model")});
  c.Add("memory.training.model", Unit::kBytes, "AdamW's state and the activations",
        {Times({}, "memory.training_state.model"), Times({}, "memory.training_activations.model")});
}

/// Korthikanti et al. 2022, equation 2: half precision, with dropout's masks.
void AddMegatron(Catalogue& c) {
  const Factor B = c.S("B"), T = c.S("T"), NH = c.S("NH");
  c.Add("memory.megatron_activations.block", Unit::kBytes,
        "34·sbh + 5·as²b of one layer (Korthikanti et al. 2022)",
        {Product("34·sbh", {Number(34), T, B, c.S("C")}),
         Product("5·as²b", {Number(5), NH, T, T, B})});
  c.Add("memory.megatron_activations.model", Unit::kBytes, "the same, of all layers",
        {Times({c.S("L")}, "memory.megatron_activations.block")});
}

}  // namespace

void AddMemory(Catalogue& c) {
  AddState(c);
  AddCache(c);
  AddActivations(c);
  AddMegatron(c);
}

}  // namespace flopledger
