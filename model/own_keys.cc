#include "model/own_keys.h"

#include <fmt/format.h>

namespace flopledger {
namespace {

using nlohmann::json;

// "gelu" is the tanh form, as in GPT-2; the exact form has a name of its own.
constexpr Named<Ffn> kFfnNames[] = {{{Activation::kGeluTanh, false}, "gelu"},
                                    {{Activation::kGeluErf, false}, "gelu_exact"},
                                    {{Activation::kGeluSigmoid, false}, "gelu_sigmoid"},
                                    {{Activation::kRelu, false}, "relu"},
                                    {{Activation::kReluSquared, false}, "relu2"},
                                    {{Activation::kSilu, false}, "silu"},
                                    {{Activation::kGeluTanh, true}, "geglu"},
                                    {{Activation::kGeluErf, true}, "geglu_exact"},
                                    {{Activation::kGeluSigmoid, true}, "geglu_sigmoid"},
                                    {{Activation::kRelu, true}, "reglu"},
                                    {{Activation::kReluSquared, true}, "reglu2"},
                                    {{Activation::kSilu, true}, "swiglu"}};
constexpr Named<Norm> kNormNames[] = {{Norm::kLayerNorm, "layernorm"}, {Norm::kRmsNorm, "rmsnorm"}};
constexpr Named<NormGain> kGainNames[] = {{NormGain::kGain, "gain"},
                                          {NormGain::kOnePlusGain, "one_plus_gain"},
                                          {NormGain::kNone, "none"}};
constexpr Named<NormPlacement> kPlacementNames[] = {
    {NormPlacement::kBefore, "before"},
    {NormPlacement::kAfter, "after"},
    {NormPlacement::kBoth, "both"},
    {NormPlacement::kAfterResidual, "after_residual"}};
constexpr Named<BlockOrder> kBlockNames[] = {{BlockOrder::kSequential, "sequential"},
                                             {BlockOrder::kParallel, "parallel"},
                                             {BlockOrder::kParallelTwoNorms, "parallel_two_norms"}};
constexpr Named<QkNorm> kQkNormNames[] = {{QkNorm::kNone, "none"},
                                          {QkNorm::kHead, "head"},
                                          {QkNorm::kEachHead, "each_head"},
                                          {QkNorm::kRow, "row"}};
constexpr Named<Position> kPositionNames[] = {{Position::kLearned, "learned"},
                                              {Position::kRope, "rope"},
                                              {Position::kAlibi, "alibi"},
                                              {Position::kNone, "none"}};
constexpr Named<RopePairs> kPairNames[] = {{RopePairs::kHalves, "halves"},
                                           {RopePairs::kAdjacent, "adjacent"}};
constexpr Named<RopeScaling::Kind> kScalingNames[] = {
    {RopeScaling::Kind::kNone, "none"},       {RopeScaling::Kind::kLinear, "linear"},
    {RopeScaling::Kind::kDynamic, "dynamic"}, {RopeScaling::Kind::kLlama3, "llama3"},
    {RopeScaling::Kind::kYarn, "yarn"},       {RopeScaling::Kind::kLongRope, "longrope"},
    {RopeScaling::Kind::kUnknown, "unknown"}};
constexpr Named<Head> kHeadNames[] = {
    {Head::kLm, "lm"}, {Head::kScore, "score"}, {Head::kNone, "none"}};

/// One field and its key: read into the config, written where it differs from the default.
template <class Owner>
struct Field {
  const char* key;
  void (*read)(const ObjectReader&, const char* key, Owner&);
  void (*write)(const Owner&, const Owner& otherwise, const char* key, json&);
};

template <auto member, class Owner>
void WriteField(const Owner& from, const Owner& otherwise, const char* key, json& out) {
  if (from.*member != otherwise.*member) out[key] = from.*member;
}

template <auto member, class Owner>
constexpr Field<Owner> SizeField(const char* key) {
  return {key,
          [](const ObjectReader& in, const char* name, Owner& to) {
            to.*member = in.SizeOrZero(name, to.*member);
          },
          WriteField<member, Owner>};
}

template <auto member, class Owner>
constexpr Field<Owner> NumberField(const char* key) {
  return {key,
          [](const ObjectReader& in, const char* name, Owner& to) {
            to.*member = in.Number(name, to.*member);
          },
          WriteField<member, Owner>};
}

template <auto member, class Owner>
constexpr Field<Owner> FlagField(const char* key) {
  return {key,
          [](const ObjectReader& in, const char* name, Owner& to) {
            to.*member = in.Flag(name, to.*member);
          },
          WriteField<member, Owner>};
}

template <auto member, const auto& names, class Owner>
constexpr Field<Owner> NamedField(const char* key) {
  return {key,
          [](const ObjectReader& in, const char* name, Owner& to) {
            to.*member = in.OneOf(name, to.*member, names);
          },
          [](const Owner& from, const Owner& otherwise, const char* name, json& out) {
            if (from.*member != otherwise.*member) out[name] = NameOf(from.*member, names);
          }};
}

using M = ModelConfig;
constexpr Field<M> kModelFields[] = {
    SizeField<&M::own_head_size, M>("head_size"),
    SizeField<&M::embedding_size, M>("embedding_size"),
    NumberField<&M::ffn_limit, M>("ffn_limit"),
    NamedField<&M::norm_gain, kGainNames, M>("norm_gain"),
    NamedField<&M::norm_placement, kPlacementNames, M>("norm_placement"),
    NamedField<&M::block, kBlockNames, M>("block"),
    NamedField<&M::qk_norm, kQkNormNames, M>("qk_norm"),
    FlagField<&M::embedding_norm, M>("embedding_norm"),
    SizeField<&M::position_offset, M>("position_offset"),
    SizeField<&M::rope_dims, M>("rope_dims"),
    NamedField<&M::rope_pairs, kPairNames, M>("rope_pairs"),
    FlagField<&M::attention_sinks, M>("attention_sinks"),
    NumberField<&M::embedding_multiplier, M>("embedding_multiplier"),
    NumberField<&M::attention_multiplier, M>("attention_multiplier"),
    NumberField<&M::residual_multiplier, M>("residual_multiplier"),
    NumberField<&M::logit_multiplier, M>("logit_multiplier"),
    NumberField<&M::attention_softcap, M>("attention_softcap"),
    NumberField<&M::logit_softcap, M>("logit_softcap"),
    NumberField<&M::clip_qkv, M>("clip_qkv"),
    FlagField<&M::scale_by_layer, M>("scale_by_layer"),
    NamedField<&M::head, kHeadNames, M>("head"),
    SizeField<&M::num_labels, M>("num_labels"),
};

constexpr Field<Biases> kBiasFields[] = {
    FlagField<&Biases::qkv, Biases>("qkv_bias"),
    FlagField<&Biases::attention_out, Biases>("attention_out_bias"),
    FlagField<&Biases::ffn_up, Biases>("ffn_up_bias"),
    FlagField<&Biases::ffn_down, Biases>("ffn_down_bias"),
    FlagField<&Biases::norm, Biases>("norm_bias"),
    FlagField<&Biases::qk_norm, Biases>("qk_norm_bias"),
    FlagField<&Biases::lm_head, Biases>("lm_head_bias"),
};

constexpr Field<LayerKind> kKindFields[] = {
    SizeField<&LayerKind::window, LayerKind>("window"),
    FlagField<&LayerKind::rope, LayerKind>("rope"),
    FlagField<&LayerKind::experts, LayerKind>("experts"),
};

constexpr Field<Experts> kExpertFields[] = {
    SizeField<&Experts::count, Experts>("count"),
    SizeField<&Experts::per_token, Experts>("per_token"),
    SizeField<&Experts::d_ff, Experts>("d_ff"),
    SizeField<&Experts::shared_d_ff, Experts>("shared_d_ff"),
    FlagField<&Experts::shared_gate, Experts>("shared_gate"),
    FlagField<&Experts::router_bias, Experts>("router_bias"),
    FlagField<&Experts::router_sigmoid, Experts>("router_sigmoid"),
};

using Latent = LatentAttention;
constexpr Field<Latent> kLatentFields[] = {
    SizeField<&Latent::q_rank, Latent>("q_rank"), SizeField<&Latent::kv_rank, Latent>("kv_rank"),
    SizeField<&Latent::nope, Latent>("nope"),     SizeField<&Latent::rope, Latent>("rope"),
    SizeField<&Latent::value, Latent>("value"),
};

using Scaling = RopeScaling;
constexpr Field<Scaling> kScalingFields[] = {
    NamedField<&Scaling::kind, kScalingNames, Scaling>("kind"),
    NumberField<&Scaling::factor, Scaling>("factor"),
    NumberField<&Scaling::low_freq_factor, Scaling>("low_freq_factor"),
    NumberField<&Scaling::high_freq_factor, Scaling>("high_freq_factor"),
    NumberField<&Scaling::beta_fast, Scaling>("beta_fast"),
    NumberField<&Scaling::beta_slow, Scaling>("beta_slow"),
    FlagField<&Scaling::truncate, Scaling>("truncate"),
    NumberField<&Scaling::mscale, Scaling>("mscale"),
    NumberField<&Scaling::mscale_all_dim, Scaling>("mscale_all_dim"),
    NumberField<&Scaling::attention_factor, Scaling>("attention_factor"),
    SizeField<&Scaling::original_context, Scaling>("original_context"),
};

template <class Owner, std::size_t n>
void ReadFields(const ObjectReader& in, const Field<Owner> (&fields)[n], Owner& to) {
  for (const Field<Owner>& field : fields) field.read(in, field.key, to);
}

template <class Owner, std::size_t n>
void WriteFields(const Owner& from, const Owner& otherwise, const Field<Owner> (&fields)[n],
                 json& out) {
  for (const Field<Owner>& field : fields) field.write(from, otherwise, field.key, out);
}

template <class Owner, std::size_t n>
void AddKeys(const Field<Owner> (&fields)[n], std::vector<std::string>& keys) {
  for (const Field<Owner>& field : fields) keys.emplace_back(field.key);
}

/// An object of fields under a key of its own.
template <class Owner, std::size_t n>
void ReadObject(const ObjectReader& in, const char* key, const Field<Owner> (&fields)[n], Owner& to,
                std::vector<std::string> more_keys = {}) {
  if (!in.Has(key)) return;
  const ObjectReader object = in.Object(key);
  AddKeys(fields, more_keys);
  object.AllowOnly(more_keys);
  ReadFields(object, fields, to);
}

template <class Owner, std::size_t n>
void WriteObject(const Owner& from, const char* key, const Field<Owner> (&fields)[n], json& out) {
  json object = json::object();
  WriteFields(from, Owner{}, fields, object);
  if (!object.empty()) out[key] = std::move(object);
}

/// The kinds of layers, from a list that is repeated over the layers.
void ReadLayers(const ObjectReader& in, ModelConfig& config) {
  if (!in.Has("layers")) return;
  const json& list = in.raw()["layers"];
  if (!list.is_array() || list.empty()) {
    in.Fail("layers", "must be a list of objects, which is repeated over the layers");
  }
  std::vector<LayerKind> layers;
  for (const json& entry : list) {
    const ObjectReader one(entry, in.where() + ": 'layers'");
    std::vector<std::string> keys;
    AddKeys(kKindFields, keys);
    one.AllowOnly(keys);
    ReadFields(one, kKindFields, layers.emplace_back());
  }
  SetLayers(config, layers, in.where());
}

void ReadScalingLists(const ObjectReader& in, RopeScaling& scaling) {
  if (!in.Has("rope_scaling")) return;
  const ObjectReader object = in.Object("rope_scaling");
  scaling.short_factor = object.Numbers("short_factor");
  scaling.long_factor = object.Numbers("long_factor");
}

constexpr const char* kBaseKeys[] = {"name",
                                     "vocab_size",
                                     "context_length",
                                     "num_layers",
                                     "d_model",
                                     "num_heads",
                                     "num_kv_heads",
                                     "d_ff",
                                     "ffn",
                                     "norm",
                                     "position",
                                     "bias",
                                     "tie_embeddings",
                                     "final_norm",
                                     "norm_eps",
                                     "rope_theta",
                                     "layers",
                                     "experts",
                                     "latent_attention",
                                     "rope_scaling",
                                     "dtype"};

}  // namespace

bool HasOwnKeys(const ObjectReader& in) {
  return in.Has("num_layers") && in.Has("d_model") && in.Has("num_heads");
}

ModelConfig FromOwnKeys(const ObjectReader& in) {
  std::vector<std::string> keys(std::begin(kBaseKeys), std::end(kBaseKeys));
  AddKeys(kModelFields, keys);
  AddKeys(kBiasFields, keys);
  in.AllowOnly(keys);
  ModelConfig config;
  config.name = in.Text("name", "");
  config.vocab_size = in.Size("vocab_size");
  config.context_length = in.Size("context_length");
  config.num_layers = in.Size("num_layers");
  config.d_model = in.Size("d_model");
  config.num_heads = in.Size("num_heads");
  config.num_kv_heads = in.Size("num_kv_heads", config.num_heads);
  config.d_ff = in.Size("d_ff", 4 * config.d_model);
  config.ffn = in.OneOf("ffn", config.ffn, kFfnNames);
  config.norm = in.OneOf("norm", config.norm, kNormNames);
  config.position = in.OneOf("position", config.position, kPositionNames);
  config.tie_embeddings = in.Flag("tie_embeddings", config.tie_embeddings);
  config.final_norm = in.Flag("final_norm", config.final_norm);
  config.norm_eps = in.Positive("norm_eps", config.norm_eps, 1.0);
  config.rope_theta = in.Positive("rope_theta", config.rope_theta, 1e15);
  config.dtype = in.Text("dtype", "");
  ReadFields(in, kModelFields, config);
  config.biases = Biases::OfBlock(in.Flag("bias", true), config.norm, config.norm_gain);
  ReadFields(in, kBiasFields, config.biases);
  ReadLayers(in, config);
  ReadObject(in, "experts", kExpertFields, config.experts);
  ReadObject(in, "latent_attention", kLatentFields, config.latent);
  ReadObject(in, "rope_scaling", kScalingFields, config.rope_scaling,
             {"short_factor", "long_factor"});
  ReadScalingLists(in, config.rope_scaling);
  return config;
}

std::string_view FfnName(Ffn ffn) { return NameOf(ffn, kFfnNames); }

std::vector<std::string> KeysBeyondPlain(const ModelConfig& config) {
  ModelConfig plain;  // with what no count depends on, and with the first sixteen keys
  plain.rope_pairs = config.rope_pairs;
  plain.rope_scaling = config.rope_scaling;
  plain.attention_multiplier = config.attention_multiplier;
  plain.scale_by_layer = config.scale_by_layer;
  plain.dtype = config.dtype;
  plain.norm = config.norm;
  plain.biases = Biases::OfBlock(config.biases.qkv, config.norm);
  const json known = ToJson(plain), all = ToJson(config);
  std::vector<std::string> keys;
  for (const auto& [key, value] : all.items()) {
    if (!known.contains(key)) keys.push_back(key);
  }
  return keys;
}

json ToJson(const ModelConfig& config) {
  const bool bias = config.biases.qkv;
  json out = {{"name", config.name},
              {"vocab_size", config.vocab_size},
              {"context_length", config.context_length},
              {"num_layers", config.num_layers},
              {"d_model", config.d_model},
              {"num_heads", config.num_heads},
              {"num_kv_heads", config.num_kv_heads},
              {"d_ff", config.d_ff},
              {"ffn", NameOf(config.ffn, kFfnNames)},
              {"norm", NameOf(config.norm, kNormNames)},
              {"position", NameOf(config.position, kPositionNames)},
              {"bias", bias},
              {"tie_embeddings", config.tie_embeddings},
              {"final_norm", config.final_norm},
              {"norm_eps", config.norm_eps},
              {"rope_theta", config.rope_theta}};
  WriteFields(config, ModelConfig{}, kModelFields, out);
  WriteFields(config.biases, Biases::OfBlock(bias, config.norm, config.norm_gain), kBiasFields,
              out);
  if (config.layer_kinds != ModelConfig{}.layer_kinds) {
    for (const int32_t kind : config.layer_pattern) {
      json entry = json::object();
      WriteFields(config.layer_kinds[static_cast<std::size_t>(kind)], LayerKind{}, kKindFields,
                  entry);
      out["layers"].push_back(std::move(entry));
    }
  }
  WriteObject(config.experts, "experts", kExpertFields, out);
  WriteObject(config.latent, "latent_attention", kLatentFields, out);
  WriteObject(config.rope_scaling, "rope_scaling", kScalingFields, out);
  if (!config.rope_scaling.short_factor.empty()) {
    out["rope_scaling"]["short_factor"] = config.rope_scaling.short_factor;
    out["rope_scaling"]["long_factor"] = config.rope_scaling.long_factor;
  }
  if (!config.dtype.empty()) out["dtype"] = config.dtype;
  return out;
}

}  // namespace flopledger
