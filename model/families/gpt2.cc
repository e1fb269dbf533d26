// GPT-2, GPT-BigCode (StarCoder 1) and GPT-Neo: LayerNorm before, learned positions, tied.
#include <fmt/format.h>

#include "model/families/readers.h"

namespace flopledger {
namespace {

constexpr SizeDefaults kGpt2Sizes{.vocab_size = 50257,
                                  .d_model = 768,
                                  .num_layers = 12,
                                  .num_heads = 12,
                                  .context = 1024,
                                  .d_ff = SizeDefaults::kFourTimes};

void ReadBlock(const ObjectReader& in, const std::string& activation, ModelConfig& config) {
  Require(in, "add_cross_attention", false);
  config.ffn = {ReadActivation(in, {"activation_function"}, activation), false};
  UseLayerNorm(in, {"layer_norm_epsilon"}, 1e-5, true, config);
  config.tie_embeddings = in.Flag("tie_word_embeddings", true);
  if (!in.Flag("scale_attn_weights", true)) config.attention_multiplier = 1;
  config.scale_by_layer = in.Flag("scale_attn_by_inverse_layer_idx", false);
}

}  // namespace

void ReadGpt2(const ObjectReader& in, ModelConfig& config) {
  ReadSizes(in, kGpt2Sizes, config);
  RefuseGroups(in, config);
  ReadBlock(in, "gelu_new", config);
  const std::string heads = in.Text("attention_head_type", "multihead");
  if (heads == "multiquery") {
    config.num_kv_heads = 1;
  } else if (heads != "multihead") {
    in.Fail("attention_head_type", "must be multihead or multiquery");
  }
}

void ReadGptBigCode(const ObjectReader& in, ModelConfig& config) {
  ReadSizes(in, kGpt2Sizes, config);
  RefuseGroups(in, config);
  ReadBlock(in, "gelu_pytorch_tanh", config);
  if (in.Flag("multi_query", true)) config.num_kv_heads = 1;
}

/// GPT-Neo: no biases on queries, keys and values, scores not scaled, every other layer local.
void ReadGptNeo(const ObjectReader& in, ModelConfig& config) {
  ReadSizes(in,
            {.vocab_size = 50257,
             .d_model = 2048,
             .num_layers = 24,
             .num_heads = 16,
             .context = 2048,
             .d_ff = SizeDefaults::kFourTimes},
            config);
  RefuseGroups(in, config);
  ReadBlock(in, "gelu_new", config);
  config.biases.qkv = false;
  config.attention_multiplier = 1;
  const int64_t window = in.Size("window_size", 256);
  std::vector<std::string> layers = in.Texts("attention_layers");
  if (layers.empty()) {
    // attention_types is [[["global", "local"], 12]]: lists of kinds, each so often.
    const nlohmann::json otherwise = {{{"global", "local"}, config.num_layers / 2}};
    const nlohmann::json& types =
        in.Has("attention_types") ? in.raw()["attention_types"] : otherwise;
    try {
      for (const auto& part : types) {
        for (int64_t i = 0; i < part.at(1).get<int64_t>() && i < config.num_layers; ++i) {
          for (const auto& kind : part.at(0)) layers.push_back(kind.get<std::string>());
        }
      }
    } catch (const nlohmann::json::exception&) {
      in.Fail("attention_types", "must be a list of [[kinds], times]");
    }
  }
  if (static_cast<int64_t>(layers.size()) != config.num_layers) {
    in.Fail("attention_types", fmt::format("must give each of the {} layers its kind, gives {}",
                                           config.num_layers, layers.size()));
  }
  MakeLayers(in, config, [&](int64_t i) {
    const std::string& kind = layers[static_cast<std::size_t>(i)];
    if (kind != "global" && kind != "local") {
      in.Fail("attention_types", fmt::format("names '{}'; global and local are known", kind));
    }
    return LayerKind{.window = kind == "local" ? window : 0};
  });
}

}  // namespace flopledger
