#include "model/families/hugging_face.h"

#include <fmt/format.h>

#include <cmath>

namespace flopledger {
namespace {

constexpr Named<Activation> kActivations[] = {{Activation::kGeluTanh, "gelu_new"},
                                              {Activation::kGeluTanh, "gelu_fast"},
                                              {Activation::kGeluTanh, "gelu_pytorch_tanh"},
                                              {Activation::kGeluTanh, "gelu_python_tanh"},
                                              {Activation::kGeluTanh, "gelu_accurate"},
                                              {Activation::kGeluErf, "gelu"},
                                              {Activation::kGeluErf, "gelu_python"},
                                              {Activation::kGeluSigmoid, "quick_gelu"},
                                              {Activation::kRelu, "relu"},
                                              {Activation::kReluSquared, "relu2"},
                                              {Activation::kSilu, "silu"},
                                              {Activation::kSilu, "swish"}};

constexpr Named<RopeScaling::Kind> kScalings[] = {
    {RopeScaling::Kind::kNone, "default"},      {RopeScaling::Kind::kNone, "gptj"},
    {RopeScaling::Kind::kNone, "mrope"},        {RopeScaling::Kind::kLinear, "linear"},
    {RopeScaling::Kind::kDynamic, "dynamic"},   {RopeScaling::Kind::kDynamic, "ntk"},
    {RopeScaling::Kind::kLlama3, "llama3"},     {RopeScaling::Kind::kYarn, "yarn"},
    {RopeScaling::Kind::kLongRope, "longrope"}, {RopeScaling::Kind::kLongRope, "su"}};

constexpr double kLargestTheta = 1e15, kLargestFactor = 1e9;

void Note(ModelConfig& config, std::string text) { config.notes.push_back(std::move(text)); }

int64_t SizeOf(const ObjectReader& in, const std::vector<std::string>& keys, int64_t otherwise) {
  const std::string key = in.FirstOf(keys);
  return otherwise > 0 ? in.Size(key, otherwise) : in.Size(key);
}

/// Reads the object of rope_scaling or rope_parameters, and returns its kind's name.
void ReadScaling(const ObjectReader& in, ModelConfig& config) {
  RopeScaling& scaling = config.rope_scaling;
  const std::string key = in.Has("rope_type") ? "rope_type" : "type";
  const std::string type = in.Text(key, "default");
  const auto found = std::ranges::find(kScalings, type, &Named<RopeScaling::Kind>::name);
  if (found == std::end(kScalings)) {
    Note(config, fmt::format("rotary scaling '{}' is not known; no count depends on it", type));
    scaling.kind = RopeScaling::Kind::kUnknown;
    return;
  }
  scaling.kind = found->value;
  scaling.factor = in.Positive("factor", scaling.factor, kLargestFactor);
  scaling.low_freq_factor = in.Positive("low_freq_factor", 1, kLargestFactor);
  scaling.high_freq_factor = in.Positive("high_freq_factor", 4, kLargestFactor);
  scaling.beta_fast = in.Number("beta_fast", 32);
  scaling.beta_slow = in.Number("beta_slow", 1);
  scaling.truncate = in.Flag("truncate", true);
  scaling.mscale = in.Number("mscale", 0);
  scaling.mscale_all_dim = in.Number("mscale_all_dim", 0);
  scaling.attention_factor = in.Number("attention_factor", 0);
  scaling.original_context = in.SizeOrZero("original_max_position_embeddings", 0);
  scaling.short_factor = in.Numbers("short_factor");
  scaling.long_factor = in.Numbers("long_factor");
}

/// The part of each head that is rotated, as a number of elements.
void SetPartial(const ObjectReader& in, const std::string& key, double partial,
                ModelConfig& config) {
  if (partial == 1) return;
  const auto size = static_cast<double>(config.head_size());
  config.rope_dims = static_cast<int64_t>(size * partial);
  if (config.rope_dims < 1) in.Fail(key, "rotates no element of a head");
}

}  // namespace

void ReadSizes(const ObjectReader& in, const SizeDefaults& defaults, ModelConfig& config) {
  const SizeKeys keys;
  config.vocab_size = SizeOf(in, {"vocab_size", "padded_vocab_size"}, defaults.vocab_size);
  // Several of them may be there with different meanings; the first of the list is the longest.
  const auto context =
      std::ranges::find_if(keys.context, [&](const auto& key) { return in.Has(key); });
  config.context_length = context != keys.context.end()
                              ? in.Size(*context)
                              : SizeOf(in, keys.context, defaults.context);
  config.num_layers = SizeOf(in, keys.num_layers, defaults.num_layers);
  config.d_model = SizeOf(in, keys.d_model, defaults.d_model);
  config.num_heads = SizeOf(in, keys.num_heads, defaults.num_heads);
  // A null says that each head has its own keys and values, whatever the class's default.
  const bool own = defaults.num_kv_heads < 1 || in.raw().contains("num_key_value_heads");
  config.num_kv_heads = SizeOf(in, {"num_key_value_heads", "num_kv_heads"},
                               own ? config.num_heads : defaults.num_kv_heads);
  const int64_t d_ff =
      defaults.d_ff == SizeDefaults::kFourTimes ? 4 * config.d_model : defaults.d_ff;
  config.d_ff = SizeOf(in, keys.d_ff, d_ff);
  const bool divides = config.d_model % config.num_heads == 0;
  const bool has_size =
      in.Has("head_dim") || (defaults.head_size > 0 && !in.raw().contains("head_dim"));
  if (!has_size) return;
  const int64_t head = in.Size("head_dim", std::max(defaults.head_size, int64_t{1}));
  if (!divides || head != config.d_model / config.num_heads) config.own_head_size = head;
}

void RefuseGroups(const ObjectReader& in, const ModelConfig& config) {
  if (config.num_kv_heads == config.num_heads) return;
  const std::string key = in.FirstOf({"num_key_value_heads", "num_kv_heads"});
  in.Fail(key, fmt::format("must be the number of heads, {}: this family has no grouped queries",
                           config.num_heads));
}

Activation ReadActivation(const ObjectReader& in, const std::vector<std::string>& keys,
                          const std::string& otherwise) {
  for (const std::string& key : keys) {
    if (in.Has(key)) return in.OneOf(key, Activation::kGeluTanh, kActivations);
  }
  return std::ranges::find(kActivations, otherwise, &Named<Activation>::name)->value;
}

void UseRmsNorm(const ObjectReader& in, double eps, ModelConfig& config) {
  config.norm = Norm::kRmsNorm;
  config.biases.norm = false;
  const std::string key = in.FirstOf({"rms_norm_eps", "norm_eps", "layer_norm_epsilon"});
  config.norm_eps = in.Positive(key, eps, 1.0);
}

void UseLayerNorm(const ObjectReader& in, const std::vector<std::string>& keys, double eps,
                  bool bias, ModelConfig& config) {
  config.norm = Norm::kLayerNorm;
  config.biases.norm = bias;
  config.norm_eps = in.Positive(in.FirstOf(keys), eps, 1.0);
}

void UseRope(const ObjectReader& in, const RopeDefaults& defaults, ModelConfig& config) {
  config.position = Position::kRope;
  config.rope_pairs = defaults.pairs;
  config.rope_theta = in.Positive(in.FirstOf(defaults.theta_keys), defaults.theta, kLargestTheta);
  const std::string partial_key = in.FirstOf(defaults.partial_keys);
  double partial = in.Positive(partial_key, defaults.partial, 1);
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    if (!in.Has(key)) continue;
    const ObjectReader rope = in.Object(key);
    config.rope_theta = rope.Positive("rope_theta", config.rope_theta, kLargestTheta);
    partial = rope.Positive("partial_rotary_factor", partial, 1);
    ReadScaling(rope, config);
  }
  if (in.Has("original_max_position_embeddings") && config.rope_scaling.original_context == 0) {
    config.rope_scaling.original_context = in.Size("original_max_position_embeddings");
  }
  SetPartial(in, partial_key, partial, config);
}

void UseRope(const ObjectReader& in, ModelConfig& config) { UseRope(in, RopeDefaults{}, config); }

int64_t WindowOf(const ObjectReader& in, int64_t otherwise) {
  if (!in.Has("sliding_window")) return in.raw().contains("sliding_window") ? 0 : otherwise;
  return in.SizeOrZero("sliding_window", 0);
}

void SetAllExperts(ModelConfig& config) {
  for (LayerKind& kind : config.layer_kinds) kind.experts = true;
}

void DropUnusedExperts(ModelConfig& config) {
  const bool used = std::ranges::any_of(config.layer_kinds, &LayerKind::experts);
  if (!used) config.experts = {};
}

void SetWindow(int64_t window, ModelConfig& config) {
  config.layer_kinds = {LayerKind{.window = window}};
  config.layer_pattern = {0};
}

bool ReadLayerTypes(const ObjectReader& in, int64_t window, ModelConfig& config) {
  const std::vector<std::string> types = in.Texts("layer_types");
  if (types.empty()) return false;
  if (static_cast<int64_t>(types.size()) != config.num_layers) {
    in.Fail("layer_types", fmt::format("must name each of the {} layers, names {}",
                                       config.num_layers, types.size()));
  }
  MakeLayers(in, config, [&](int64_t i) {
    const std::string& type = types[static_cast<std::size_t>(i)];
    if (type == "full_attention") return LayerKind{};
    if (type != "sliding_attention") {
      in.Fail("layer_types", fmt::format("names '{}'; full_attention and sliding_attention are "
                                         "known",
                                         type));
    }
    if (window < 1) in.Fail("sliding_window", "is missing, and layer_types names sliding layers");
    return LayerKind{.window = window};
  });
  return true;
}

void Require(const ObjectReader& in, const std::string& key, bool value) {
  if (in.Flag(key, value) != value) in.Fail(key, "is not supported with this value");
}

}  // namespace flopledger
