// Kernels that reduce along each row: LayerNorm, RMSNorm, softmax. Rows run in parallel.
// Legend: R rows (B·T), C columns (d_model). Scalar is float, double, or a counting scalar.
#pragma once

#include <cmath>

#include "kernels/eigen_map.h"

namespace flopledger {

/// y = (x − mean) / sqrt(var + eps) · gain + bias for each row; var is the biased variance.
/// x, y: [R, C], may be the same; gain: [C]; bias: [C] or null. Source: Ba et al. 2016.
template <class Scalar>
void LayerNorm(ConstMatrixView<Scalar> x, const Scalar* gain, const Scalar* bias, Scalar eps,
               MatrixView<Scalar> y) {
  using std::sqrt;
  FL_CHECK(x.rows == y.rows && x.cols == y.cols, x.rows, x.cols, y.rows, y.cols);
  const int64_t C = x.cols;
  const Scalar inverse_size(1.0 / static_cast<double>(C));
#pragma omp parallel for
  for (int64_t r = 0; r < x.rows; ++r) {
    const Scalar mean = AsRow(x, r).sum() * inverse_size;
    auto out = AsRow(y, r);
    out = AsRow(x, r) - mean;
    const Scalar variance = out.square().sum() * inverse_size;
    const Scalar rstd = Scalar(1) / sqrt(variance + eps);
    if (bias != nullptr) {
      out = out * rstd * AsRow(gain, C) + AsRow(bias, C);
    } else {
      out = out * rstd * AsRow(gain, C);
    }
  }
}

/// y = x / sqrt(mean(x²) + eps) · gain for each row. x, y: [R, C], may be the same; gain: [C].
/// Source: Zhang and Sennrich 2019.
template <class Scalar>
void RmsNorm(ConstMatrixView<Scalar> x, const Scalar* gain, Scalar eps, MatrixView<Scalar> y) {
  using std::sqrt;
  FL_CHECK(x.rows == y.rows && x.cols == y.cols, x.rows, x.cols, y.rows, y.cols);
  const int64_t C = x.cols;
  const Scalar inverse_size(1.0 / static_cast<double>(C));
#pragma omp parallel for
  for (int64_t r = 0; r < x.rows; ++r) {
    const Scalar mean_square = AsRow(x, r).square().sum() * inverse_size;
    const Scalar rstd = Scalar(1) / sqrt(mean_square + eps);
    AsRow(y, r) = AsRow(x, r) * rstd * AsRow(gain, C);
  }
}

/// In place: x[0..n) becomes softmax(scale · x), for scale > 0. The largest entry is subtracted
/// first, so nothing overflows.
template <class Scalar>
void SoftmaxRow(Scalar* x, int64_t n, Scalar scale) {
  auto row = AsRow(x, n);
  const Scalar largest = row.maxCoeff();
  row = ((row - largest) * scale).exp();
  row *= Scalar(1) / row.sum();
}

}  // namespace flopledger
