// Eigen's packets, so that one source serves AVX-512, AVX2, SSE and NEON, and a counting scalar.
// Their names are internal to Eigen: this is the only file that spells Eigen::internal.
#pragma once

#include <Eigen/Core>
#include <type_traits>

#include "kernels/counted.h"
#include "kernels/tile.h"

namespace flopledger::simd {

using Eigen::internal::padd;
using Eigen::internal::pexp;
using Eigen::internal::pload;
using Eigen::internal::ploadu;
using Eigen::internal::plogical_shift_left;
using Eigen::internal::pmadd;
using Eigen::internal::pmax;
using Eigen::internal::pmul;
using Eigen::internal::predux;
using Eigen::internal::preinterpret;
using Eigen::internal::pset1;
using Eigen::internal::pstore;
using Eigen::internal::pstoreu;
using Eigen::internal::psub;

/// The widest packet of a scalar. Counted<float> has none of its own and is taken one by one.
template <class Scalar>
struct WidestPacket {
  using Type = typename Eigen::internal::packet_traits<Scalar>::type;
};
template <>
struct WidestPacket<Counted<float>> {
  using Type = Counted<float>;
};
template <class Scalar>
using PacketOf = typename WidestPacket<Scalar>::Type;

template <class Packet>
using ScalarOf = typename Eigen::internal::unpacket_traits<Packet>::type;
template <class Packet>
using HalfOf = typename Eigen::internal::unpacket_traits<Packet>::half;
/// The packet of integers that has the lanes and bits of one of floats.
template <class Packet>
using BitsOf = typename Eigen::internal::unpacket_traits<Packet>::integer_packet;
template <class Packet>
inline constexpr int kLanes = Eigen::internal::unpacket_traits<Packet>::size;

static_assert(kLanes<PacketOf<float>> * sizeof(float) == kVectorBytes,
              "kernels/tile.h does not know the SIMD registers of this processor");
static_assert((EIGEN_ARCH_DEFAULT_NUMBER_OF_REGISTERS >= 32) == kManyRegisters,
              "kernels/tile.h does not know the SIMD registers of this processor");

/// Transposes a square of elements: row r goes to column r. from: rows `from_stride` apart.
template <class Scalar>
void TransposeSquare(const Scalar* from, int64_t from_stride, Scalar* to, int64_t to_stride) {
  using Packet = PacketOf<Scalar>;
  constexpr int lanes = kLanes<Packet>;
  Eigen::internal::PacketBlock<Packet, lanes> block;
  for (int r = 0; r < lanes; ++r) block.packet[r] = ploadu<Packet>(from + r * from_stride);
  Eigen::internal::ptranspose(block);
  for (int c = 0; c < lanes; ++c) pstoreu(to + c * to_stride, block.packet[c]);
}

/// How many steps of K Eigen's own product takes at a time, of float and large matrices.
inline Eigen::Index EigenKBlock() {
  Eigen::Index k = 1 << 20, m = 4096, n = 4096;
  Eigen::internal::computeProductBlockingSizes<float, float>(k, m, n, Eigen::Index{1});
  return k;
}

}  // namespace flopledger::simd
