// The key/value cache of decoding: what attention of later positions reads of earlier ones.
#pragma once

#include <cstdint>

#include "kernels/attention_cached.h"
#include "kernels/tensor.h"
#include "model/config.h"

namespace flopledger {

/// Keys and values of every layer that runs, for `capacity` positions of each sequence:
/// 2·L·B·NKV·capacity·HS elements, uninitialised.
template <class Scalar>
class KvCache {
 public:
  KvCache(const ModelConfig& config, int64_t num_layers, int64_t batch, int64_t capacity)
      : num_kv_heads_(config.num_kv_heads),
        head_size_(config.head_size()),
        capacity_(capacity),
        keys_(num_layers, batch * num_kv_heads_ * capacity * head_size_),
        values_(num_layers, batch * num_kv_heads_ * capacity * head_size_) {}

  CacheView<Scalar> layer(int64_t i) {
    return {keys_.view().row(i), values_.view().row(i), capacity_, num_kv_heads_, head_size_};
  }
  int64_t capacity() const { return capacity_; }
  int64_t Bytes() const {
    return static_cast<int64_t>(sizeof(Scalar)) * (keys_.size() + values_.size());
  }

 private:
  int64_t num_kv_heads_, head_size_, capacity_;
  Matrix<Scalar> keys_, values_;  // [L, B·NKV·capacity·HS]
};

}  // namespace flopledger
