// Checkpoints made from weights.
#pragma once

#include <fstream>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "model/input_error.h"
#include "model/tensor_names.h"
#include "model/weights.h"

namespace flopledger {

/// A tensor to be written as F32.
struct NamedTensor {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<float> values;
};

/// Writes a safetensors file of F32 tensors.
inline void WriteSafetensors(const std::string& path, std::span<const NamedTensor> tensors) {
  auto header = nlohmann::json::object();
  uint64_t offset = 0;
  for (const NamedTensor& tensor : tensors) {
    const uint64_t end = offset + tensor.values.size() * sizeof(float);
    header[tensor.name] = {
        {"dtype", "F32"}, {"shape", tensor.shape}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');  // the format keeps the data 8-byte aligned
  const uint64_t header_size = text.size();

  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(&header_size), sizeof(header_size));
  file << text;
  for (const NamedTensor& tensor : tensors) {
    file.write(reinterpret_cast<const char*>(tensor.values.data()),
               static_cast<std::streamsize>(tensor.values.size() * sizeof(float)));
  }
  file.close();
  if (!file) throw InputError(path + ": cannot be written");
}

/// The naming in which `config` is written: GPT-2's where it is such a model, else Llama's.
inline Naming NamingToWrite(const ModelConfig& config) {
  const bool gpt2 = config.position == Position::kLearned && !config.has_gate() &&
                    config.embedded_size() == config.d_model && !config.biases.lm_head &&
                    config.norm_placement == NormPlacement::kBefore &&
                    config.qk_norm == QkNorm::kNone && config.block != BlockOrder::kParallel;
  return gpt2 ? Naming{Names::kGpt2, ""} : Naming{Names::kLlama, "model."};
}

/// Writes float weights under GPT-2's or Llama's names, whichever ReadWeights would expect.
inline void WriteWeights(const ModelConfig& config, const Weights<float>& weights,
                         const std::string& path) {
  const Naming naming = NamingToWrite(config);
  std::vector<NamedTensor> tensors;
  ForEachTensor(config, weights, [&](const TensorSpec& tensor, const Weight<float>& weight) {
    const float missing = MissingGain(config, tensor.id);
    for (const StoredPart& part : PartsOf(config, naming, tensor)) {
      NamedTensor stored{part.name, part.Shape(tensor), {}};
      stored.values.resize(static_cast<std::size_t>(tensor.inputs * part.cols));
      for (int64_t k = 0; k < tensor.inputs; ++k) {
        for (int64_t n = 0; n < part.cols; ++n) {
          const int64_t index = part.Index(config, tensor.inputs, k, n);
          stored.values[static_cast<std::size_t>(index)] =
              weight.view()(k, part.begin + n) - missing;
        }
      }
      tensors.push_back(std::move(stored));
    }
  });
  WriteSafetensors(path, tensors);
}

}  // namespace flopledger
