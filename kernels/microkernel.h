// The one inner kernel of the packed product and of fused attention: a register tile of
// kTileRows × kTileColumns accumulators, written on Eigen's packets, so that one source serves
// AVX-512, AVX2 and NEON, and a counting scalar.
#pragma once

#include <Eigen/Core>
#include <array>
#include <cstdint>
#include <utility>

#include "kernels/counted.h"

namespace flopledger {

// A register tile: with 32 registers 12 rows of two packets, with 16 four rows of three. Both leave
// registers for a step's packets of the panel and for the broadcast. With 16, four by three loads
// seven packets for its twelve FMAs where six by two loads eight: 5 to 8 % faster on two Zen 3
// cores at GPT-2 XL's shapes.
inline constexpr bool kManyRegisters = EIGEN_ARCH_DEFAULT_NUMBER_OF_REGISTERS >= 32;
inline constexpr int kTileRows = kManyRegisters ? 12 : 4;
inline constexpr int kPackets = kManyRegisters ? 2 : 3;

/// The packets that a scalar is computed with. Counted<float> has none of its own and takes one
/// element at a time, over tiles of float's shape.
template <class Scalar>
struct PacketOf {
  using Packet = typename Eigen::internal::packet_traits<Scalar>::type;
  static constexpr int kLanes = Eigen::internal::packet_traits<Scalar>::size;
  static constexpr int kTileColumns = kPackets * kLanes;
};
template <>
struct PacketOf<Counted<float>> {
  using Packet = Counted<float>;
  static constexpr int kLanes = 1;
  static constexpr int kTileColumns = PacketOf<float>::kTileColumns;
};

/// Columns of a register tile, kPackets of a row.
template <class Scalar>
inline constexpr int kTileColumns = PacketOf<Scalar>::kTileColumns;

/// Steps of k that a micro-kernel takes between two turns of its prefetch: so many that one line of
/// a panel at a turn, or less, brings in the next panel.
inline constexpr int kUnroll = kManyRegisters ? 2 : 4;

/// What a micro-kernel asks for ahead of its use, a little at each turn: nothing.
struct NoPrefetch {
  void operator()() {}
};

/// Or the operands of a later micro-kernel, into the second-level cache. Each turn takes `x_step`
/// and `panel_step` elements further.
template <class Scalar>
struct PrefetchOperands {
  const Scalar* x;
  int64_t x_step;
  const Scalar* panel;
  int64_t panel_step;

  void operator()() {
    __builtin_prefetch(x, /*rw=*/0, /*locality=*/2);
    __builtin_prefetch(panel, /*rw=*/0, /*locality=*/2);
    x += x_step;
    panel += panel_step;
  }
};

/// A register tile in memory: rows of kTileColumns elements, `stride` apart. With a stride of 0 all
/// of them are one row.
template <class Scalar>
struct TileRows {
  Scalar* data;
  int64_t stride;
};

/// A row of zeros, for sums that start from nothing.
template <class Scalar>
alignas(64) inline const Scalar kZeros[kTileColumns<Scalar>] = {};

namespace internal {

template <class Scalar, int rows, class Prefetch>
void MicroKernelRows(int64_t depth, const Scalar* x, int64_t x_step, const Scalar* panel,
                     TileRows<const Scalar> start, TileRows<Scalar> y, Prefetch prefetch) {
  using Packet = typename PacketOf<Scalar>::Packet;
  using namespace Eigen::internal;  // NOLINT: the packet primitives, in this function alone
  constexpr int lanes = PacketOf<Scalar>::kLanes;
  constexpr int packets = kTileColumns<Scalar> / lanes;
  Packet sums[rows][packets];
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 8
    for (int p = 0; p < packets; ++p) {
      sums[r][p] = ploadu<Packet>(start.data + r * start.stride + p * lanes);
    }
  }
  const auto step = [&] {
    Packet w[packets];
#pragma GCC unroll 8
    for (int p = 0; p < packets; ++p) w[p] = pload<Packet>(panel + p * lanes);
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r) {
      const Packet broadcast = pset1<Packet>(x[r]);
#pragma GCC unroll 8
      for (int p = 0; p < packets; ++p) sums[r][p] = pmadd(broadcast, w[p], sums[r][p]);
    }
    x += x_step;
    panel += kTileColumns<Scalar>;
  };
  int64_t k = 0;
  for (; k + kUnroll <= depth; k += kUnroll) {
    prefetch();
#pragma GCC unroll 8
    for (int i = 0; i < kUnroll; ++i) step();
  }
  for (; k < depth; ++k) step();
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 8
    for (int p = 0; p < packets; ++p) {
      pstoreu<Scalar>(y.data + r * y.stride + p * lanes, sums[r][p]);
    }
  }
}

template <class Scalar, class Prefetch>
using MicroKernelFn = void (*)(int64_t, const Scalar*, int64_t, const Scalar*,
                               TileRows<const Scalar>, TileRows<Scalar>, Prefetch);

template <class Scalar, class Prefetch, int... index>
constexpr std::array<MicroKernelFn<Scalar, Prefetch>, sizeof...(index)> MicroKernelTable(
    std::integer_sequence<int, index...>) {
  return {MicroKernelRows<Scalar, index + 1, Prefetch>...};
}

}  // namespace internal

/// y[r, c] = start[r, c] + Σ_k x[k·x_step + r] · panel[k·kTileColumns + c] for r < rows ≤ kTileRows
/// and all kTileColumns columns; start may be y itself. `panel` is aligned to a packet. Executes
/// 2 · rows · kTileColumns · depth FLOPs.
template <class Scalar, class Prefetch = NoPrefetch>
void MicroKernel(int64_t rows, int64_t depth, const Scalar* x, int64_t x_step, const Scalar* panel,
                 TileRows<const Scalar> start, TileRows<Scalar> y, Prefetch prefetch = {}) {
  static constexpr auto kTable =
      internal::MicroKernelTable<Scalar, Prefetch>(std::make_integer_sequence<int, kTileRows>{});
  kTable[static_cast<std::size_t>(rows - 1)](depth, x, x_step, panel, start, y, prefetch);
}

}  // namespace flopledger
