// Transposing small blocks between row-major buffers, packet by packet.
#pragma once

#include <cstdint>
#include <type_traits>

#include "kernels/simd.h"
#include "kernels/tensor.h"

namespace flopledger {

/// to[j · to_stride + i] = from(i, j). No overlap.
template <class Scalar>
void Transpose(ConstMatrixView<Scalar> from, Scalar* to, int64_t to_stride) {
  int64_t whole_rows = 0, whole_cols = 0;
  if constexpr (std::is_same_v<Scalar, float>) {
    constexpr int lanes = simd::kLanes<simd::PacketOf<float>>;
    whole_rows = from.rows / lanes * lanes;
    whole_cols = from.cols / lanes * lanes;
    for (int64_t i = 0; i < whole_rows; i += lanes) {
      for (int64_t j = 0; j < whole_cols; j += lanes) {
        simd::TransposeSquare(from.row(i) + j, from.stride, to + j * to_stride + i, to_stride);
      }
    }
  }
  for (int64_t i = 0; i < from.rows; ++i) {
    for (int64_t j = i < whole_rows ? whole_cols : 0; j < from.cols; ++j) {
      to[j * to_stride + i] = from(i, j);
    }
  }
}

}  // namespace flopledger
