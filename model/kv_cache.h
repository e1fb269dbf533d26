// The key/value cache of decoding: what attention of later positions reads of earlier ones.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kernels/attention_cached.h"
#include "kernels/tensor.h"
#include "model/config.h"

namespace flopledger {

/// Keys and values of every layer that runs, for `capacity` positions of each sequence, or for as
/// many as the layer's window holds: 2·B·NKV·HS elements for each layer's position, uninitialised.
template <class Scalar>
class KvCache {
 public:
  KvCache(const ModelConfig& config, int64_t num_layers, int64_t batch, int64_t capacity)
      : num_kv_heads_(config.num_kv_heads), head_size_(config.head_size()), capacity_(capacity) {
    int64_t size = 0;
    for (int64_t i = 0; i < num_layers; ++i) {
      const auto kind = static_cast<std::size_t>(config.kind_of_layer(i));
      const int64_t window = config.layer_kinds[kind].window;
      const int64_t rows = window > 0 ? std::min(window, capacity) : capacity;
      layers_.push_back({size, rows});
      size += batch * num_kv_heads_ * rows * head_size_;
    }
    keys_ = Matrix<Scalar>(1, size);
    values_ = Matrix<Scalar>(1, size);
  }

  CacheView<Scalar> layer(int64_t i) {
    const auto [begin, rows] = layers_[static_cast<std::size_t>(i)];
    return {keys_.data() + begin, values_.data() + begin, rows, num_kv_heads_, head_size_};
  }
  /// Positions of a layer without a window.
  int64_t capacity() const { return capacity_; }
  int64_t Bytes() const {
    return static_cast<int64_t>(sizeof(Scalar)) * (keys_.size() + values_.size());
  }

 private:
  struct Layer {
    int64_t begin, rows;
  };
  int64_t num_kv_heads_, head_size_, capacity_;
  std::vector<Layer> layers_;
  Matrix<Scalar> keys_, values_;  // one row, layer after layer [B, NKV, rows, HS]
};

}  // namespace flopledger
