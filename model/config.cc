#include "model/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "model/checked.h"
#include "model/families/families.h"
#include "model/json.h"
#include "model/own_keys.h"

namespace flopledger {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

/// The folder's config.json, or the path itself.
std::string ConfigFile(const std::string& path) {
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) return path;
  const fs::path file = fs::path(path) / "config.json";
  if (fs::exists(file, ignored)) return file.string();
  if (fs::exists(fs::path(path) / "params.json", ignored)) {
    return (fs::path(path) / "params.json").string();  // which is then told what it is
  }
  throw InputError(fmt::format("{}: a folder without a config.json", path));
}

/// The sizes of attention.
void ValidateHeads(const ModelConfig& config, const std::string& where) {
  const auto fail = [&](const std::string& what) {
    throw InputError(fmt::format("{}: {}", where, what));
  };
  const bool own_size = config.own_head_size > 0 || config.latent.kv_rank > 0;
  if (!own_size && config.d_model % config.num_heads != 0) {
    fail(fmt::format("num_heads {} does not divide d_model {}", config.num_heads, config.d_model));
  }
  if (config.num_heads % config.num_kv_heads != 0) {
    fail(fmt::format("num_kv_heads {} does not divide num_heads {}", config.num_kv_heads,
                     config.num_heads));
  }
  CheckedMul(CheckedAdd(config.num_heads, CheckedMul(int64_t{2}, config.num_kv_heads)),
             std::max(config.head_size(), config.value_size()));
  if (config.position != Position::kRope) return;
  if (config.rope_dims == 0 && config.rotated_size() % 2 != 0) {
    fail(fmt::format("rotary positions need an even head size, d_model {} / num_heads {} is {}",
                     config.d_model, config.num_heads, config.head_size()));
  }
  if (config.rope_dims % 2 != 0 || config.rope_dims > config.head_size()) {
    fail(fmt::format("rope_dims must be even and at most the head size {}, found {}",
                     config.head_size(), config.rope_dims));
  }
}

void ValidateExperts(const ModelConfig& config, const std::string& where) {
  const auto fail = [&](const std::string& what) {
    throw InputError(fmt::format("{}: {}", where, what));
  };
  const bool used = std::ranges::any_of(config.layer_kinds, &LayerKind::experts);
  const Experts& experts = config.experts;
  if (used && (experts.count < 1 || experts.per_token < 1 || experts.d_ff < 1)) {
    fail("layers with experts need their count, per_token and d_ff, each at least 1");
  }
  if (!used && experts != Experts{}) fail("there are experts, but no layer has them");
  if (experts.per_token > experts.count) {
    fail(fmt::format("a token cannot use {} of {} experts", experts.per_token, experts.count));
  }
  if (experts.shared_gate && experts.shared_d_ff == 0) {
    fail("a gate of shared experts needs shared experts");
  }
}

void ValidateLatent(const ModelConfig& config, const std::string& where) {
  const LatentAttention& latent = config.latent;
  if (latent == LatentAttention{}) return;
  if (latent.kv_rank < 1 || latent.nope < 1 || latent.rope < 1 || latent.value < 1) {
    throw InputError(fmt::format(
        "{}: latent attention needs kv_rank, nope, rope and value, each at least 1", where));
  }
  if (config.qk_norm != QkNorm::kNone || config.own_head_size > 0 || config.rope_dims > 0) {
    throw InputError(fmt::format(
        "{}: latent attention has no head_size, rope_dims or qk_norm of its own", where));
  }
}

void ValidateNorms(const ModelConfig& config, const std::string& where) {
  if (config.biases.norm && config.norm != Norm::kLayerNorm) {
    throw InputError(fmt::format("{}: an RMSNorm has no bias", where));
  }
  if (config.norm_gain == NormGain::kNone && config.biases.norm) {
    throw InputError(fmt::format("{}: a norm without parameters has no bias", where));
  }
  if (config.is_parallel() && config.norm_placement != NormPlacement::kBefore) {
    throw InputError(fmt::format(
        "{}: a parallel block has its norms before attention and FFN, not elsewhere", where));
  }
}

}  // namespace

int64_t ModelConfig::LayersOfKind(int32_t kind, int64_t layers) const {
  const auto size = static_cast<int64_t>(layer_pattern.size());
  const auto rest = layer_pattern.begin() + static_cast<std::ptrdiff_t>(layers % size);
  return layers / size * std::ranges::count(layer_pattern, kind) +
         std::count(layer_pattern.begin(), rest, kind);
}

void SetLayers(ModelConfig& config, std::span<const LayerKind> layers, const std::string& where) {
  config.layer_kinds.clear();
  config.layer_pattern.clear();
  for (const LayerKind& layer : layers) {
    const auto found = std::ranges::find(config.layer_kinds, layer);
    config.layer_pattern.push_back(
        static_cast<int32_t>(std::distance(config.layer_kinds.begin(), found)));
    if (found == config.layer_kinds.end()) config.layer_kinds.push_back(layer);
  }
  constexpr std::size_t kMostKinds = 32;
  if (config.layer_kinds.size() > kMostKinds) {
    throw InputError(fmt::format("{}: more than {} different kinds of layers", where, kMostKinds));
  }
  if (config.layer_kinds.size() == 1) config.layer_pattern = {0};
}

ModelConfig LoadModel(const std::string& name_or_path) {
  const auto presets = Presets();
  const auto found = std::ranges::find(presets, name_or_path, &ModelConfig::name);
  if (found != presets.end()) return *found;
  std::error_code ignored;  // such as a name too long for a file
  const bool is_path = name_or_path.find('/') != std::string::npos ||
                       name_or_path.ends_with(".json") || fs::exists(name_or_path, ignored);
  if (!is_path) {
    std::vector<std::string> names;
    for (const ModelConfig& preset : presets) names.push_back(preset.name);
    throw InputError(fmt::format("model '{}' is neither a preset nor a JSON file{}", name_or_path,
                                 Suggest(name_or_path, names)));
  }
  const std::string file = ConfigFile(name_or_path);
  ModelConfig config = ParseModel(ParseJson(ReadTextFile(file), file), file);
  if (config.name.empty()) {
    // config.json says nothing; the folder that it lies in usually names the model.
    const fs::path path = fs::absolute(file).lexically_normal();
    config.name = path.filename() == "config.json" ? path.parent_path().filename().string()
                                                   : path.stem().string();
  }
  return config;
}

ModelConfig ParseModel(const json& object, const std::string& where) {
  const ObjectReader in(object, where);
  const bool hugging_face = in.Has("model_type") || (!HasOwnKeys(in) && IsForeign(in));
  ModelConfig config = hugging_face ? FromHuggingFace(in) : FromOwnKeys(in);
  Validate(config, where);
  return config;
}

void Validate(const ModelConfig& config, const std::string& where) {
  ValidateLatent(config, where);
  ValidateHeads(config, where);
  ValidateExperts(config, where);
  ValidateNorms(config, where);
  if (config.head == Head::kScore && config.num_labels < 1) {
    throw InputError(fmt::format("{}: a score head needs num_labels", where));
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
