#include "model/weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string>
#include <string_view>

#include "kernels/counted.h"
#include "model/input_error.h"

namespace flopledger {
namespace {

/// Which parameter a tensor is; with the layer it identifies the tensor.
enum class TensorId {
  kTokenEmbedding,
  kPositionEmbedding,
  kAttentionNorm,
  kAttentionNormBias,
  kQkv,
  kQkvBias,
  kAttentionOut,
  kAttentionOutBias,
  kFfnNorm,
  kFfnNormBias,
  kGate,
  kGateBias,
  kUp,
  kUpBias,
  kDown,
  kDownBias,
  kFinalNorm,
  kFinalNormBias,
  kLmHead,
};

/// The one list of a model's tensors: visit(id, layer, weight, inputs, outputs, present) for each.
template <class AnyWeights, class Visit>
void ForEachTensor(const ModelConfig& config, AnyWeights& weights, Visit&& visit) {
  const int64_t V = config.vocab_size, P = config.context_length, C = config.d_model,
                Q = config.qkv_size(), F = config.d_ff;
  const bool bias = config.bias, norm_bias = config.has_norm_bias(), gate = config.has_gate();
  using enum TensorId;
  visit(kTokenEmbedding, -1, weights.token_embedding, C, V, true);
  visit(kPositionEmbedding, -1, weights.position_embedding, P, C,
        config.position == Position::kLearned);
  for (std::size_t i = 0; i < weights.layers.size(); ++i) {
    auto& layer = weights.layers[i];
    const auto l = static_cast<int64_t>(i);
    visit(kAttentionNorm, l, layer.attention_norm_gain, 1, C, true);
    visit(kAttentionNormBias, l, layer.attention_norm_bias, 1, C, norm_bias);
    visit(kQkv, l, layer.attention_qkv, C, Q, true);
    visit(kQkvBias, l, layer.attention_qkv_bias, 1, Q, bias);
    visit(kAttentionOut, l, layer.attention_out, C, C, true);
    visit(kAttentionOutBias, l, layer.attention_out_bias, 1, C, bias);
    visit(kFfnNorm, l, layer.ffn_norm_gain, 1, C, true);
    visit(kFfnNormBias, l, layer.ffn_norm_bias, 1, C, norm_bias);
    visit(kGate, l, layer.ffn_gate, C, F, gate);
    visit(kGateBias, l, layer.ffn_gate_bias, 1, F, gate && bias);
    visit(kUp, l, layer.ffn_up, C, F, true);
    visit(kUpBias, l, layer.ffn_up_bias, 1, F, bias);
    visit(kDown, l, layer.ffn_down, F, C, true);
    visit(kDownBias, l, layer.ffn_down_bias, 1, C, bias);
  }
  visit(kFinalNorm, -1, weights.final_norm_gain, 1, C, config.final_norm);
  visit(kFinalNormBias, -1, weights.final_norm_bias, 1, C, config.final_norm && norm_bias);
  visit(kLmHead, -1, weights.lm_head, C, V, !config.tie_embeddings);
}

/// SplitMix64's output function (Steele, Lea and Flood 2014): a bijection that scatters bits.
uint64_t Mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

/// True for gains and biases, which checkpoints store as [n].
bool IsVector(TensorId id) {
  using enum TensorId;
  switch (id) {
    case kTokenEmbedding:
    case kPositionEmbedding:
    case kQkv:
    case kAttentionOut:
    case kGate:
    case kUp:
    case kDown:
    case kLmHead: return false;
    default: return true;
  }
}

/// True for the two tables of the vocabulary, which checkpoints store as [V, C].
bool IsTable(TensorId id) { return id == TensorId::kTokenEmbedding || id == TensorId::kLmHead; }

WeightLayout LayoutOf(const ModelConfig& config, TensorId id, bool packed) {
  const bool read_by_product = !IsVector(id) && id != TensorId::kPositionEmbedding &&
                               (id != TensorId::kTokenEmbedding || config.tie_embeddings);
  if (packed && read_by_product) return WeightLayout::kPanels;
  return IsTable(id) ? WeightLayout::kOutputsByInputs : WeightLayout::kInputsByOutputs;
}

/// Calls fill(k, n, element) for every parameter of a weight, in parallel and in the order in which
/// they are stored, so that each page is first touched by one thread.
template <class Scalar, class Fill>
void ForEachParameter(WeightView<Scalar> w, Fill&& fill) {
  const bool by_output = w.layout == WeightLayout::kOutputsByInputs;
  const bool panels = w.layout == WeightLayout::kPanels;
  const int64_t outer = by_output ? w.outputs : w.inputs, inner = by_output ? w.inputs : w.outputs;
  constexpr int64_t columns = WeightView<Scalar>::kColumns;
  const int64_t blocks = panels ? (w.outputs + columns - 1) / columns : outer;
#pragma omp parallel for
  for (int64_t block = 0; block < blocks; ++block) {
    if (!panels) {
      for (int64_t i = 0; i < inner; ++i) {
        const int64_t k = by_output ? i : block, n = by_output ? block : i;
        fill(k, n, w.data[block * w.stride + i]);
      }
      continue;
    }
    const int64_t first = block * columns, width = std::min(columns, w.outputs - first);
    for (int64_t k = 0; k < w.inputs; ++k) {
      for (int64_t i = 0; i < width; ++i) fill(k, first + i, w.panel(first)[k * columns + i]);
    }
  }
}

/// centre ± half_width, uniform. Element (k, n) comes from SplitMix64's output at its index in
/// row-major [inputs, outputs], whatever the layout.
template <class Scalar>
void FillUniform(Weight<Scalar>& weight, uint64_t key, float centre, float half_width) {
  const float step = half_width * 0x1p-23f;  // 24 random bits become −half_width … half_width
  const int64_t N = weight.outputs();
  ForEachParameter(weight.view(), [&](int64_t k, int64_t n, Scalar& element) {
    const uint64_t bits = Mix(key + 0x9e3779b97f4a7c15u * static_cast<uint64_t>(k * N + n + 1));
    element = Scalar(centre + step * (static_cast<float>(bits >> 40) - 8388607.5f));
  });
}

/// Where a tensor of ours stands in a checkpoint: columns [begin, begin + cols) of it come from the
/// stored tensor `name`, which is [inputs, outputs] as ours or, transposed, [outputs, inputs].
struct StoredPart {
  std::string name;
  int64_t begin = 0;
  int64_t cols = 0;
  bool transposed = false;
};

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
    case kGate:
    case kGateBias: break;
  }
  return "";
}

/// The names of LlamaForCausalLM, extended in its spirit to what Llama lacks (learned positions,
/// LayerNorm's biases); its weights are [outputs, inputs].
std::string LlamaName(TensorId id) {
  using enum TensorId;
  switch (id) {
    case kTokenEmbedding: return "embed_tokens.weight";
    case kPositionEmbedding: return "embed_positions.weight";
    case kAttentionNorm: return "input_layernorm.weight";
    case kAttentionNormBias: return "input_layernorm.bias";
    case kQkv: return "self_attn.{}_proj.weight";
    case kQkvBias: return "self_attn.{}_proj.bias";
    case kAttentionOut: return "self_attn.o_proj.weight";
    case kAttentionOutBias: return "self_attn.o_proj.bias";
    case kFfnNorm: return "post_attention_layernorm.weight";
    case kFfnNormBias: return "post_attention_layernorm.bias";
    case kGate: return "mlp.gate_proj.weight";
    case kGateBias: return "mlp.gate_proj.bias";
    case kUp: return "mlp.up_proj.weight";
    case kUpBias: return "mlp.up_proj.bias";
    case kDown: return "mlp.down_proj.weight";
    case kDownBias: return "mlp.down_proj.bias";
    case kFinalNorm: return "norm.weight";
    case kFinalNormBias: return "norm.bias";
    case kLmHead: return "lm_head.weight";
  }
  return "";
}

/// Naming by family: whether a checkpoint follows GPT-2 or Llama, and the prefix of all tensors but
/// lm_head, which a checkpoint of the bare model (GPT2Model, LlamaModel) lacks.
struct Naming {
  bool gpt2 = false;
  std::string prefix;
  bool table_is_lm_head = false;  // a tied table, stored once, under the other of its two names
};

Naming NamingOf(const ModelConfig& config, const SafetensorsFile& file) {
  const auto has = [&](const std::string& name) { return file.Find(name) != nullptr; };
  for (const auto& [gpt2, prefix] : {std::pair{true, ""}, std::pair{true, "transformer."},
                                     std::pair{false, "model."}, std::pair{false, ""}}) {
    const std::string layers = std::string(prefix) + (gpt2 ? "h.0." : "layers.0.");
    const auto name = gpt2 ? Gpt2Name : LlamaName;
    if (has(prefix + name(TensorId::kTokenEmbedding))) return {gpt2, prefix};
    if (has(layers + name(TensorId::kAttentionNorm))) {
      return {gpt2, prefix, config.tie_embeddings && has(name(TensorId::kLmHead))};
    }
  }
  throw InputError(fmt::format(
      "{}: neither 'wte.weight' (GPT-2) nor 'model.embed_tokens.weight' (Llama) is in it",
      file.path()));
}

Naming NamingOf(const ModelConfig& config) {
  const bool gpt2 = config.position == Position::kLearned && !config.has_gate();
  return {gpt2, gpt2 ? "" : "model."};
}

/// The stored tensors that make up one of ours, in the order of its columns.
std::vector<StoredPart> PartsOf(const ModelConfig& config, const Naming& naming, TensorId id,
                                int64_t layer, int64_t cols) {
  if (id == TensorId::kTokenEmbedding && naming.table_is_lm_head) id = TensorId::kLmHead;
  const std::string prefix = id == TensorId::kLmHead ? "" : naming.prefix;
  if (naming.gpt2) {
    const std::string name = Gpt2Name(id);
    if (name.empty()) {
      throw InputError("a checkpoint with GPT-2's names has no gate, which this config asks for");
    }
    return {{layer < 0 ? prefix + name : fmt::format("{}h.{}.{}", prefix, layer, name), 0, cols,
             IsTable(id)}};
  }
  const std::string name = layer < 0 ? prefix + LlamaName(id)
                                     : fmt::format("{}layers.{}.{}", prefix, layer, LlamaName(id));
  if (id != TensorId::kQkv && id != TensorId::kQkvBias) {
    return {{name, 0, cols, id != TensorId::kPositionEmbedding}};
  }

  std::vector<StoredPart> parts;
  int64_t begin = 0;
  for (const char* part : {"q", "k", "v"}) {
    const int64_t heads = *part == 'q' ? config.num_heads : config.num_kv_heads;
    const std::size_t hole = name.find("{}");
    parts.push_back(
        {std::string(name).replace(hole, 2, part), begin, heads * config.head_size(), true});
    begin += parts.back().cols;
  }
  return parts;
}

/// The shape under which a part is stored.
std::vector<int64_t> StoredShape(const StoredPart& part, TensorId id, int64_t inputs) {
  if (IsVector(id)) return {part.cols};
  return part.transposed ? std::vector{part.cols, inputs} : std::vector{inputs, part.cols};
}

/// Where element (k, n) of a part stands in the stored tensor.
int64_t StoredIndex(const StoredPart& part, int64_t inputs, int64_t k, int64_t n) {
  return part.transposed ? n * inputs + k : k * part.cols + n;
}

/// Tensors that checkpoints carry and a forward pass does not read: mask buffers, rotary tables.
bool IsBuffer(std::string_view name) {
  return name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias") ||
         name.ends_with(".rotary_emb.inv_freq");
}

/// The stored tensor of a part, if it is there and as the config asks.
const StoredTensor& FindPart(const SafetensorsFile& file, const StoredPart& part, TensorId id,
                             int64_t inputs) {
  const StoredTensor* stored = file.Find(part.name);
  if (stored == nullptr) {
    throw InputError(fmt::format("{}: tensor '{}' is missing", file.path(), part.name));
  }
  const std::vector<int64_t> expected = StoredShape(part, id, inputs);
  if (stored->shape != expected) {
    throw InputError(fmt::format("{}: tensor '{}' has shape {}, the config asks for {}",
                                 file.path(), part.name, ShapeText(stored->shape),
                                 ShapeText(expected)));
  }
  if (stored->dtype == DType::kOther) {
    throw InputError(fmt::format("{}: tensor '{}' has type {}; F32, F16 and BF16 can be read",
                                 file.path(), part.name, stored->dtype_name));
  }
  return *stored;
}

/// Fails unless the file holds every part that the config asks for. Before anything is allocated: a
/// config may ask for more than there is memory.
void CheckParts(const ModelConfig& config, const Naming& naming, const SafetensorsFile& file) {
  if (config.num_layers > static_cast<int64_t>(file.tensors().size())) {
    throw InputError(fmt::format("{}: {} tensors cannot be the {} layers that the config asks for",
                                 file.path(), file.tensors().size(), config.num_layers));
  }
  Weights<float> empty;
  empty.layers.resize(static_cast<std::size_t>(config.num_layers));
  ForEachTensor(config, empty,
                [&](TensorId id, int64_t layer, const Weight<float>&, int64_t inputs,
                    int64_t outputs, bool present) {
                  if (!present) return;
                  for (const StoredPart& part : PartsOf(config, naming, id, layer, outputs)) {
                    FindPart(file, part, id, inputs);
                  }
                });
}

template <class Scalar>
void ReadPart(const StoredTensor& stored, const StoredPart& part, Weight<Scalar>& weight) {
  const WeightView<Scalar> w = weight.view();
#pragma omp parallel for
  for (int64_t k = 0; k < w.inputs; ++k) {
    for (int64_t n = 0; n < part.cols; ++n) {
      w(k, part.begin + n) = Scalar(stored.At(StoredIndex(part, w.inputs, k, n)));
    }
  }
}

}  // namespace

template <class Scalar>
int64_t WeightBytes(const ModelConfig& config, const Weights<Scalar>& weights) {
  int64_t elements = 0;
  ForEachTensor(config, weights,
                [&](TensorId, int64_t, const Weight<Scalar>& weight, int64_t, int64_t, bool) {
                  elements += weight.stored_size();
                });
  return elements * static_cast<int64_t>(sizeof(Scalar));
}

template <class Scalar>
Weights<Scalar> AllocateWeights(const ModelConfig& config, int64_t num_layers, bool packed) {
  Weights<Scalar> weights;
  weights.layers.resize(static_cast<std::size_t>(num_layers));
  ForEachTensor(config, weights,
                [&](TensorId id, int64_t, Weight<Scalar>& weight, int64_t inputs, int64_t outputs,
                    bool present) {
                  if (!present) return;
                  weight = Weight<Scalar>(inputs, outputs, LayoutOf(config, id, packed));
                });
  return weights;
}

template <class Scalar>
Weights<Scalar> SeededWeights(const ModelConfig& config, int64_t num_layers, uint64_t seed,
                              bool packed) {
  constexpr float kHalfWidth = 0.02f * 1.7320508f;  // of a uniform with standard deviation 0.02
  auto weights = AllocateWeights<Scalar>(config, num_layers, packed);
  ForEachTensor(config, weights,
                [&](TensorId id, int64_t layer, Weight<Scalar>& weight, int64_t, int64_t, bool) {
                  const auto key = Mix(Mix(seed) + static_cast<uint64_t>(layer + 1) * 64 +
                                       static_cast<uint64_t>(id));
                  const bool is_gain = id == TensorId::kAttentionNorm || id == TensorId::kFfnNorm ||
                                       id == TensorId::kFinalNorm;
                  FillUniform(weight, key, is_gain ? 1.0f : 0.0f, is_gain ? 0.1f : kHalfWidth);
                });
  return weights;
}

template <class Scalar>
Weights<Scalar> ReadWeights(const ModelConfig& config, const SafetensorsFile& file, bool packed) {
  const Naming naming = NamingOf(config, file);
  CheckParts(config, naming, file);
  auto weights = AllocateWeights<Scalar>(config, config.num_layers, packed);
  std::set<std::string, std::less<>> used;
  ForEachTensor(config, weights,
                [&](TensorId id, int64_t layer, Weight<Scalar>& weight, int64_t inputs,
                    int64_t outputs, bool present) {
                  if (!present) return;
                  for (const StoredPart& part : PartsOf(config, naming, id, layer, outputs)) {
                    ReadPart(FindPart(file, part, id, inputs), part, weight);
                    used.insert(part.name);
                  }
                });
  if (config.tie_embeddings) used.insert("lm_head.weight");  // some checkpoints store it twice
  for (const auto& [name, tensor] : file.tensors()) {
    if (!used.contains(name) && !IsBuffer(name)) {
      throw InputError(
          fmt::format("{}: tensor '{}' belongs to no part of this config", file.path(), name));
    }
  }
  return weights;
}

void WriteWeights(const ModelConfig& config, const Weights<float>& weights,
                  const std::string& path) {
  const Naming naming = NamingOf(config);
  std::vector<NamedTensor> tensors;
  ForEachTensor(config, weights,
                [&](TensorId id, int64_t layer, const Weight<float>& weight, int64_t inputs,
                    int64_t outputs, bool present) {
                  if (!present) return;
                  for (const StoredPart& part : PartsOf(config, naming, id, layer, outputs)) {
                    NamedTensor tensor{part.name, StoredShape(part, id, inputs), {}};
                    tensor.values.resize(static_cast<std::size_t>(inputs * part.cols));
                    for (int64_t k = 0; k < inputs; ++k) {
                      for (int64_t n = 0; n < part.cols; ++n) {
                        const int64_t index = StoredIndex(part, inputs, k, n);
                        tensor.values[static_cast<std::size_t>(index)] =
                            weight.view()(k, part.begin + n);
                      }
                    }
                    tensors.push_back(std::move(tensor));
                  }
                });
  WriteSafetensors(path, tensors);
}

#define FLOPLEDGER_INSTANTIATE(Scalar)                                                         \
  template int64_t WeightBytes<Scalar>(const ModelConfig&, const Weights<Scalar>&);            \
  template Weights<Scalar> AllocateWeights<Scalar>(const ModelConfig&, int64_t, bool);         \
  template Weights<Scalar> SeededWeights<Scalar>(const ModelConfig&, int64_t, uint64_t, bool); \
  template Weights<Scalar> ReadWeights<Scalar>(const ModelConfig&, const SafetensorsFile&, bool);
FLOPLEDGER_INSTANTIATE(float)
FLOPLEDGER_INSTANTIATE(double)
FLOPLEDGER_INSTANTIATE(Counted<float>)
#undef FLOPLEDGER_INSTANTIATE

}  // namespace flopledger
