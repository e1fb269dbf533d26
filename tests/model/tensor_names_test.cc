// Checkpoints under the names of each family, written tensor by tensor as the families store them.
#include "model/tensor_names.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/write_weights.h"

namespace flopledger {
namespace {

/// Tensors as a family stores them: weights as [outputs, inputs].
class Stored {
 public:
  void Add(const std::string& name, const Weight<float>& weight) {
    Add(name, weight, 0, weight.outputs());
  }
  /// Outputs [begin, begin + count) of a weight.
  void Add(const std::string& name, const Weight<float>& weight, int64_t begin, int64_t count) {
    NamedTensor tensor{name, {count, weight.inputs()}, {}};
    if (weight.inputs() == 1) tensor.shape = {count};
    for (int64_t n = begin; n < begin + count; ++n) {
      for (int64_t k = 0; k < weight.inputs(); ++k) tensor.values.push_back(weight.view()(k, n));
    }
    tensors_.push_back(std::move(tensor));
  }
  /// A table of positions, which is stored as it is.
  void AddPlain(const std::string& name, const Weight<float>& weight) {
    const ConstMatrixView<float> matrix = weight.matrix();
    tensors_.push_back(
        {name, {matrix.rows, matrix.cols}, {matrix.data, matrix.data + matrix.rows * matrix.cols}});
  }
  /// Queries, keys and values, each under its own name.
  void AddQkv(const std::string& name, const ModelConfig& config, const Weight<float>& weight) {
    const int64_t queries = config.num_heads * config.head_size();
    const int64_t keys = config.num_kv_heads * config.head_size();
    const std::string kind = weight.inputs() == 1 ? ".bias" : ".weight";
    Add(name + "q_proj" + kind, weight, 0, queries);
    Add(name + "k_proj" + kind, weight, queries, keys);
    Add(name + "v_proj" + kind, weight, queries + keys, keys);
  }

  std::vector<NamedTensor>& tensors() { return tensors_; }

 private:
  std::vector<NamedTensor> tensors_;
};

void ExpectSame(const ModelConfig& config, Weights<float>& expected, Weights<float>& found) {
  std::vector<const Weight<float>*> all;
  ForEachTensor(config, expected,
                [&](const TensorSpec&, const Weight<float>& weight) { all.push_back(&weight); });
  std::size_t i = 0;
  ForEachTensor(config, found, [&](const TensorSpec& tensor, const Weight<float>& weight) {
    const Weight<float>& other = *all[i++];
    ASSERT_EQ(weight.size(), other.size()) << static_cast<int>(tensor.id);
    for (int64_t k = 0; k < weight.inputs(); ++k) {
      for (int64_t n = 0; n < weight.outputs(); ++n) {
        ASSERT_EQ(weight.view()(k, n), other.view()(k, n)) << static_cast<int>(tensor.id);
      }
    }
  });
}

void ExpectRead(const ModelConfig& config, Weights<float>& weights, Stored& stored) {
  const TemporaryFolder folder;
  WriteSafetensors(folder.path("model.safetensors"), stored.tensors());
  const SafetensorsFile file(folder.path("model.safetensors"));
  auto read = ReadWeights<float>(config, file);
  ExpectSame(config, weights, read);
  // Without any one of them it is not the model.
  for (std::size_t i = 0; i < stored.tensors().size(); ++i) {
    auto fewer = stored.tensors();
    fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(i));
    WriteSafetensors(folder.path("fewer.safetensors"), fewer);
    const SafetensorsFile part(folder.path("fewer.safetensors"));
    Refusal([&] { ReadWeights<float>(config, part); });
  }
}

ModelConfig Small() {
  ModelConfig config;
  config.vocab_size = 7;
  config.context_length = 5;
  config.num_layers = 2;
  config.d_model = 12;
  config.num_heads = 6;
  config.num_kv_heads = 2;
  config.d_ff = 9;
  return config;
}

// OPT-350m's features: norms after the residual, a narrow token table with its two projections.
TEST(TensorNames, OfOpt) {
  for (const bool norm_after : {false, true}) {
    ModelConfig config = Small();
    config.position_offset = 2;
    config.num_kv_heads = 6;
    if (norm_after) {
      config.norm_placement = NormPlacement::kAfterResidual;
      config.final_norm = false;
      config.embedding_size = 4;
    }
    auto weights = SeededWeights<float>(config, 2, 1);
    Stored stored;
    stored.Add("model.decoder.embed_tokens.weight", weights.token_embedding);
    stored.AddPlain("model.decoder.embed_positions.weight", weights.position_embedding);
    if (norm_after) {
      stored.Add("model.decoder.project_in.weight", weights.embedding_projection);
      stored.Add("model.decoder.project_out.weight", weights.head_projection);
    } else {
      stored.Add("model.decoder.final_layer_norm.weight", weights.final_norm_gain);
      stored.Add("model.decoder.final_layer_norm.bias", weights.final_norm_bias);
    }
    for (std::size_t i = 0; i < 2; ++i) {
      const LayerWeights<float>& w = weights.layers[i];
      const std::string layer = fmt::format("model.decoder.layers.{}.", i);
      const auto& gain1 = norm_after ? w.attention_post_norm_gain : w.attention_norm_gain;
      const auto& bias1 = norm_after ? w.attention_post_norm_bias : w.attention_norm_bias;
      const auto& gain2 = norm_after ? w.ffn_post_norm_gain : w.ffn_norm_gain;
      const auto& bias2 = norm_after ? w.ffn_post_norm_bias : w.ffn_norm_bias;
      stored.Add(layer + "self_attn_layer_norm.weight", gain1);
      stored.Add(layer + "self_attn_layer_norm.bias", bias1);
      stored.AddQkv(layer + "self_attn.", config, w.attention_qkv);
      stored.AddQkv(layer + "self_attn.", config, w.attention_qkv_bias);
      stored.Add(layer + "self_attn.out_proj.weight", w.attention_out);
      stored.Add(layer + "self_attn.out_proj.bias", w.attention_out_bias);
      stored.Add(layer + "final_layer_norm.weight", gain2);
      stored.Add(layer + "final_layer_norm.bias", bias2);
      stored.Add(layer + "fc1.weight", w.ffn_up);
      stored.Add(layer + "fc1.bias", w.ffn_up_bias);
      stored.Add(layer + "fc2.weight", w.ffn_down);
      stored.Add(layer + "fc2.bias", w.ffn_down_bias);
    }
    ExpectRead(config, weights, stored);
  }
}

// GPT-2's names, weights the other way round; of one key/value head, as in StarCoder 1.
TEST(TensorNames, OfGptBigCode) {
  ModelConfig config = Small();
  config.num_kv_heads = 1;
  auto weights = SeededWeights<float>(config, 2, 1);
  Stored stored;
  stored.Add("transformer.wte.weight", weights.token_embedding);
  stored.AddPlain("transformer.wpe.weight", weights.position_embedding);
  stored.Add("transformer.ln_f.weight", weights.final_norm_gain);
  stored.Add("transformer.ln_f.bias", weights.final_norm_bias);
  for (std::size_t i = 0; i < 2; ++i) {
    const LayerWeights<float>& w = weights.layers[i];
    const std::string layer = fmt::format("transformer.h.{}.", i);
    stored.Add(layer + "ln_1.weight", w.attention_norm_gain);
    stored.Add(layer + "ln_1.bias", w.attention_norm_bias);
    stored.Add(layer + "attn.c_attn.weight", w.attention_qkv);
    stored.Add(layer + "attn.c_attn.bias", w.attention_qkv_bias);
    stored.Add(layer + "attn.c_proj.weight", w.attention_out);
    stored.Add(layer + "attn.c_proj.bias", w.attention_out_bias);
    stored.Add(layer + "ln_2.weight", w.ffn_norm_gain);
    stored.Add(layer + "ln_2.bias", w.ffn_norm_bias);
    stored.Add(layer + "mlp.c_fc.weight", w.ffn_up);
    stored.Add(layer + "mlp.c_fc.bias", w.ffn_up_bias);
    stored.Add(layer + "mlp.c_proj.weight", w.ffn_down);
    stored.Add(layer + "mlp.c_proj.bias", w.ffn_down_bias);
  }
  ExpectRead(config, weights, stored);
}

TEST(TensorNames, OfStarCoder2) {
  ModelConfig config = Small();
  config.position = Position::kRope;
  auto weights = SeededWeights<float>(config, 2, 1);
  Stored stored;
  stored.Add("model.embed_tokens.weight", weights.token_embedding);
  stored.Add("model.norm.weight", weights.final_norm_gain);
  stored.Add("model.norm.bias", weights.final_norm_bias);
  for (std::size_t i = 0; i < 2; ++i) {
    const LayerWeights<float>& w = weights.layers[i];
    const std::string layer = fmt::format("model.layers.{}.", i);
    stored.Add(layer + "input_layernorm.weight", w.attention_norm_gain);
    stored.Add(layer + "input_layernorm.bias", w.attention_norm_bias);
    stored.AddQkv(layer + "self_attn.", config, w.attention_qkv);
    stored.AddQkv(layer + "self_attn.", config, w.attention_qkv_bias);
    stored.Add(layer + "self_attn.o_proj.weight", w.attention_out);
    stored.Add(layer + "self_attn.o_proj.bias", w.attention_out_bias);
    stored.Add(layer + "post_attention_layernorm.weight", w.ffn_norm_gain);
    stored.Add(layer + "post_attention_layernorm.bias", w.ffn_norm_bias);
    stored.Add(layer + "mlp.c_fc.weight", w.ffn_up);
    stored.Add(layer + "mlp.c_fc.bias", w.ffn_up_bias);
    stored.Add(layer + "mlp.c_proj.weight", w.ffn_down);
    stored.Add(layer + "mlp.c_proj.bias", w.ffn_down_bias);
  }
  ExpectRead(config, weights, stored);
}

}  // namespace
}  // namespace flopledger
