// Attention of new positions over cached keys and values: decoding, one position at a time. Bound
// by reading the cache once, so plain dot products serve. Legend: B batch, NH query heads, NKV
// key/value heads, HS head size, S positions that are attended.
#pragma once

#include <omp.h>

#include <algorithm>
#include <cmath>

#include "kernels/attention.h"
#include "kernels/eigen_map.h"
#include "kernels/rowwise.h"

namespace flopledger {

/// The keys and values of one layer: for each sequence and key/value head, `capacity` rows of HS.
template <class T>
struct CacheView {
  T* keys = nullptr;  // [B, NKV, capacity, HS]
  T* values = nullptr;
  int64_t capacity = 0;
  int64_t num_kv_heads = 0;
  int64_t head_size = 0;

  MatrixView<T> keys_of(int64_t b, int64_t kv) const { return Rows(keys, b, kv); }
  MatrixView<T> values_of(int64_t b, int64_t kv) const { return Rows(values, b, kv); }

  operator CacheView<const T>() const  // NOLINT(google-explicit-constructor): adds const only
      requires(!std::is_const_v<T>) {
    return {keys, values, capacity, num_kv_heads, head_size};
  }

 private:
  MatrixView<T> Rows(T* data, int64_t b, int64_t kv) const {
    return {data + (b * num_kv_heads + kv) * capacity * head_size, capacity, head_size, head_size};
  }
};

/// Copies the keys and values of qkv [B·T, (NH + 2·NKV)·HS] to positions past … past + T − 1.
template <class Scalar>
void AppendToCache(const AttentionShape& shape, int64_t past, ConstMatrixView<Scalar> qkv,
                   CacheView<Scalar> cache) {
  const int64_t T = shape.context, group = shape.num_heads / shape.num_kv_heads;
  FL_CHECK(past + T <= cache.capacity, past, T, cache.capacity);
#pragma omp parallel for collapse(2)
  for (int64_t b = 0; b < shape.batch; ++b) {
    for (int64_t kv = 0; kv < shape.num_kv_heads; ++kv) {
      const HeadViews<const Scalar> head(qkv, shape, b * shape.num_heads + kv * group);
      for (int64_t t = 0; t < T; ++t) {
        AsRow(cache.keys_of(b, kv), past + t) = AsRow(head.k, t);
        AsRow(cache.values_of(b, kv), past + t) = AsRow(head.v, t);
      }
    }
  }
}

/// out[b, h·HS + j] = Σ_{s ≤ past} softmax(q·k / √HS)[s] · v[s, j]: one new position of each
/// sequence, whose own key and value are in the cache already. qkv: [B, (NH + 2·NKV)·HS], of which
/// only the queries are read; out: [B, NH·HS]; scratch: [threads, ≥ past + 1].
template <class Scalar>
void AttentionCached(const AttentionShape& shape, int64_t past, ConstMatrixView<Scalar> qkv,
                     CacheView<const Scalar> cache, MatrixView<Scalar> out,
                     MatrixView<Scalar> scratch) {
  const int64_t B = shape.batch, T = shape.context, HS = shape.head_size;
  const int64_t NH = shape.num_heads, NKV = shape.num_kv_heads, S = past + 1;
  FL_CHECK(T == 1 && S <= cache.capacity && S <= scratch.cols, T, S, cache.capacity, scratch.cols);
  FL_CHECK(out.rows == B && out.cols == NH * HS, out.rows, out.cols);
  FL_CHECK(scratch.rows >= omp_get_max_threads(), scratch.rows, omp_get_max_threads());
  const Scalar scale(1.0 / std::sqrt(static_cast<double>(HS)));
#pragma omp parallel for schedule(dynamic)
  for (int64_t i = 0; i < B * NH; ++i) {
    const int64_t b = i / NH, h = i % NH, kv = h / (NH / NKV);
    const auto query = AsRow(qkv.row(b) + h * HS, HS);
    const auto keys = cache.keys_of(b, kv), values = cache.values_of(b, kv);
    Scalar* weights = scratch.row(omp_get_thread_num());
    for (int64_t s = 0; s < S; ++s) weights[s] = (query * AsRow(keys, s)).sum();
    SoftmaxRow(weights, S, scale);
    auto sum = AsRow(out.row(b) + h * HS, HS);
    sum.setConstant(Scalar(0));
    for (int64_t s = 0; s < S; ++s) sum += weights[s] * AsRow(values, s);
  }
}

}  // namespace flopledger
