// The shape of a decoder-only transformer: what a user may say about a model, validated.
// It holds no weights and knows nothing of how the model is computed.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace flopledger {

enum class Ffn { kGeluTanh, kGeluErf, kRelu, kSwiglu };
enum class Norm { kLayerNorm, kRmsNorm };
enum class Position { kLearned, kRope, kNone };

/// A decoder-only transformer with pre-norm blocks, as GPT-2 and Llama are. The defaults are
/// GPT-2's.
struct ModelConfig {
  std::string name;
  int64_t vocab_size = 0;
  int64_t context_length = 0;
  int64_t num_layers = 0;
  int64_t d_model = 0;
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;  // below num_heads: grouped-query attention
  int64_t d_ff = 0;
  Ffn ffn = Ffn::kGeluTanh;
  Norm norm = Norm::kLayerNorm;
  Position position = Position::kLearned;
  bool bias = true;  // on every product of a block and on every LayerNorm
  bool tie_embeddings = true;
  bool final_norm = true;
  double norm_eps = 1e-5;
  double rope_theta = 10000.0;

  int64_t head_size() const { return d_model / num_heads; }
  /// Columns of the joint query, key and value product: (NH + 2·NKV)·HS.
  int64_t qkv_size() const { return (num_heads + 2 * num_kv_heads) * head_size(); }
  bool has_gate() const { return ffn == Ffn::kSwiglu; }
  /// LayerNorm has a bias vector where the model has biases; RMSNorm never has one.
  bool has_norm_bias() const { return bias && norm == Norm::kLayerNorm; }
};

/// The built-in models, in the order in which `presets` lists them.
std::span<const ModelConfig> Presets();

/// A preset's name, or a path to a JSON file of ours or Hugging Face's (model_type gpt2 or llama).
/// Throws InputError.
ModelConfig LoadModel(const std::string& name_or_path);

/// Our own JSON keys or a Hugging Face config.json, told apart by `model_type`. `where` names the
/// source in errors. Throws InputError for an unknown key, a wrong type or a value out of range.
ModelConfig ParseModel(const nlohmann::json& json, const std::string& where);

/// The config under our own keys; ParseModel reads it back.
nlohmann::json ToJson(const ModelConfig& config);

/// Throws InputError where sizes do not fit together (heads that do not divide d_model, …).
void Validate(const ModelConfig& config, const std::string& where);

/// Throws InputError unless this model can process `context` positions in `batch` sequences:
/// learned positions end at context_length, rotary ones do not.
void ValidateRunShape(const ModelConfig& config, int64_t context, int64_t batch);

}  // namespace flopledger
