// Row-major matrix views and the aligned buffers behind them. No arithmetic here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>

#include "kernels/check.h"

namespace flopledger {

/// A row-major view that owns nothing: element (i, j) is data[i * stride + j].
template <class T>
struct MatrixView {
  T* data = nullptr;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t stride = 0;  // elements from one row to the next, at least cols

  T* row(int64_t i) const { return data + i * stride; }
  T& operator()(int64_t i, int64_t j) const { return data[i * stride + j]; }

  /// The rows [row, row + num_rows) and columns [col, col + num_cols).
  MatrixView block(int64_t row, int64_t col, int64_t num_rows, int64_t num_cols) const {
    FL_CHECK(row >= 0 && col >= 0 && row + num_rows <= rows && col + num_cols <= cols, row, col,
             num_rows, num_cols, rows, cols);
    return {data + row * stride + col, num_rows, num_cols, stride};
  }

  operator MatrixView<const T>() const  // NOLINT(google-explicit-constructor): adds const only
      requires(!std::is_const_v<T>) {
    return {data, rows, cols, stride};
  }
};

template <class T>
using ConstMatrixView = MatrixView<const T>;

/// A stride for rows of `cols` elements that makes them an odd number of cache lines. The sets of a
/// cache are a power of two: so equal columns of a few rows never meet in one set, where they would
/// push each other out.
template <class T>
constexpr int64_t OddLinesStride(int64_t cols) {
  constexpr int64_t line = 64 / sizeof(T);
  return ((cols + line - 1) / line | 1) * line;
}

/// `bytes` of uninitialised memory aligned to a cache line, or to a huge page (which it then asks
/// for) when that large: a 6 GB model on 4 KiB pages spends its time in TLB misses.
/// Throws std::bad_alloc.
void* AllocateAligned(std::size_t bytes);
void FreeAligned(void* memory) noexcept;

/// An owning row-major matrix [rows, cols], contiguous. Its elements start uninitialised, so that
/// whoever fills it (in parallel) also touches the pages first.
template <class T>
class Matrix {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  Matrix() = default;
  Matrix(int64_t rows, int64_t cols)
      : rows_(rows),
        cols_(cols),
        data_(static_cast<T*>(AllocateAligned(static_cast<std::size_t>(rows * cols) * sizeof(T)))) {
    FL_CHECK(rows >= 0 && cols >= 0, rows, cols);
  }

  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }
  int64_t size() const { return rows_ * cols_; }
  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  MatrixView<T> view() { return {data(), rows_, cols_, cols_}; }
  ConstMatrixView<T> view() const { return {data(), rows_, cols_, cols_}; }

 private:
  struct Free {
    void operator()(T* memory) const noexcept { FreeAligned(memory); }
  };
  int64_t rows_ = 0;
  int64_t cols_ = 0;
  std::unique_ptr<T, Free> data_;
};

}  // namespace flopledger
