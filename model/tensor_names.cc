#include "model/tensor_names.h"

#include <fmt/format.h>

#include <algorithm>

#include "model/input_error.h"

namespace flopledger {
namespace {

/// The names of Hugging Face's GPT2LMHeadModel; its weights are [inputs, outputs] as ours.
std::string Gpt2Name(TensorId id) {
  using enum TensorId;
  switch (id) {
    case kTokenEmbedding: return "wte.weight";
    case kPositionEmbedding: return "wpe.weight";
    case kAttentionNorm: return "ln_1.weight";
    case kAttentionNormBias: return "ln_1.bias";
    case kQkv: return "attn.c_attn.weight";
    case kQkvBias: return "attn.c_attn.bias";
    case kAttentionOut: return "attn.c_proj.weight";
    case kAttentionOutBias: return "attn.c_proj.bias";
    case kFfnNorm: return "ln_2.weight";
    case kFfnNormBias: return "ln_2.bias";
    case kUp: return "mlp.c_fc.weight";
    case kUpBias: return "mlp.c_fc.bias";
    case kDown: return "mlp.c_proj.weight";
    case kDownBias: return "mlp.c_proj.bias";
    case kFinalNorm: return "ln_f.weight";
    case kFinalNormBias: return "ln_f.bias";
    case kLmHead: return "lm_head.weight";
    default: return "";
  }
}

/// The names of GPTNeoXForCausalLM.
std::string GptNeoXName(TensorId id) {
  using enum TensorId;
  switch (id) {
    case kTokenEmbedding: return "embed_in.weight";
    case kAttentionNorm: return "input_layernorm.weight";
    case kAttentionNormBias: return "input_layernorm.bias";
    case kQkv: return "attention.query_key_value.weight";
    case kQkvBias: return "attention.query_key_value.bias";
    case kAttentionOut: return "attention.dense.weight";
    case kAttentionOutBias: return "attention.dense.bias";
    case kFfnNorm: return "post_attention_layernorm.weight";
    case kFfnNormBias: return "post_attention_layernorm.bias";
    case kUp: return "mlp.dense_h_to_4h.weight";
    case kUpBias: return "mlp.dense_h_to_4h.bias";
    case kDown: return "mlp.dense_4h_to_h.weight";
    case kDownBias: return "mlp.dense_4h_to_h.bias";
    case kFinalNorm: return "final_layer_norm.weight";
    case kFinalNormBias: return "final_layer_norm.bias";
    case kLmHead: return "embed_out.weight";
    default: return "";
  }
}

/// The names of OPTForCausalLM. Its two norms a layer stand before or after the halves of a block.
std::string OptName(TensorId id) {
  using enum TensorId;
  switch (id) {
    case kTokenEmbedding: return "embed_tokens.weight";
    case kPositionEmbedding: return "embed_positions.weight";
    case kEmbeddingProjection: return "project_in.weight";
    case kHeadProjection: return "project_out.weight";
    case kAttentionNorm:
    case kAttentionPostNorm: return "self_attn_layer_norm.weight";
    case kAttentionNormBias:
    case kAttentionPostNormBias: return "self_attn_layer_norm.bias";
    case kQkv: return "self_attn.{}_proj.weight";
    case kQkvBias: return "self_attn.{}_proj.bias";
    case kAttentionOut: return "self_attn.out_proj.weight";
    case kAttentionOutBias: return "self_attn.out_proj.bias";
    case kFfnNorm:
    case kFfnPostNorm: return "final_layer_norm.weight";
    case kFfnNormBias:
    case kFfnPostNormBias: return "final_layer_norm.bias";
    case kUp: return "fc1.weight";
    case kUpBias: return "fc1.bias";
    case kDown: return "fc2.weight";
    case kDownBias: return "fc2.bias";
    case kFinalNorm: return "final_layer_norm.weight";
    case kFinalNormBias: return "final_layer_norm.bias";
    case kLmHead: return "lm_head.weight";
    default: return "";
  }
}

/// Llama's names of a norm: they depend on where else norms stand (Gemma 2 and OLMo 2 have more).
std::string LlamaNormName(const ModelConfig& config, TensorId id) {
  using enum TensorId;
  const bool both = config.norm_placement == NormPlacement::kBoth;
  switch (id) {
    case kAttentionNorm: return "input_layernorm";
    case kAttentionPostNorm: return "post_attention_layernorm";
    case kFfnNorm: return both ? "pre_feedforward_layernorm" : "post_attention_layernorm";
    case kFfnPostNorm: return "post_feedforward_layernorm";
    case kFinalNorm: return "norm";
    case kEmbeddingNorm: return "embed_layernorm";
    case kQueryNorm: return "self_attn.q_norm";
    case kKeyNorm: return "self_attn.k_norm";
    default: return "";
  }
}

/// The product that a weight or bias of Llama's belongs to. A plain FFN is named as in StarCoder2.
std::string LlamaProductName(const ModelConfig& config, const Naming& naming, TensorId id) {
  using enum TensorId;
  switch (id) {
    case kQkv:
    case kQkvBias: return naming.fused ? "self_attn.qkv_proj" : "self_attn.{}_proj";
    case kAttentionOut:
    case kAttentionOutBias: return "self_attn.o_proj";
    case kGate:
    case kGateBias: return naming.fused ? "mlp.gate_up_proj" : "mlp.gate_proj";
    case kUp:
    case kUpBias:
      if (!config.has_gate()) return "mlp.c_fc";
      return naming.fused ? "mlp.gate_up_proj" : "mlp.up_proj";
    case kDown:
    case kDownBias: return config.has_gate() ? "mlp.down_proj" : "mlp.c_proj";
    case kLmHead:
    case kLmHeadBias: return "lm_head";
    case kTokenEmbedding: return "embed_tokens";
    case kPositionEmbedding: return "embed_positions";
    case kEmbeddingProjection: return "project_in";
    case kHeadProjection: return "project_out";
    default: return "";
  }
}

/// The gain that a norm's bias belongs to, or the tensor itself.
TensorId GainOf(TensorId id) {
  using enum TensorId;
  switch (id) {
    case kAttentionNormBias: return kAttentionNorm;
    case kAttentionPostNormBias: return kAttentionPostNorm;
    case kFfnNormBias: return kFfnNorm;
    case kFfnPostNormBias: return kFfnPostNorm;
    case kFinalNormBias: return kFinalNorm;
    case kEmbeddingNormBias: return kEmbeddingNorm;
    default: return id;
  }
}

/// The names of LlamaForCausalLM and of the models after it, extended in its spirit to what Llama
/// lacks (learned positions, LayerNorm's biases).
std::string LlamaName(const ModelConfig& config, const Naming& naming, TensorId id) {
  const std::string norm = LlamaNormName(config, GainOf(id));
  const bool is_bias = IsVector(id) && !IsGain(id);
  return (norm.empty() ? LlamaProductName(config, naming, id) : norm) +
         (is_bias ? ".bias" : ".weight");
}

/// A tensor's name within its layer or, outside the layers, behind the prefix.
std::string NameOf(const ModelConfig& config, const Naming& naming, TensorId id) {
  switch (naming.names) {
    case Names::kGpt2: return Gpt2Name(id);
    case Names::kLlama: return LlamaName(config, naming, id);
    case Names::kGptNeoX: return GptNeoXName(id);
    case Names::kOpt: return OptName(id);
  }
  return "";
}

std::string LayerPrefix(const Naming& naming, int64_t layer) {
  return fmt::format("{}{}.{}.", naming.prefix, naming.names == Names::kGpt2 ? "h" : "layers",
                     layer);
}

/// Where names are looked for, most telling first: OPT's table has Llama's name.
constexpr struct {
  Names names;
  const char* prefix;
} kNamings[] = {{Names::kGpt2, ""},
                {Names::kGpt2, "transformer."},
                {Names::kGptNeoX, "gpt_neox."},
                {Names::kGptNeoX, ""},
                {Names::kOpt, "model.decoder."},
                {Names::kOpt, "decoder."},
                {Names::kLlama, "model."},
                {Names::kLlama, ""}};

}  // namespace

std::vector<int64_t> StoredPart::Shape(const TensorSpec& tensor) const {
  if (IsVector(tensor.id)) return {stored_cols};
  return transposed ? std::vector{stored_cols, tensor.inputs}
                    : std::vector{tensor.inputs, stored_cols};
}

int64_t StoredPart::Index(const ModelConfig& config, int64_t inputs, int64_t k, int64_t n) const {
  int64_t column = stored_begin + n;
  if (interleaved) {
    const int64_t NH = config.num_heads, NKV = config.num_kv_heads, HS = config.head_size();
    const int64_t group = NH / NKV, head = n / HS;
    // Of each key/value head: its queries, then its key, then its value.
    const int64_t kv = head < NH ? head / group : (head - NH) % NKV;
    const int64_t within = head < NH ? head % group : group + (head - NH) / NKV;
    column = (kv * (group + 2) + within) * HS + n % HS;
  }
  return transposed ? column * inputs + k : k * stored_cols + column;
}

Naming NamingOf(const ModelConfig& config, const SafetensorsFile& file) {
  const auto has = [&](const std::string& name) { return file.Find(name) != nullptr; };
  for (const auto& [names, prefix] : kNamings) {
    Naming naming{names, prefix};
    const std::string first_layer = LayerPrefix(naming, 0);
    const auto in_layer = [&](TensorId id) {
      return has(first_layer + NameOf(config, naming, id));
    };
    if (!in_layer(TensorId::kDown)) continue;  // each naming has its own for this one
    naming.fused = has(first_layer + "self_attn.qkv_proj.weight");
    const StoredTensor* up = file.Find(first_layer + "mlp.c_fc.weight");
    naming.linear = names == Names::kGpt2 && up != nullptr && config.d_ff != config.d_model &&
                    up->shape == std::vector{config.d_ff, config.d_model};
    naming.table_is_lm_head = config.tie_embeddings &&
                              !has(prefix + NameOf(config, naming, TensorId::kTokenEmbedding)) &&
                              has(NameOf(config, naming, TensorId::kLmHead));
    return naming;
  }
  throw InputError(fmt::format(
      "{}: no tensor of a first layer under the names of GPT-2 ('h.0.mlp.c_proj.weight'), Llama "
      "('model.layers.0.{}.weight' for this config), GPT-NeoX "
      "('gpt_neox.layers.0.mlp.dense_4h_to_h.weight') or OPT ('model.decoder.layers.0.fc2.weight')",
      file.path(), LlamaProductName(config, Naming{}, TensorId::kDown)));
}

std::vector<StoredPart> PartsOf(const ModelConfig& config, const Naming& naming,
                                const TensorSpec& tensor) {
  using enum TensorId;
  const int64_t layer = tensor.layer, cols = tensor.outputs;
  TensorId id = tensor.id;
  if (id == kTokenEmbedding && naming.table_is_lm_head) id = kLmHead;
  const std::string bare = NameOf(config, naming, id);
  if (bare.empty()) {
    throw InputError(fmt::format("a checkpoint with {} names has no {}, which this config asks for",
                                 naming.names == Names::kGpt2      ? "GPT-2's"
                                 : naming.names == Names::kGptNeoX ? "GPT-NeoX's"
                                                                   : "OPT's",
                                 id == kGate || id == kGateBias ? "gate" : "such tensor"));
  }
  const bool of_head = id == kLmHead || id == kLmHeadBias;
  const std::string name =
      of_head ? bare : (layer < 0 ? naming.prefix : LayerPrefix(naming, layer)) + bare;
  const bool transposed =
      id != kPositionEmbedding && (naming.names != Names::kGpt2 || naming.linear || IsTable(id));
  StoredPart whole{name, 0, cols, 0, cols, transposed};
  if (id == kQkv || id == kQkvBias) {
    whole.interleaved = naming.names == Names::kGptNeoX || naming.linear;
    const std::size_t hole = name.find("{}");
    if (hole == std::string::npos) return {whole};
    std::vector<StoredPart> parts;
    int64_t begin = 0;
    for (const char* part : {"q", "k", "v"}) {
      const int64_t heads = *part == 'q' ? config.num_heads : config.num_kv_heads;
      const int64_t size = heads * config.head_size();
      parts.push_back({std::string(name).replace(hole, 2, part), begin, size, 0, size, true});
      begin += size;
    }
    return parts;
  }
  if (naming.fused && config.has_gate()) {  // the gate's columns, then those of up
    if (id == kGate || id == kGateBias || id == kUp || id == kUpBias) whole.stored_cols = 2 * cols;
    if (id == kUp || id == kUpBias) whole.stored_begin = cols;
  }
  return {whole};
}

bool IsBuffer(std::string_view name) {
  for (const char* suffix :
       {".attn.bias", ".attn.masked_bias", ".attention.bias", ".attention.masked_bias"}) {
    if (name.ends_with(suffix)) return true;
  }
  return name.find("rotary_emb.") != std::string_view::npos;
}

}  // namespace flopledger
