// Causal self-attention: the reference, which stores every score, in three steps of its own.
// Legend: B batch, T context, NH query heads, NKV key/value heads (NH for MHA), HS head size.
// Sources: Vaswani et al. 2017, §3.2.1; grouped queries: Ainslie et al. 2023 (GQA); sliding
// windows: Beltagy et al. 2020 (Longformer), as Mistral 7B has them (Jiang et al. 2023, §2).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "kernels/matmul.h"
#include "kernels/tensor.h"

namespace flopledger {

/// A window that drops nothing: small enough that sums with positions do not overflow.
inline constexpr int64_t kNoWindow = std::numeric_limits<int64_t>::max() / 4;

struct AttentionShape {
  int64_t batch = 1;
  int64_t context = 1;
  int64_t num_heads = 1;
  int64_t num_kv_heads = 1;  // divides num_heads
  int64_t head_size = 1;
  int64_t window = kNoWindow;  // position t attends to the last `window` positions, t among them

  double score_scale = 0;  // what q · k is multiplied by; 0: 1/√HS

  int64_t products() const { return batch * num_heads; }
  double scale() const {
    return score_scale != 0 ? score_scale : 1 / std::sqrt(static_cast<double>(head_size));
  }
  /// The first position that position t attends to.
  int64_t first_key(int64_t t) const { return std::max<int64_t>(0, t + 1 - window); }
};

/// The slices of qkv [B·T, (NH + 2·NKV)·HS] that belong to product i = b·NH + h:
/// columns hold all query heads, then all key heads, then all value heads.
template <class T>
struct HeadViews {
  MatrixView<T> q, k, v;  // each [T, HS]

  HeadViews(MatrixView<T> qkv, const AttentionShape& shape, int64_t i) {
    const int64_t B = shape.batch, context = shape.context, HS = shape.head_size;
    const int64_t NH = shape.num_heads, NKV = shape.num_kv_heads;
    FL_CHECK(qkv.rows == B * context && qkv.cols == (NH + 2 * NKV) * HS, qkv.rows, qkv.cols);
    const int64_t b = i / NH, h = i % NH, kv = h / (NH / NKV);
    q = qkv.block(b * context, h * HS, context, HS);
    k = qkv.block(b * context, (NH + kv) * HS, context, HS);
    v = qkv.block(b * context, (NH + NKV + kv) * HS, context, HS);
  }
};

/// Rows of the scratch matrices below: one for each thread.
int64_t AttentionScratchRows();

/// scores[i] = q_i · k_iᵀ, the full T×T square, unscaled. scores: [B·NH·T, T].
template <class Scalar>
void AttentionScores(const AttentionShape& shape, MatmulFn<Scalar> matmul,
                     ConstMatrixView<Scalar> qkv, MatrixView<Scalar> scores);

/// In place: row t of each square becomes softmax(scale() · row) over the positions that t attends
/// to, and 0 elsewhere.
template <class Scalar>
void AttentionSoftmax(const AttentionShape& shape, MatrixView<Scalar> scores);

/// out[b·T + t, h·HS + j] = Σ_s probabilities[i][t, s] · v_i[s, j], the full square. out: [B·T,
/// NH·HS].
template <class Scalar>
void AttentionValues(const AttentionShape& shape, MatmulFn<Scalar> matmul,
                     ConstMatrixView<Scalar> probabilities, ConstMatrixView<Scalar> qkv,
                     MatrixView<Scalar> out);

}  // namespace flopledger
