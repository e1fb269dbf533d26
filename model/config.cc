#include "model/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <vector>

#include "model/json.h"

namespace flopledger {
namespace {

using nlohmann::json;

constexpr int64_t kLargestSize = 1'000'000'000'000;

template <class Enum>
struct Named {
  Enum value;
  std::string_view name;
};
// "gelu" is the tanh form, as in GPT-2; the exact form has a name of its own.
constexpr Named<Ffn> kFfnNames[] = {{Ffn::kGeluTanh, "gelu"},
                                    {Ffn::kGeluErf, "gelu_exact"},
                                    {Ffn::kRelu, "relu"},
                                    {Ffn::kSwiglu, "swiglu"}};
constexpr Named<Norm> kNormNames[] = {{Norm::kLayerNorm, "layernorm"}, {Norm::kRmsNorm, "rmsnorm"}};
constexpr Named<Position> kPositionNames[] = {
    {Position::kLearned, "learned"}, {Position::kRope, "rope"}, {Position::kNone, "none"}};

template <class Enum, std::size_t n>
std::string_view NameOf(Enum value, const Named<Enum> (&names)[n]) {
  return std::ranges::find(names, value, &Named<Enum>::value)->name;
}

/// One JSON object, read key by key; each getter throws InputError that names the key.
class ObjectReader {
 public:
  ObjectReader(const json& object, std::string where) : object_(object), where_(std::move(where)) {
    if (!object.is_object()) throw InputError(fmt::format("{}: must be a JSON object", where_));
  }

  bool Has(const char* key) const { return object_.contains(key) && !object_[key].is_null(); }

  int64_t Size(const char* key) const {
    if (!Has(key)) Fail(key, "is missing");
    return CheckSize(key);
  }
  int64_t Size(const char* key, int64_t otherwise) const {
    return Has(key) ? CheckSize(key) : otherwise;
  }

  bool Flag(const char* key, bool otherwise) const {
    if (!Has(key)) return otherwise;
    if (!object_[key].is_boolean()) Fail(key, "must be true or false");
    return object_[key].get<bool>();
  }

  /// A number above 0 and at most `largest`.
  double Positive(const char* key, double otherwise, double largest) const {
    if (!Has(key)) return otherwise;
    if (!object_[key].is_number()) Fail(key, "must be a number");
    const double value = object_[key].get<double>();
    if (!(value > 0 && value <= largest)) {
      Fail(key, fmt::format("must be above 0 and at most {}", largest));
    }
    return value;
  }

  std::string Text(const char* key, const std::string& otherwise) const {
    if (!Has(key)) return otherwise;
    if (!object_[key].is_string()) Fail(key, "must be a string");
    return object_[key].get<std::string>();
  }

  template <class Enum, std::size_t n>
  Enum OneOf(const char* key, Enum otherwise, const Named<Enum> (&names)[n]) const {
    if (!Has(key)) return otherwise;
    const std::string text = Text(key, "");
    const auto found = std::ranges::find(names, text, &Named<Enum>::name);
    if (found != std::end(names)) return found->value;
    std::vector<std::string> allowed;
    for (const auto& entry : names) allowed.emplace_back(entry.name);
    Fail(key, "is not known" + Suggest(text, allowed));
  }

  /// Fails unless every key is one of `known` and none of them is null.
  void AllowOnly(const std::vector<std::string>& known) const {
    for (const auto& [key, value] : object_.items()) {
      if (std::ranges::find(known, key) == known.end()) {
        throw InputError(fmt::format("{}: unknown key '{}'{}", where_, key, Suggest(key, known)));
      }
      if (value.is_null()) Fail(key.c_str(), "must have a value");
    }
  }

  [[noreturn]] void Fail(const char* key, const std::string& what) const {
    const std::string found = object_.contains(key) ? " (found " + object_[key].dump() + ")" : "";
    throw InputError(fmt::format("{}: '{}' {}{}", where_, key, what, found));
  }

 private:
  int64_t CheckSize(const char* key) const {
    const json& value = object_[key];
    if (!value.is_number_integer()) Fail(key, "must be an integer");
    const bool fits = !value.is_number_unsigned() || value.get<uint64_t>() <= kLargestSize;
    if (!fits || value.get<int64_t>() < 1 || value.get<int64_t>() > kLargestSize) {
      Fail(key, fmt::format("must be from 1 to {}", kLargestSize));
    }
    return value.get<int64_t>();
  }

  const json& object_;
  std::string where_;
};

ModelConfig FromOwnKeys(const ObjectReader& in) {
  static const std::vector<std::string> kKeys = {
      "name",      "vocab_size",   "context_length", "num_layers", "d_model",
      "num_heads", "num_kv_heads", "d_ff",           "ffn",        "norm",
      "position",  "bias",         "tie_embeddings", "final_norm", "norm_eps",
      "rope_theta"};
  in.AllowOnly(kKeys);
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
  config.bias = in.Flag("bias", config.bias);
  config.tie_embeddings = in.Flag("tie_embeddings", config.tie_embeddings);
  config.final_norm = in.Flag("final_norm", config.final_norm);
  config.norm_eps = in.Positive("norm_eps", config.norm_eps, 1.0);
  config.rope_theta = in.Positive("rope_theta", config.rope_theta, 1e15);
  return config;
}

// A Hugging Face config carries many keys that do not change the computation (dropout, token ids,
// versions); those are passed over. What would change it and is not supported is refused.

void RefuseFlag(const ObjectReader& in, const char* key, bool supported) {
  if (in.Flag(key, supported) != supported) in.Fail(key, "is not supported with this value");
}

ModelConfig FromHuggingFaceGpt2(const ObjectReader& in) {
  static constexpr Named<Ffn> kActivations[] = {{Ffn::kGeluTanh, "gelu_new"},
                                                {Ffn::kGeluTanh, "gelu_pytorch_tanh"},
                                                {Ffn::kGeluErf, "gelu"},
                                                {Ffn::kRelu, "relu"}};
  RefuseFlag(in, "scale_attn_weights", true);
  RefuseFlag(in, "scale_attn_by_inverse_layer_idx", false);
  RefuseFlag(in, "add_cross_attention", false);
  ModelConfig config;
  config.vocab_size = in.Size("vocab_size");
  config.context_length = in.Size("n_positions", in.Size("n_ctx", 1024));
  config.num_layers = in.Size("n_layer");
  config.d_model = in.Size("n_embd");
  config.num_heads = in.Size("n_head");
  config.num_kv_heads = config.num_heads;
  config.d_ff = in.Size("n_inner", 4 * config.d_model);
  config.ffn = in.OneOf("activation_function", Ffn::kGeluTanh, kActivations);
  config.tie_embeddings = in.Flag("tie_word_embeddings", true);
  config.norm_eps = in.Positive("layer_norm_epsilon", 1e-5, 1.0);
  return config;
}

/// Refuses a rotary scaling (Llama 3.1's "llama3", "linear", "yarn", …): it changes the angles.
void RefuseRopeScaling(const ObjectReader& in, const json& object, const char* key) {
  if (!in.Has(key)) return;
  const ObjectReader scaling(object[key], fmt::format("'{}'", key));
  const std::string type = scaling.Text("rope_type", scaling.Text("type", "default"));
  if (type != "default") {
    in.Fail(key,
            "asks for scaled rotary positions, which are not supported; "
            "for accounting alone, remove the key: no count depends on it");
  }
}

ModelConfig FromHuggingFaceLlama(const ObjectReader& in, const json& object) {
  static constexpr Named<Ffn> kActivations[] = {{Ffn::kSwiglu, "silu"}, {Ffn::kSwiglu, "swish"}};
  RefuseRopeScaling(in, object, "rope_scaling");
  RefuseRopeScaling(in, object, "rope_parameters");
  ModelConfig config;
  config.norm = Norm::kRmsNorm;
  config.position = Position::kRope;
  config.vocab_size = in.Size("vocab_size");
  config.context_length = in.Size("max_position_embeddings", 2048);
  config.num_layers = in.Size("num_hidden_layers");
  config.d_model = in.Size("hidden_size");
  config.num_heads = in.Size("num_attention_heads");
  config.num_kv_heads = in.Size("num_key_value_heads", config.num_heads);
  config.d_ff = in.Size("intermediate_size");
  config.ffn = in.OneOf("hidden_act", Ffn::kSwiglu, kActivations);
  config.bias = in.Flag("attention_bias", false);
  if (in.Flag("mlp_bias", false) != config.bias) {
    in.Fail("mlp_bias", fmt::format("must equal attention_bias, which is {}: biases on one half of "
                                    "a block alone are not supported",
                                    config.bias));
  }
  config.tie_embeddings = in.Flag("tie_word_embeddings", false);
  config.norm_eps = in.Positive("rms_norm_eps", 1e-6, 1.0);
  config.rope_theta = in.Positive("rope_theta", 10000.0, 1e15);
  if (in.Has("rope_parameters")) {
    const ObjectReader rope(object["rope_parameters"], "'rope_parameters'");
    config.rope_theta = rope.Positive("rope_theta", config.rope_theta, 1e15);
  }
  const bool divides = config.d_model % config.num_heads == 0;  // else Validate says so
  if (divides && in.Size("head_dim", config.head_size()) != config.head_size()) {
    in.Fail("head_dim", fmt::format("must be hidden_size / num_attention_heads, here {}; others "
                                    "are not supported",
                                    config.head_size()));
  }
  return config;
}

struct Size {
  std::string_view name;
  int64_t num_layers, d_model, num_heads;
};
// The published GPT-2 sizes (Radford et al. 2019, table 2; small is 124M, not the table's 117M).
constexpr Size kSizes[] = {{"small", 12, 768, 12},
                           {"medium", 24, 1024, 16},
                           {"large", 36, 1280, 20},
                           {"xl", 48, 1600, 25}};

ModelConfig Gpt2(const Size& size) {
  ModelConfig config;
  config.name = size.name == "small" ? "gpt2" : fmt::format("gpt2-{}", size.name);
  config.vocab_size = 50257;
  config.context_length = 1024;
  config.num_layers = size.num_layers;
  config.d_model = size.d_model;
  config.num_heads = size.num_heads;
  config.num_kv_heads = size.num_heads;
  config.d_ff = 4 * size.d_model;
  return config;
}

/// The same sizes as Stanford CS336's assignment 1 builds them.
ModelConfig Cs336(const Size& size) {
  ModelConfig config = Gpt2(size);
  config.name = fmt::format("cs336-{}", size.name);
  config.ffn = Ffn::kSwiglu;
  config.norm = Norm::kRmsNorm;
  config.position = Position::kRope;
  config.bias = false;
  config.tie_embeddings = false;
  return config;
}

/// The 2026 sheet: d_ff is the multiple of 64 nearest to 8/3 · d_model.
ModelConfig Cs336Of2026(const Size& size) {
  ModelConfig config = Cs336(size);
  config.name = fmt::format("cs336-2026-{}", size.name);
  config.d_ff = (8 * size.d_model + 96) / 192 * 64;
  return config;
}

/// What the hand accounting that this project started from assumes.
ModelConfig Seed() {
  ModelConfig config = Gpt2(kSizes[3]);
  config.name = "seed-xl";
  config.ffn = Ffn::kRelu;
  config.norm = Norm::kRmsNorm;
  config.position = Position::kNone;
  config.bias = false;
  config.final_norm = false;
  return config;
}

}  // namespace

std::span<const ModelConfig> Presets() {
  static const std::vector<ModelConfig> presets = [] {
    std::vector<ModelConfig> all;
    for (const auto family : {Gpt2, Cs336, Cs336Of2026}) {
      for (const Size& size : kSizes) all.push_back(family(size));
    }
    all.push_back(Seed());
    return all;
  }();
  return presets;
}

ModelConfig LoadModel(const std::string& name_or_path) {
  const auto presets = Presets();
  const auto found = std::ranges::find(presets, name_or_path, &ModelConfig::name);
  if (found != presets.end()) return *found;
  std::error_code ignored;  // such as a name too long for a file
  const bool is_path = name_or_path.find('/') != std::string::npos ||
                       name_or_path.ends_with(".json") ||
                       std::filesystem::exists(name_or_path, ignored);
  if (!is_path) {
    std::vector<std::string> names;
    for (const ModelConfig& preset : presets) names.push_back(preset.name);
    throw InputError(fmt::format("model '{}' is neither a preset nor a JSON file{}", name_or_path,
                                 Suggest(name_or_path, names)));
  }
  ModelConfig config =
      ParseModel(ParseJson(ReadTextFile(name_or_path), name_or_path), name_or_path);
  if (config.name.empty()) {
    // config.json says nothing; the folder that it lies in usually names the model.
    const std::filesystem::path path = std::filesystem::absolute(name_or_path);
    config.name = path.filename() == "config.json" ? path.parent_path().filename().string()
                                                   : path.stem().string();
  }
  return config;
}

ModelConfig ParseModel(const json& object, const std::string& where) {
  const ObjectReader in(object, where);
  ModelConfig config;
  if (!in.Has("model_type")) {
    config = FromOwnKeys(in);
  } else if (in.Text("model_type", "") == "gpt2") {
    config = FromHuggingFaceGpt2(in);
  } else if (in.Text("model_type", "") == "llama") {
    config = FromHuggingFaceLlama(in, object);
  } else {
    in.Fail("model_type",
            "is not supported" + Suggest(in.Text("model_type", ""), {"gpt2", "llama"}));
  }
  Validate(config, where);
  return config;
}

json ToJson(const ModelConfig& config) {
  return {{"name", config.name},
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
          {"bias", config.bias},
          {"tie_embeddings", config.tie_embeddings},
          {"final_norm", config.final_norm},
          {"norm_eps", config.norm_eps},
          {"rope_theta", config.rope_theta}};
}

void Validate(const ModelConfig& config, const std::string& where) {
  const auto fail = [&](const std::string& what) {
    throw InputError(fmt::format("{}: {}", where, what));
  };
  if (config.d_model % config.num_heads != 0) {
    fail(fmt::format("num_heads {} does not divide d_model {}", config.num_heads, config.d_model));
  }
  if (config.num_heads % config.num_kv_heads != 0) {
    fail(fmt::format("num_kv_heads {} does not divide num_heads {}", config.num_kv_heads,
                     config.num_heads));
  }
  if (config.position == Position::kRope && config.head_size() % 2 != 0) {
    fail(fmt::format("rotary positions need an even head size, d_model {} / num_heads {} is {}",
                     config.d_model, config.num_heads, config.head_size()));
  }
}

void ValidateRunShape(const ModelConfig& config, int64_t context, int64_t batch) {
  if (context < 1) throw InputError(fmt::format("context must be at least 1, found {}", context));
  if (batch < 1) throw InputError(fmt::format("batch must be at least 1, found {}", batch));
  if (config.position == Position::kLearned && context > config.context_length) {
    throw InputError(fmt::format(
        "context {} is beyond the {} learned positions of {}; use at most {}, or a model with "
        "rotary positions",
        context, config.context_length, config.name, config.context_length));
  }
}

}  // namespace flopledger
