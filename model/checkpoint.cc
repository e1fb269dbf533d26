// Weights from a checkpoint.
#include <fmt/format.h>

#include <set>
#include <string>

#include "kernels/counted.h"
#include "model/input_error.h"
#include "model/tensor_names.h"
#include "model/weights.h"

namespace flopledger {
namespace {

/// The stored tensor of a part, if it is there and as the config asks.
const StoredTensor& FindPart(const SafetensorsFile& file, const StoredPart& part,
                             const TensorSpec& tensor) {
  const StoredTensor* stored = file.Find(part.name);
  if (stored == nullptr) {
    throw InputError(fmt::format("{}: tensor '{}' is missing", file.path(), part.name));
  }
  const std::vector<int64_t> expected = part.Shape(tensor);
  if (stored->shape != expected) {
    throw InputError(fmt::format("{}: tensor '{}' has shape {}, the config asks for {}",
                                 file.path(), part.name, ShapeText(stored->shape),
                                 ShapeText(expected)));
  }
  if (stored->dtype == DType::kOther) {
    throw InputError(fmt::format("{}: tensor '{}' has type {}; F32, F16 and BF16 can be read",
                                 file.path(), part.name, stored->dtype_name));
  }
  return *stored;
}

/// Fails unless the file holds every part that the config asks for. Before anything is allocated: a
/// config may ask for more than there is memory.
void CheckParts(const ModelConfig& config, const Naming& naming, const SafetensorsFile& file) {
  if (config.num_layers > static_cast<int64_t>(file.tensors().size())) {
    throw InputError(fmt::format("{}: {} tensors cannot be the {} layers that the config asks for",
                                 file.path(), file.tensors().size(), config.num_layers));
  }
  Weights<float> empty;
  empty.layers.resize(static_cast<std::size_t>(config.num_layers));
  ForEachTensor(config, empty, [&](const TensorSpec& tensor, const Weight<float>&) {
    for (const StoredPart& part : PartsOf(config, naming, tensor)) {
      FindPart(file, part, tensor);
    }
  });
}

template <class Scalar>
void ReadPart(const ModelConfig& config, const StoredTensor& stored, const StoredPart& part,
              float missing, Weight<Scalar>& weight) {
  const WeightView<Scalar> w = weight.view();
#pragma omp parallel for
  for (int64_t k = 0; k < w.inputs; ++k) {
    for (int64_t n = 0; n < part.cols; ++n) {
      w(k, part.begin + n) = Scalar(missing + stored.At(part.Index(config, w.inputs, k, n)));
    }
  }
}

}  // namespace

template <class Scalar>
Weights<Scalar> ReadWeights(const ModelConfig& config, const SafetensorsFile& file, bool packed) {
  const Naming naming = NamingOf(config, file);
  CheckParts(config, naming, file);
  auto weights = AllocateWeights<Scalar>(config, config.num_layers, packed);
  std::set<std::string, std::less<>> used;
  ForEachTensor(config, weights, [&](const TensorSpec& tensor, Weight<Scalar>& weight) {
    for (const StoredPart& part : PartsOf(config, naming, tensor)) {
      ReadPart(config, FindPart(file, part, tensor), part, MissingGain(config, tensor.id), weight);
      used.insert(part.name);
    }
  });
  if (config.tie_embeddings) {  // some checkpoints store it twice
    used.insert({"lm_head.weight", "embed_out.weight"});
  }
  for (const auto& [name, tensor] : file.tensors()) {
    if (!used.contains(name) && !IsBuffer(name)) {
      throw InputError(
          fmt::format("{}: tensor '{}' belongs to no part of this config", file.path(), name));
    }
  }
  return weights;
}

#define FLOPLEDGER_INSTANTIATE(Scalar) \
  template Weights<Scalar> ReadWeights<Scalar>(const ModelConfig&, const SafetensorsFile&, bool);
FLOPLEDGER_INSTANTIATE(float)
FLOPLEDGER_INSTANTIATE(double)
FLOPLEDGER_INSTANTIATE(Counted<float>)
#undef FLOPLEDGER_INSTANTIATE

}  // namespace flopledger
