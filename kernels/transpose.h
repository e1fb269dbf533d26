// Transposing small blocks between row-major buffers, packet by packet.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <type_traits>

namespace flopledger {

/// to[j · to_stride + i] = from[i · from_stride + j] for i < rows, j < cols. No overlap.
template <class Scalar>
void Transpose(const Scalar* from, int64_t from_stride, int64_t rows, int64_t cols, Scalar* to,
               int64_t to_stride) {
  int64_t whole_rows = 0, whole_cols = 0;
  if constexpr (std::is_same_v<Scalar, float>) {
    using Packet = Eigen::internal::packet_traits<float>::type;
    constexpr int lanes = Eigen::internal::packet_traits<float>::size;
    whole_rows = rows / lanes * lanes;
    whole_cols = cols / lanes * lanes;
    for (int64_t i = 0; i < whole_rows; i += lanes) {
      for (int64_t j = 0; j < whole_cols; j += lanes) {
        Eigen::internal::PacketBlock<Packet, lanes> block;
        for (int r = 0; r < lanes; ++r) {
          block.packet[r] = Eigen::internal::ploadu<Packet>(from + (i + r) * from_stride + j);
        }
        Eigen::internal::ptranspose(block);
        for (int c = 0; c < lanes; ++c) {
          Eigen::internal::pstoreu(to + (j + c) * to_stride + i, block.packet[c]);
        }
      }
    }
  }
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = i < whole_rows ? whole_cols : 0; j < cols; ++j) {
      to[j * to_stride + i] = from[i * from_stride + j];
    }
  }
}

}  // namespace flopledger
