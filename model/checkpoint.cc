// Weights from a checkpoint.
#include <fmt/format.h>

#include <set>
#include <string>

#include "kernels/counted.h"
#include "model/input_error.h"
#include "model/slice.h"
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

using NameSet = std::set<std::string, std::less<>>;

/// Fails unless the file holds every part that the config asks for, and returns their names. Before
/// anything is allocated: a config may ask for more than there is memory.
NameSet CheckParts(const ModelConfig& config, const Naming& naming, const SafetensorsFile& file) {
  if (config.num_layers > static_cast<int64_t>(file.tensors().size())) {
    throw InputError(fmt::format("{}: {} tensors cannot be the {} layers that the config asks for",
                                 file.path(), file.tensors().size(), config.num_layers));
  }
  NameSet used;
  Weights<float> empty;
  empty.layers.resize(static_cast<std::size_t>(config.num_layers));
  ForEachTensor(config, empty, [&](const TensorSpec& tensor, const Weight<float>&) {
    for (const StoredPart& part : PartsOf(config, naming, tensor)) {
      FindPart(file, part, tensor);
      used.insert(part.name);
    }
  });
  return used;
}

/// Reads what a part has of a slice.
template <class Scalar>
void ReadPart(const ModelConfig& config, const StoredTensor& stored, const StoredPart& part,
              const Slice& slice, Weight<Scalar>& weight) {
  const WeightView<Scalar> w = weight.view();
  const float missing = MissingGain(config, slice.whole.id);
  std::vector<std::pair<int64_t, int64_t>> columns;  // ours, and the part's
  for (int64_t n = 0; n < w.outputs; ++n) {
    const int64_t in_part = slice.WholeColumn(n) - part.begin;
    if (in_part >= 0 && in_part < part.cols) columns.emplace_back(n, in_part);
  }
#pragma omp parallel for
  for (int64_t k = 0; k < w.inputs; ++k) {
    for (const auto& [n, in_part] : columns) {
      w(k, n) = Scalar(missing + stored.At(part.Index(config, slice.whole.inputs,
                                                      slice.first_input + k, in_part)));
    }
  }
}

}  // namespace

template <class Scalar>
Weights<Scalar> ReadWeights(const ModelConfig& config, const SafetensorsFile& file, bool packed,
                            const Shard& shard) {
  const Naming naming = NamingOf(config, file);
  NameSet used = CheckParts(config, naming, file);
  const ModelConfig own = RankModel(config, shard);
  auto weights = AllocateWeights<Scalar>(own, own.num_layers, packed);
  ForEachTensor(own, weights, [&](const TensorSpec& tensor, Weight<Scalar>& weight) {
    const Slice slice = SliceOf(config, shard, tensor);
    for (const StoredPart& part : PartsOf(config, naming, slice.whole)) {
      ReadPart(config, FindPart(file, part, slice.whole), part, slice, weight);
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

#define FLOPLEDGER_INSTANTIATE(Scalar)                                                           \
  template Weights<Scalar> ReadWeights<Scalar>(const ModelConfig&, const SafetensorsFile&, bool, \
                                               const Shard&);
FLOPLEDGER_INSTANTIATE(float)
FLOPLEDGER_INSTANTIATE(double)
FLOPLEDGER_INSTANTIATE(Counted<float>)
#undef FLOPLEDGER_INSTANTIATE

}  // namespace flopledger
