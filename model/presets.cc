// The built-in models.
#include <fmt/format.h>

#include <vector>

#include "model/config.h"

namespace flopledger {
namespace {

struct Size {
  std::string_view name;
  int64_t num_layers, d_model, num_heads;
};
// The published GPT-2 sizes (Radford et al. 2019, table 2; small is 124M, not the table's 117M).
constexpr Size kGptSizes[] = {{"small", 12, 768, 12},
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
  config.biases = {};
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
  ModelConfig config = Gpt2(kGptSizes[3]);
  config.name = "seed-xl";
  config.ffn = Ffn::kRelu;
  config.norm = Norm::kRmsNorm;
  config.position = Position::kNone;
  config.biases = {};
  config.final_norm = false;
  return config;
}

}  // namespace

std::span<const ModelConfig> Presets() {
  static const std::vector<ModelConfig> presets = [] {
    std::vector<ModelConfig> all;
    for (const auto family : {Gpt2, Cs336, Cs336Of2026}) {
      for (const Size& size : kGptSizes) all.push_back(family(size));
    }
    all.push_back(Seed());
    return all;
  }();
  return presets;
}

}  // namespace flopledger
