// Our views as Eigen expressions. The only bridge between the two.
#pragma once

#include <Eigen/Core>

#include "kernels/tensor.h"

namespace flopledger {

template <class Scalar>
using RowArray = Eigen::Array<Scalar, 1, Eigen::Dynamic>;

/// Row `i` of a view as an array expression [1, cols].
template <class T>
auto AsRow(MatrixView<T> view, int64_t i) {
  using Array = RowArray<std::remove_const_t<T>>;
  using Mapped = std::conditional_t<std::is_const_v<T>, const Array, Array>;
  return Eigen::Map<Mapped>(view.row(i), view.cols);
}

/// A vector [n] as an array expression [1, n].
template <class T>
auto AsRow(T* data, int64_t n) {
  return AsRow(MatrixView<T>{data, 1, n, n}, 0);
}

/// The whole view as a row-major matrix expression [rows, cols].
template <class T>
auto AsMatrix(MatrixView<T> view) {
  using Dense =
      Eigen::Matrix<std::remove_const_t<T>, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using Mapped = std::conditional_t<std::is_const_v<T>, const Dense, Dense>;
  return Eigen::Map<Mapped, Eigen::Unaligned, Eigen::OuterStride<>>(
      view.data, view.rows, view.cols, Eigen::OuterStride<>(view.stride));
}

}  // namespace flopledger
