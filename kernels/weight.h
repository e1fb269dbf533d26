// A weight matrix and how its elements lie in memory. Packing happens where a weight is filled,
// once; no product packs weights afterwards.
// Legend: K inputs, N outputs of y = x·w.
#pragma once

#include <algorithm>

#include "kernels/tensor.h"
#include "kernels/tile.h"

namespace flopledger {

enum class WeightLayout {
  kInputsByOutputs,  // [K, N]
  kOutputsByInputs,  // [N, K], as vocabulary tables are published
  kPanels,           // [ceil(N / columns), K, columns]: register tiles' columns, zeros beyond N
};

/// A weight that owns nothing. Element (k, n) is what input k gives to output n, in any layout.
template <class T>
struct WeightView {
  T* data = nullptr;
  int64_t inputs = 0;
  int64_t outputs = 0;
  int64_t stride = 0;  // between rows of the first two layouts; inputs·columns between panels
  WeightLayout layout = WeightLayout::kInputsByOutputs;

  static constexpr int64_t kColumns = kTileColumns<std::remove_const_t<T>>;

  T& operator()(int64_t k, int64_t n) const {
    switch (layout) {
      case WeightLayout::kInputsByOutputs: return data[k * stride + n];
      case WeightLayout::kOutputsByInputs: return data[n * stride + k];
      case WeightLayout::kPanels: break;
    }
    return data[n / kColumns * stride + k * kColumns + n % kColumns];
  }
  /// The panel that holds output n (kPanels only): [inputs, kColumns].
  T* panel(int64_t n) const { return data + n / kColumns * stride; }

  operator WeightView<const T>() const  // NOLINT(google-explicit-constructor): adds const only
      requires(!std::is_const_v<T>) {
    return {data, inputs, outputs, stride, layout};
  }

  /// A plain matrix as a weight: [K, N], or transposed [N, K].
  static WeightView Of(MatrixView<T> matrix, bool transposed = false) {
    if (transposed) {
      return {matrix.data, matrix.cols, matrix.rows, matrix.stride, WeightLayout::kOutputsByInputs};
    }
    return {matrix.data, matrix.rows, matrix.cols, matrix.stride, WeightLayout::kInputsByOutputs};
  }
};

/// An owning weight [K inputs, N outputs]. A vector [N] has one input. Starts uninitialised.
template <class T>
class Weight {
 public:
  Weight() = default;
  Weight(int64_t inputs, int64_t outputs, WeightLayout layout)
      : inputs_(inputs), outputs_(outputs), layout_(layout) {
    switch (layout) {
      case WeightLayout::kInputsByOutputs: storage_ = Matrix<T>(inputs, outputs); break;
      case WeightLayout::kOutputsByInputs: storage_ = Matrix<T>(outputs, inputs); break;
      case WeightLayout::kPanels: {
        constexpr int64_t columns = kTileColumns<T>;
        const int64_t panels = (outputs + columns - 1) / columns;
        storage_ = Matrix<T>(panels, inputs * columns);
        if (outputs % columns != 0) {  // the padding of the last panel
          std::fill_n(storage_.view().row(panels - 1), storage_.cols(), T(0));
        }
      }
    }
  }

  int64_t inputs() const { return inputs_; }
  int64_t outputs() const { return outputs_; }
  int64_t size() const { return inputs_ * outputs_; }  // parameters, without padding
  int64_t stored_size() const { return storage_.size(); }
  const T* data() const { return storage_.data(); }
  WeightView<T> view() { return {storage_.data(), inputs_, outputs_, storage_.cols(), layout_}; }
  WeightView<const T> view() const {
    return {storage_.data(), inputs_, outputs_, storage_.cols(), layout_};
  }
  /// A plain layout as a matrix view.
  ConstMatrixView<T> matrix() const {
    FL_CHECK(layout_ != WeightLayout::kPanels);
    return storage_.view();
  }

 private:
  int64_t inputs_ = 0;
  int64_t outputs_ = 0;
  WeightLayout layout_ = WeightLayout::kInputsByOutputs;
  Matrix<T> storage_;
};

}  // namespace flopledger
