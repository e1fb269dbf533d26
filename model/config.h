// The shape of a decoder-only transformer: what a user may say about a model, validated.
// It holds no weights and knows nothing of how the model is computed. Each field is one fact; which
// family of models it comes from is forgotten once model/families has read it.
// Legend: C d_model, NH heads, NKV key/value heads, HS head size, F d_ff, V vocabulary, T context.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace flopledger {

/// f(x) of the FFN, element by element.
enum class Activation {
  kGeluTanh,  // 0.5·x·(1 + tanh(√(2/π)·(x + 0.044715·x³))), GPT-2's (Hendrycks & Gimpel 2016)
  kGeluErf,      // 0.5·x·(1 + erf(x/√2)), the exact form
  kGeluSigmoid,  // x·sigmoid(1.702·x), "quick_gelu"
  kRelu,         // max(x, 0)
  kReluSquared,  // max(x, 0)² (So et al. 2021, Primer)
  kSilu,         // x·sigmoid(x)
};

/// The FFN: y = f(x·Wup)·Wdown, or gated (Shazeer 2020, GLU variants): y = (f(x·Wgate) ⊙
/// x·Wup)·Wdown.
struct Ffn {
  Activation activation = Activation::kGeluTanh;
  bool gated = false;
  bool operator==(const Ffn&) const = default;

  static const Ffn kGeluTanh, kGeluErf, kRelu, kReluSquared, kSwiglu, kGegluTanh, kGegluErf;
};
inline constexpr Ffn Ffn::kGeluTanh{Activation::kGeluTanh, false};
inline constexpr Ffn Ffn::kGeluErf{Activation::kGeluErf, false};
inline constexpr Ffn Ffn::kRelu{Activation::kRelu, false};
inline constexpr Ffn Ffn::kReluSquared{Activation::kReluSquared, false};
inline constexpr Ffn Ffn::kSwiglu{Activation::kSilu, true};
inline constexpr Ffn Ffn::kGegluTanh{Activation::kGeluTanh, true};
inline constexpr Ffn Ffn::kGegluErf{Activation::kGeluErf, true};

enum class Norm { kLayerNorm, kRmsNorm };

/// What a norm multiplies its normalised row by.
enum class NormGain {
  kGain,         // its vector g
  kOnePlusGain,  // 1 + g (Gemma; Nemotron's LayerNorm1P)
  kNone,         // nothing, and there is no bias either (OLMo 1)
};

/// Where the norms of a block stand; f is attention or the FFN.
enum class NormPlacement {
  kBefore,         // x + f(norm(x)), GPT-2
  kAfter,          // x + norm(f(x)), OLMo 2
  kBoth,           // x + norm_after(f(norm(x))), Gemma 2
  kAfterResidual,  // norm(x + f(x)), OPT-350m and the first transformers
};

/// How attention and the FFN of a block follow one another.
enum class BlockOrder {
  kSequential,        // x += attention(norm1(x)); x += ffn(norm2(x))
  kParallel,          // x += attention(norm(x)) + ffn(norm(x)): one norm, GPT-J, Phi, Command-R
  kParallelTwoNorms,  // x += attention(norm1(x)) + ffn(norm2(x)): GPT-NeoX, Falcon-40B
};

/// A norm of queries and keys, of the model's own Norm and NormGain, after the biases and before
/// RoPE.
enum class QkNorm {
  kNone,
  kHead,      // over each head's HS elements; one gain [HS] for all query heads, one for all keys
  kEachHead,  // over each head's HS elements; a gain for each head, [NH, HS] and [NKV, HS]
  kRow,       // over the whole row: gains [NH·HS] and [NKV·HS] (OLMo 2)
};

enum class Position {
  kLearned,  // row position_offset + t of a table [context_length + position_offset, C] is added
  kRope,     // queries and keys are rotated (Su et al. 2021), where the layer's kind says so
  kAlibi,    // slope(head)·(key − query) is added to each score (Press et al. 2022)
  kNone,
};

/// Which elements of a head RoPE rotates together, of the first D = rope_dims.
enum class RopePairs {
  kHalves,    // i with i + D/2 (GPT-NeoX, Llama as Hugging Face stores it)
  kAdjacent,  // 2i with 2i + 1 (GPT-J, Cohere, DeepSeek)
};

/// How RoPE's angles t·θ^(−2i/D) are changed for contexts beyond the trained one. Formulas: the
/// library transformers, modeling_rope_utils.py; YaRN: Peng et al. 2023; LongRoPE: Ding et al.
/// 2024. No count depends on it.
struct RopeScaling {
  enum class Kind {
    kNone,
    kLinear,    // angles divided by factor
    kDynamic,   // θ grows where T exceeds original_context: θ·(factor·T/original − factor +
                // 1)^(D/(D−2))
    kLlama3,    // long wavelengths divided by factor, short ones kept, between them mixed
    kYarn,      // likewise by a ramp from beta_fast to beta_slow; cos and sin times a factor
    kLongRope,  // each frequency divided by its own long_factor or short_factor
    kUnknown,   // another one: it can be accounted for, and not run
  };
  Kind kind = Kind::kNone;
  double factor = 1;
  double low_freq_factor = 1, high_freq_factor = 4;  // llama3
  double beta_fast = 32, beta_slow = 1;              // yarn
  bool truncate = true;                              // yarn: the ramp's ends are whole numbers
  double mscale = 0, mscale_all_dim = 0;             // yarn, DeepSeek's; 0: not given
  double attention_factor = 0;   // cos and sin are times it (yarn, longrope); 0: by the formula
  int64_t original_context = 0;  // original_max_position_embeddings; 0: not given
  std::vector<double> short_factor, long_factor;  // longrope: D/2 each

  bool operator==(const RopeScaling&) const = default;
};

/// Which products and norms add a vector.
struct Biases {
  bool qkv = false;            // queries, keys and values
  bool attention_out = false;  // attention's output projection
  bool ffn_up = false;         // the FFN's first product, and its gate's; experts' as well
  bool ffn_down = false;       // the FFN's second product; experts' as well
  bool norm = false;           // every LayerNorm of a block and the final one; never of RMSNorm
  bool qk_norm = false;        // the norms of queries and keys
  bool lm_head = false;
  bool operator==(const Biases&) const = default;

  /// On every product of a block and, of a model with LayerNorm, on the norms: GPT-2's.
  static constexpr Biases OfBlock(bool all, Norm norm, NormGain gain = NormGain::kGain) {
    return {all,   all,  all, all, all && norm == Norm::kLayerNorm && gain != NormGain::kNone,
            false, false};
  }
};

/// What may differ from layer to layer.
struct LayerKind {
  int64_t window = 0;    // a query at t sees the keys t − window + 1 … t; 0: all up to t
  bool rope = true;      // rotated, where position is kRope (SmolLM3: not every fourth layer)
  bool experts = false;  // the FFN is a mixture of experts (ModelConfig::experts), not of d_ff
  bool operator==(const LayerKind&) const = default;
};

/// A mixture of experts in place of the FFN (Shazeer et al. 2017; Fedus et al. 2021). A router
/// [C, count] chooses per_token of `count` FFNs for each token; their outputs are summed with the
/// router's weights. Shared experts see every token. The activation is the model's.
struct Experts {
  int64_t count = 0;  // routed; 0: the model has none
  int64_t per_token = 0;
  int64_t d_ff = 0;             // of one routed expert
  int64_t shared_d_ff = 0;      // of all shared experts together; 0: none
  bool shared_gate = false;     // the shared output times sigmoid(x·[C, 1]) (Qwen2-MoE)
  bool router_bias = false;     // a bias [count], or DeepSeek-V3's correction, which is stored too
  bool router_sigmoid = false;  // weights by sigmoid instead of softmax
  bool operator==(const Experts&) const = default;
};

/// Multi-head latent attention (DeepSeek-AI 2024, DeepSeek-V2): queries (optionally), keys and
/// values through low ranks. A head's queries and keys have nope + rope elements, its values
/// value; the rope part of the keys is one for all heads. The cache holds kv_rank + rope numbers a
/// token. An RMSNorm follows each of the two low-rank products.
struct LatentAttention {
  int64_t q_rank = 0;   // 0: queries come by one product
  int64_t kv_rank = 0;  // 0: the model has no latent attention
  int64_t nope = 0, rope = 0, value = 0;
  bool operator==(const LatentAttention&) const = default;
};

/// What follows the last norm.
enum class Head {
  kLm,     // logits over the vocabulary at every position
  kScore,  // a matrix [C, num_labels] without bias, in place of the logits
           // (…ForSequenceClassification)
  kNone,   // nothing (the bare …Model)
};

/// A decoder-only transformer. The defaults are GPT-2's.
struct ModelConfig {
  std::string name;
  int64_t vocab_size = 0;
  int64_t context_length = 0;
  int64_t num_layers = 0;
  int64_t d_model = 0;
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;    // below num_heads: grouped-query attention
  int64_t own_head_size = 0;   // HS where it is not d_model / num_heads; 0: it is
  int64_t d_ff = 0;            // of the layers without experts
  int64_t embedding_size = 0;  // E of the token table where it is not d_model (OPT-350m), with
                               // products [E, C] after it and [C, E] before the logits; 0: C
  Ffn ffn;
  double ffn_limit = 0;  // gpt-oss clamps gate and up at ± this, and adds 1 to up; 0: it does not
  Norm norm = Norm::kLayerNorm;
  NormGain norm_gain = NormGain::kGain;
  NormPlacement norm_placement = NormPlacement::kBefore;
  BlockOrder block = BlockOrder::kSequential;
  QkNorm qk_norm = QkNorm::kNone;
  bool embedding_norm = false;  // a norm of the embedded tokens (BLOOM)
  bool final_norm = true;       // a norm before the logits
  double norm_eps = 1e-5;
  Biases biases{Biases::OfBlock(true, Norm::kLayerNorm)};

  Position position = Position::kLearned;
  int64_t position_offset = 0;  // OPT: 2 rows of the table before position 0
  double rope_theta = 10000.0;
  int64_t rope_dims = 0;  // the elements of a head that are rotated, the first ones; 0: all
  RopePairs rope_pairs = RopePairs::kHalves;
  RopeScaling rope_scaling;

  /// The kinds of layers there are, at most 32, and which of them each layer is: layer i is of kind
  /// layer_pattern[i mod its size].
  std::vector<LayerKind> layer_kinds{LayerKind{}};
  std::vector<int32_t> layer_pattern{0};
  Experts experts;
  LatentAttention latent;
  bool attention_sinks = false;  // a learned logit a head joins each softmax (gpt-oss)

  double embedding_multiplier = 1;  // embedded tokens times it (Gemma: √C)
  double attention_multiplier = 0;  // scores times it; 0: 1/√(HS)
  double residual_multiplier = 1;   // what each half of a block adds, times it (Granite)
  double logit_multiplier = 1;      // logits times it (Command-R; Granite: 1/logits_scaling)
  double attention_softcap = 0;     // c·tanh(scores/c) (Gemma 2); 0: none
  double logit_softcap = 0;         // c·tanh(logits/c); 0: none
  double clip_qkv = 0;          // queries, keys and values clamped at ± this (OLMo, DBRX); 0: not
  bool scale_by_layer = false;  // scores of layer i divided by i + 1 as well (GPT-2's option)

  bool tie_embeddings = true;  // the logits' matrix is the token table; without an LM head, unread
  Head head = Head::kLm;
  int64_t num_labels = 0;    // of a score head
  int64_t head_columns = 0;  // of the LM head, where they are not the whole vocabulary but one
                             // rank's part of it (model/shard.h); no config says so

  std::string dtype;               // that the config names for its weights ("bf16"); empty: none
  std::vector<std::string> notes;  // what a reader of the figures should know of the config

  int64_t head_size() const {  // of queries and keys
    if (latent.kv_rank > 0) return latent.nope + latent.rope;
    return own_head_size > 0 ? own_head_size : d_model / num_heads;
  }
  int64_t value_size() const { return latent.kv_rank > 0 ? latent.value : head_size(); }
  /// Columns of the joint query, key and value product: (NH + 2·NKV)·HS.
  int64_t qkv_size() const { return (num_heads + 2 * num_kv_heads) * head_size(); }
  /// Columns of attention's output, before its projection to d_model.
  int64_t attention_size() const { return num_heads * value_size(); }
  int64_t rotated_size() const {  // of each head
    if (latent.kv_rank > 0) return latent.rope;
    return rope_dims > 0 ? rope_dims : head_size();
  }
  int64_t embedded_size() const { return embedding_size > 0 ? embedding_size : d_model; }
  int64_t outputs() const {  // of the head
    const int64_t logits = head_columns > 0 ? head_columns : vocab_size;
    return head == Head::kLm ? logits : head == Head::kScore ? num_labels : 0;
  }
  bool has_gate() const { return ffn.gated; }
  bool has_norm_bias() const { return biases.norm; }
  bool has_own_lm_head() const { return head == Head::kLm && !tie_embeddings; }
  bool is_parallel() const { return block != BlockOrder::kSequential; }
  /// Index into layer_kinds of layer i.
  int32_t kind_of_layer(int64_t i) const {
    return layer_pattern[static_cast<std::size_t>(i) % layer_pattern.size()];
  }
  /// Whether the FFN of some layers is of experts.
  bool has_experts() const { return experts.count > 0; }
  /// How many of the first `layers` layers are of kind `kind`.
  int64_t LayersOfKind(int32_t kind, int64_t layers) const;
};

/// Sets layer_kinds and layer_pattern from `layers`, which is repeated over the layers of the
/// model. Throws InputError for more than 32 different ones.
void SetLayers(ModelConfig& config, std::span<const LayerKind> layers, const std::string& where);

/// The built-in models, in the order in which `presets` lists them.
std::span<const ModelConfig> Presets();

/// A preset's name, a path to a JSON file of ours or Hugging Face's, or a folder with a
/// config.json. Throws InputError.
ModelConfig LoadModel(const std::string& name_or_path);

/// Our own JSON keys or a Hugging Face config.json, told apart by `model_type`. `where` names the
/// source in errors. Throws InputError for an unknown key, a wrong type or a value out of range.
ModelConfig ParseModel(const nlohmann::json& json, const std::string& where);

/// An FFN's name among our own keys: "gelu", "swiglu".
std::string_view FfnName(Ffn ffn);

/// The keys of ToJson beyond the first sixteen that a derivation for GPT-2's and Llama's block
/// alone would have to know: none that no count depends on.
std::vector<std::string> KeysBeyondPlain(const ModelConfig& config);

/// The config under our own keys; ParseModel reads it back. Keys beyond the first sixteen stand
/// there only where they differ from their default.
nlohmann::json ToJson(const ModelConfig& config);

/// Throws InputError where sizes do not fit together (heads that do not divide d_model, …).
void Validate(const ModelConfig& config, const std::string& where);

/// Throws InputError unless this model can process `context` positions in `batch` sequences:
/// learned positions end at context_length, rotary ones do not.
void ValidateRunShape(const ModelConfig& config, int64_t context, int64_t batch);

}  // namespace flopledger
