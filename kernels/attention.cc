#include "kernels/attention.h"

#include <omp.h>

#include "kernels/counted.h"
#include "kernels/softmax_row.h"

namespace flopledger {
namespace {

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

}  // namespace

int64_t AttentionScratchRows() { return omp_get_max_threads(); }

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

template <class Scalar>
void AttentionSoftmax(const AttentionShape& shape, MatrixView<Scalar> scores) {
  const int64_t T = shape.context;
  const Scalar scale(shape.scale());
#pragma omp parallel for schedule(dynamic, 64)
  for (int64_t r = 0; r < scores.rows; ++r) {
    const int64_t begin = shape.first_key(r % T), end = r % T + 1;
    std::fill_n(scores.row(r), begin, Scalar(0));
    SoftmaxRow(scores.row(r) + begin, end - begin, scale);
    std::fill(scores.row(r) + end, scores.row(r) + T, Scalar(0));
  }
}

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

#define FLOPLEDGER_INSTANTIATE(Scalar)                                                    \
  template void AttentionScores<Scalar>(const AttentionShape&, MatmulFn<Scalar>,          \
                                        ConstMatrixView<Scalar>, MatrixView<Scalar>);     \
  template void AttentionSoftmax<Scalar>(const AttentionShape&, MatrixView<Scalar>);      \
  template void AttentionValues<Scalar>(const AttentionShape&, MatmulFn<Scalar>,          \
                                        ConstMatrixView<Scalar>, ConstMatrixView<Scalar>, \
                                        MatrixView<Scalar>)

FLOPLEDGER_INSTANTIATE(float);
FLOPLEDGER_INSTANTIATE(double);
FLOPLEDGER_INSTANTIATE(Counted<float>);

}  // namespace flopledger
