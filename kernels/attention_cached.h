// Attention of new positions over cached keys and values: decoding, one position at a time. Bound
// by reading the cache once, so plain dot products serve. Legend: B batch, NH query heads, NKV
// key/value heads, HS head size, S positions that are attended.
#pragma once

#include <cstdint>
#include <type_traits>

#include "kernels/attention.h"
#include "kernels/tensor.h"

namespace flopledger {

/// The keys and values of one layer: for each sequence and key/value head, `capacity` rows of HS.
/// Position p lies in row p mod capacity: with a sliding window, `capacity` is at most the window,
/// and a position takes the row of the one that just left it.
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

/// Copies the keys and values of qkv [B·T, (NH + 2·NKV)·HS] to positions past … past + T − 1, of
/// which the last `capacity` stay.
template <class Scalar>
void AppendToCache(const AttentionShape& shape, int64_t past, ConstMatrixView<Scalar> qkv,
                   CacheView<Scalar> cache);

/// What AttentionCached reads and writes.
template <class Scalar>
struct CachedAttentionArgs {
  ConstMatrixView<Scalar> qkv;    // [B, (NH + 2·NKV)·HS], of which only the queries are read
  CacheView<const Scalar> cache;  // with the key and value of the new position
  MatrixView<Scalar> out;         // [B, NH·HS]
  MatrixView<Scalar> scratch;     // [threads, ≥ S]
};

/// out[b, h·HS + j] = Σ_s softmax(scale() · q·k)[s] · v[s, j] over the S = min(past + 1, capacity)
/// positions in the cache: one new position of each sequence. The order of the rows does not
/// matter.
template <class Scalar>
void AttentionCached(const AttentionShape& shape, int64_t past,
                     const CachedAttentionArgs<Scalar>& args);

}  // namespace flopledger
