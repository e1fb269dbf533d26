#include "kernels/attention_cached.h"

#include <omp.h>

#include <algorithm>

#include "kernels/counted.h"
#include "kernels/softmax_row.h"

namespace flopledger {

template <class Scalar>
void AppendToCache(const AttentionShape& shape, int64_t past, ConstMatrixView<Scalar> qkv,
                   CacheView<Scalar> cache) {
  const int64_t T = shape.context, group = shape.num_heads / shape.num_kv_heads;
  FL_CHECK(past + T <= cache.capacity || cache.capacity >= shape.window, past, T, cache.capacity);
#pragma omp parallel for collapse(2)
  for (int64_t b = 0; b < shape.batch; ++b) {
    for (int64_t kv = 0; kv < shape.num_kv_heads; ++kv) {
      const HeadViews<const Scalar> head(qkv, shape, b * shape.num_heads + kv * group);
      for (int64_t t = std::max<int64_t>(0, T - cache.capacity); t < T; ++t) {
        const int64_t row = (past + t) % cache.capacity;
        AsRow(cache.keys_of(b, kv), row) = AsRow(head.k, t);
        AsRow(cache.values_of(b, kv), row) = AsRow(head.v, t);
      }
    }
  }
}

template <class Scalar>
void AttentionCached(const AttentionShape& shape, int64_t past,
                     const CachedAttentionArgs<Scalar>& args) {
  const auto qkv = args.qkv;
  const auto cache = args.cache;
  const auto out = args.out, scratch = args.scratch;
  const int64_t B = shape.batch, T = shape.context, HS = shape.head_size;
  const int64_t NH = shape.num_heads, NKV = shape.num_kv_heads;
  const int64_t S = std::min(past + 1, cache.capacity);
  // Rows beyond the window must have been overwritten, those within it must be there.
  FL_CHECK(S == std::min(past + 1, shape.window), S, past, shape.window);
  FL_CHECK(T == 1 && S <= scratch.cols, T, S, scratch.cols);
  FL_CHECK(out.rows == B && out.cols == NH * HS, out.rows, out.cols);
  FL_CHECK(scratch.rows >= omp_get_max_threads(), scratch.rows, omp_get_max_threads());
  const Scalar scale(shape.scale());
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

#define FLOPLEDGER_INSTANTIATE(Scalar)                                                         \
  template void AppendToCache<Scalar>(const AttentionShape&, int64_t, ConstMatrixView<Scalar>, \
                                      CacheView<Scalar>);                                      \
  template void AttentionCached<Scalar>(const AttentionShape&, int64_t,                        \
                                        const CachedAttentionArgs<Scalar>&)

FLOPLEDGER_INSTANTIATE(float);
FLOPLEDGER_INSTANTIATE(double);
FLOPLEDGER_INSTANTIATE(Counted<float>);

}  // namespace flopledger
