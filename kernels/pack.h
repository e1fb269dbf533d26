// Packing rows for the micro-kernel.
#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "kernels/microkernel.h"
#include "kernels/tensor.h"

namespace flopledger {

/// Rows of a product's x that are packed at a time: whole register tiles, some sixteen rows. Fewer
/// leave memory idle; more lie in the same sets of the first-level cache and push each other out
/// (48 rows, 6,400 apart: twice the time on two Zen 4 cores).
inline constexpr int64_t kRowGroup = std::max(1, 16 / kTileRows) * kTileRows;

/// Elements that PackRows writes for a matrix [rows, cols].
constexpr int64_t PackedSize(int64_t rows, int64_t cols) {
  return (rows + kRowGroup - 1) / kRowGroup * kRowGroup * cols;
}

namespace internal {

/// to[i · kTileRows + r] = x[r, k + i] for i < depth and four rows r from `row` on, transposed by
/// packets of four.
inline void PackFourRows(ConstMatrixView<float> x, int64_t row, int64_t k, int64_t depth,
                         float* to) {
  using namespace Eigen::internal;  // NOLINT: the packet primitives, in this function alone
  int64_t i = 0;
  for (; i + 4 <= depth; i += 4) {
    PacketBlock<Packet4f, 4> block;
    for (int r = 0; r < 4; ++r) block.packet[r] = ploadu<Packet4f>(x.row(row + r) + k + i);
    ptranspose(block);
    for (int j = 0; j < 4; ++j) pstoreu(to + (i + j) * kTileRows, block.packet[j]);
  }
  for (; i < depth; ++i) {
    for (int r = 0; r < 4; ++r) to[i * kTileRows + r] = x.row(row + r)[k + i];
  }
}

}  // namespace internal

/// Rows [begin, end) of x as register tiles: row r, column k goes to
/// packed[(r / kTileRows · cols + k) · kTileRows + r % kTileRows]. `begin` is a multiple of
/// kTileRows. Rows that fill no tile leave its rest unwritten.
template <class Scalar>
void PackRows(ConstMatrixView<Scalar> x, int64_t begin, int64_t end, Scalar* packed) {
  constexpr int64_t kLine = 64 / sizeof(Scalar), kAhead = 4 * kLine;
  static_assert(kTileRows % 4 == 0);
  const int64_t K = x.cols;
  for (int64_t k = 0; k < K; k += kLine) {
    const int64_t depth = std::min(kLine, K - k);
    for (int64_t r = begin; r < end; ++r) {  // so many strided rows escape the hardware's
      __builtin_prefetch(x.row(r) + k + kAhead);
    }
    for (int64_t r = begin; r < end; r += 4) {
      Scalar* to = packed + (r / kTileRows * K + k) * kTileRows + r % kTileRows;
      const int64_t rows = std::min<int64_t>(4, end - r);
      if constexpr (std::is_same_v<Scalar, float>) {
        if (rows == 4) {
          internal::PackFourRows(x, r, k, depth, to);
          continue;
        }
      }
      for (int64_t i = 0; i < depth; ++i) {
        for (int64_t j = 0; j < rows; ++j) to[i * kTileRows + j] = x.row(r + j)[k + i];
      }
    }
  }
}

}  // namespace flopledger
