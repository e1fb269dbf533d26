// Causal self-attention: the reference, which stores every score, in three steps of its own.
// Legend: B batch, T context, NH query heads, NKV key/value heads (NH for MHA), HS head size.
// Source: Vaswani et al. 2017, §3.2.1; grouped queries: Ainslie et al. 2023 (GQA).
#pragma once

#include <omp.h>

#include <algorithm>
#include <cmath>

#include "kernels/matmul.h"
#include "kernels/rowwise.h"
#include "kernels/tensor.h"

namespace flopledger {

struct AttentionShape {
  int64_t batch = 1;
  int64_t context = 1;
  int64_t num_heads = 1;
  int64_t num_kv_heads = 1;  // divides num_heads
  int64_t head_size = 1;

  int64_t products() const { return batch * num_heads; }
};

/// The slices of qkv [B·T, (NH + 2·NKV)·HS] that belong to product i = b·NH + h:
/// columns hold all query heads, then all key heads, then all value heads.
template <class T>
struct HeadViews {
  MatrixView<T> q, k, v;  // each [T, HS]

  HeadViews(MatrixView<T> qkv, const AttentionShape& shape, int64_t i) {
    const auto [B, T_, NH, NKV, HS] = shape;
    FL_CHECK(qkv.rows == B * T_ && qkv.cols == (NH + 2 * NKV) * HS, qkv.rows, qkv.cols);
    const int64_t b = i / NH, h = i % NH, kv = h / (NH / NKV);
    q = qkv.block(b * T_, h * HS, T_, HS);
    k = qkv.block(b * T_, (NH + kv) * HS, T_, HS);
    v = qkv.block(b * T_, (NH + NKV + kv) * HS, T_, HS);
  }
};

/// Calls product(i) for every head of every sequence: heads in parallel where there are enough of
/// them, else one after the other so that the product itself may use the threads.
template <class Product>
void ForEachHead(const AttentionShape& shape, Product&& product) {
  const int64_t n = shape.products();
  if (n < omp_get_max_threads() || omp_in_parallel()) {
    // Not "parallel if (false)": a product inside would then be nested, on threads made anew.
    for (int64_t i = 0; i < n; ++i) product(i);
    return;
  }
#pragma omp parallel for schedule(dynamic)
  for (int64_t i = 0; i < n; ++i) product(i);
}

/// scores[i] = q_i · k_iᵀ, the full T×T square, unscaled. scores: [B·NH·T, T].
template <class Scalar>
void AttentionScores(const AttentionShape& shape, MatmulFn<Scalar> matmul,
                     ConstMatrixView<Scalar> qkv, MatrixView<Scalar> scores) {
  const int64_t T = shape.context;
  FL_CHECK(scores.rows == shape.products() * T && scores.cols == T, scores.rows, scores.cols);
  ForEachHead(shape, [&](int64_t i) {
    const HeadViews<const Scalar> head(qkv, shape, i);
    matmul({.x = head.q,
            .w = WeightView<const Scalar>::Of(head.k, /*transposed=*/true),
            .y = scores.block(i * T, 0, T, T)});
  });
}

/// In place: row t of each square becomes softmax(scale · row) over positions 0..t, and 0 after.
template <class Scalar>
void AttentionSoftmax(const AttentionShape& shape, MatrixView<Scalar> scores) {
  const int64_t T = shape.context;
  const Scalar scale(1.0 / std::sqrt(static_cast<double>(shape.head_size)));
#pragma omp parallel for schedule(dynamic, 64)
  for (int64_t r = 0; r < scores.rows; ++r) {
    const int64_t kept = r % T + 1;
    SoftmaxRow(scores.row(r), kept, scale);
    std::fill(scores.row(r) + kept, scores.row(r) + T, Scalar(0));
  }
}

/// out[b·T + t, h·HS + j] = Σ_s probabilities[i][t, s] · v_i[s, j], the full square. out: [B·T,
/// NH·HS].
template <class Scalar>
void AttentionValues(const AttentionShape& shape, MatmulFn<Scalar> matmul,
                     ConstMatrixView<Scalar> probabilities, ConstMatrixView<Scalar> qkv,
                     MatrixView<Scalar> out) {
  const int64_t T = shape.context, NH = shape.num_heads, HS = shape.head_size;
  ForEachHead(shape, [&](int64_t i) {
    const HeadViews<const Scalar> head(qkv, shape, i);
    matmul({.x = probabilities.block(i * T, 0, T, T),
            .w = WeightView<const Scalar>::Of(head.v),
            .y = out.block(i / NH * T, i % NH * HS, T, HS)});
  });
}

}  // namespace flopledger
