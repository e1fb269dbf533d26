// Packing rows for the micro-kernel.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/microkernel.h"
#include "kernels/tensor.h"
#include "kernels/transpose.h"

namespace flopledger {

/// Rows that are packed at a time: a multiple of a packet's lanes, so that whole packets transpose.
inline constexpr int64_t kRowGroup = 4 * kTileRows;

/// Elements that PackRows writes for a matrix [rows, cols].
constexpr int64_t PackedSize(int64_t rows, int64_t cols) {
  return (rows + kRowGroup - 1) / kRowGroup * kRowGroup * cols;
}

/// Rows [begin, end) of x as register tiles: row r, column k goes to
/// packed[(r / kTileRows · cols + k) · kTileRows + r % kTileRows]. `begin` is a multiple of
/// kTileRows, and end − begin at most kRowGroup. Rows that fill no tile leave its rest unwritten.
template <class Scalar>
void PackRows(ConstMatrixView<Scalar> x, int64_t begin, int64_t end, Scalar* packed) {
  // Through a buffer in the first-level cache: transposed by packets first, then cut into tiles.
  constexpr int64_t kChunk = 64, kLine = 64 / sizeof(Scalar);
  Scalar buffer[kChunk * kRowGroup];
  const int64_t K = x.cols, rows = end - begin;
  for (int64_t k = 0; k < K; k += kChunk) {
    const int64_t depth = std::min(kChunk, K - k);
    for (int64_t r = 0; r < rows; ++r) {  // so many strided rows escape the hardware's prefetchers
      for (int64_t i = 0; i < kChunk; i += kLine) {
        __builtin_prefetch(x.row(begin + r) + k + kChunk + i);
      }
    }
    Transpose(x.row(begin) + k, x.stride, rows, depth, buffer, kRowGroup);
    for (int64_t r = 0; r < rows; r += kTileRows) {
      Scalar* tile = packed + (begin + r) * K + k * kTileRows;
      for (int64_t i = 0; i < depth; ++i) {
        std::copy_n(buffer + i * kRowGroup + r, kTileRows, tile + i * kTileRows);
      }
    }
  }
}

}  // namespace flopledger
