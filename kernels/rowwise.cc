#include "kernels/rowwise.h"

#include <cmath>

#include "kernels/counted.h"
#include "kernels/eigen_map.h"

namespace flopledger {

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

template <class Scalar>
void RmsNorm(ConstMatrixView<Scalar> x, ConstMatrixView<Scalar> gain, Scalar eps,
             MatrixView<Scalar> y) {
  using std::sqrt;
  const int64_t C = gain.cols;
  FL_CHECK(x.rows == y.rows && x.cols == y.cols, x.rows, x.cols, y.rows, y.cols);
  FL_CHECK(gain.rows == 1 && x.cols % C == 0, gain.rows, C, x.cols);
  const Scalar inverse_size(1.0 / static_cast<double>(C));
#pragma omp parallel for
  for (int64_t r = 0; r < x.rows; ++r) {
    for (int64_t c = 0; c < x.cols; c += C) {
      const auto in = AsRow(x.row(r) + c, C);
      const Scalar mean_square = in.square().sum() * inverse_size;
      const Scalar rstd = Scalar(1) / sqrt(mean_square + eps);
      AsRow(y.row(r) + c, C) = in * rstd * AsRow(gain, 0);
    }
  }
}

#define FLOPLEDGER_INSTANTIATE(Scalar)                                                           \
  template void LayerNorm<Scalar>(ConstMatrixView<Scalar>, const Scalar*, const Scalar*, Scalar, \
                                  MatrixView<Scalar>);                                           \
  template void RmsNorm<Scalar>(ConstMatrixView<Scalar>, ConstMatrixView<Scalar>, Scalar,        \
                                MatrixView<Scalar>)

FLOPLEDGER_INSTANTIATE(float);
FLOPLEDGER_INSTANTIATE(double);
FLOPLEDGER_INSTANTIATE(Counted<float>);

}  // namespace flopledger
