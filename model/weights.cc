#include "model/weights.h"

#include <algorithm>

#include "kernels/counted.h"
#include "model/slice.h"

namespace flopledger {
namespace {

/// SplitMix64's output function (Steele, Lea and Flood 2014): a bijection that scatters bits.
uint64_t Mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

WeightLayout LayoutOf(const ModelConfig& config, TensorId id, bool packed) {
  const bool read_by_product = !IsVector(id) && id != TensorId::kPositionEmbedding &&
                               (id != TensorId::kTokenEmbedding || config.tie_embeddings);
  if (packed && read_by_product) return WeightLayout::kPanels;
  return IsTable(id) ? WeightLayout::kOutputsByInputs : WeightLayout::kInputsByOutputs;
}

/// Calls fill(k, n, element) for every parameter of a weight, in parallel and in the order in which
/// they are stored, so that each page is first touched by one thread.
template <class Scalar, class Fill>
void ForEachParameter(WeightView<Scalar> w, Fill&& fill) {
  const bool by_output = w.layout == WeightLayout::kOutputsByInputs;
  const bool panels = w.layout == WeightLayout::kPanels;
  const int64_t outer = by_output ? w.outputs : w.inputs, inner = by_output ? w.inputs : w.outputs;
  constexpr int64_t columns = WeightView<Scalar>::kColumns;
  const int64_t blocks = panels ? (w.outputs + columns - 1) / columns : outer;
#pragma omp parallel for
  for (int64_t block = 0; block < blocks; ++block) {
    if (!panels) {
      for (int64_t i = 0; i < inner; ++i) {
        const int64_t k = by_output ? i : block, n = by_output ? block : i;
        fill(k, n, w.data[block * w.stride + i]);
      }
      continue;
    }
    const int64_t first = block * columns, width = std::min(columns, w.outputs - first);
    for (int64_t k = 0; k < w.inputs; ++k) {
      for (int64_t i = 0; i < width; ++i) fill(k, first + i, w.panel(first)[k * columns + i]);
    }
  }
}

/// The numbers of a uniform distribution.
struct Uniform {
  uint64_t key;
  float centre, half_width;
};

/// Element (k, n) comes from SplitMix64's output at its index in the whole tensor, row-major
/// [inputs, outputs], whatever the layout.
template <class Scalar>
void FillUniform(Weight<Scalar>& weight, const Slice& slice, const Uniform& uniform) {
  const uint64_t key = uniform.key;
  const float centre = uniform.centre, half_width = uniform.half_width;
  const float step = half_width * 0x1p-23f;  // 24 random bits become −half_width … half_width
  const int64_t N = slice.whole.outputs;
  std::vector<int64_t> columns;
  for (int64_t n = 0; n < weight.outputs(); ++n) columns.push_back(slice.WholeColumn(n) + 1);
  const int64_t* const column = columns.data();
  ForEachParameter(weight.view(), [=](int64_t k, int64_t n, Scalar& element) {
    const int64_t index = (slice.first_input + k) * N + column[n];
    const uint64_t bits = Mix(key + 0x9e3779b97f4a7c15u * static_cast<uint64_t>(index));
    element = Scalar(centre + step * (static_cast<float>(bits >> 40) - 8388607.5f));
  });
}

}  // namespace

template <class Scalar>
int64_t WeightBytes(const ModelConfig& config, const Weights<Scalar>& weights) {
  int64_t elements = 0;
  ForEachTensor(config, weights, [&](const TensorSpec&, const Weight<Scalar>& weight) {
    elements += weight.stored_size();
  });
  return elements * static_cast<int64_t>(sizeof(Scalar));
}

template <class Scalar>
Weights<Scalar> AllocateWeights(const ModelConfig& config, int64_t num_layers, bool packed) {
  Weights<Scalar> weights;
  weights.layers.resize(static_cast<std::size_t>(num_layers));
  ForEachTensor(config, weights, [&](const TensorSpec& tensor, Weight<Scalar>& weight) {
    weight = Weight<Scalar>(tensor.inputs, tensor.outputs, LayoutOf(config, tensor.id, packed));
  });
  return weights;
}

template <class Scalar>
Weights<Scalar> SeededWeights(const ModelConfig& config, int64_t num_layers, uint64_t seed,
                              bool packed, const Filling& filling) {
  constexpr float kHalfWidth = 0.02f * 1.7320508f;  // of a uniform with standard deviation 0.02
  const ModelConfig own = RankModel(config, filling.shard);
  auto weights = AllocateWeights<Scalar>(own, num_layers, packed);
  const auto bytes = static_cast<double>(WeightBytes(own, weights));
  double filled = 0;
  ForEachTensor(own, weights, [&](const TensorSpec& tensor, Weight<Scalar>& weight) {
    const Slice slice = SliceOf(config, filling.shard, tensor);
    const auto key = Mix(Mix(seed) + static_cast<uint64_t>(tensor.layer + 1) * 64 +
                         static_cast<uint64_t>(slice.whole.id));
    const bool gain = IsGain(tensor.id);
    FillUniform<Scalar>(weight, slice, {key, gain ? 1.0f : 0.0f, gain ? 0.1f : kHalfWidth});
    filled += static_cast<double>(weight.stored_size()) * sizeof(Scalar);
    if (filling.after_tensor) filling.after_tensor(filled / bytes);
  });
  return weights;
}

#define FLOPLEDGER_INSTANTIATE(Scalar)                                                        \
  template int64_t WeightBytes<Scalar>(const ModelConfig&, const Weights<Scalar>&);           \
  template Weights<Scalar> AllocateWeights<Scalar>(const ModelConfig&, int64_t, bool);        \
  template Weights<Scalar> SeededWeights<Scalar>(const ModelConfig&, int64_t, uint64_t, bool, \
                                                 const Filling&);
FLOPLEDGER_INSTANTIATE(float)
FLOPLEDGER_INSTANTIATE(double)
FLOPLEDGER_INSTANTIATE(Counted<float>)
#undef FLOPLEDGER_INSTANTIATE

}  // namespace flopledger
