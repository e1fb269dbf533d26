// The softmax of one row, for attention that stores its scores.
#pragma once

#include "kernels/eigen_map.h"

namespace flopledger {

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
