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

/// What a micro-kernel asks for ahead of its use, a little at each step of k: nothing.
struct NoPrefetch {
  void operator()() {}
};

/// Or the operands of a later micro-kernel, into the second-level cache. Each step takes
/// `x_step` and `panel_step` elements further.
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

namespace internal {

/// y[r, c] (+)= Σ_k x[k·x_step + r] · panel[k·kTileColumns + c] for r < rows, c < kTileColumns.
template <class Scalar, int rows, bool accumulate, class Prefetch>
void MicroKernelRows(int64_t depth, const Scalar* x, int64_t x_step, const Scalar* panel, Scalar* y,
                     int64_t y_stride, Prefetch prefetch) {
  using Packet = typename PacketOf<Scalar>::Packet;
  using namespace Eigen::internal;  // NOLINT: the packet primitives, in this function alone
  constexpr int lanes = PacketOf<Scalar>::kLanes;
  constexpr int packets = kTileColumns<Scalar> / lanes;
  Packet sums[rows][packets];
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 8
    for (int p = 0; p < packets; ++p) {
      sums[r][p] =
          accumulate ? ploadu<Packet>(y + r * y_stride + p * lanes) : pset1<Packet>(Scalar(0));
    }
  }
  for (int64_t k = 0; k < depth; ++k) {
    prefetch();
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
  }
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 8
    for (int p = 0; p < packets; ++p) {
      pstoreu<Scalar>(y + r * y_stride + p * lanes, sums[r][p]);
    }
  }
}

template <class Scalar, class Prefetch>
using MicroKernelFn = void (*)(int64_t, const Scalar*, int64_t, const Scalar*, Scalar*, int64_t,
                               Prefetch);

template <class Scalar, bool accumulate, class Prefetch, int... index>
constexpr std::array<MicroKernelFn<Scalar, Prefetch>, sizeof...(index)> MicroKernelTable(
    std::integer_sequence<int, index...>) {
  return {MicroKernelRows<Scalar, index + 1, accumulate, Prefetch>...};
}

}  // namespace internal

/// y[r, c] += Σ_k x[k·x_step + r] · panel[k·kTileColumns + c], or = without `accumulate`, for
/// r < rows ≤ kTileRows and all kTileColumns columns. `panel` is aligned to a packet. Executes
/// 2 · rows · kTileColumns · depth FLOPs.
template <class Scalar, bool accumulate, class Prefetch = NoPrefetch>
void MicroKernel(int64_t rows, int64_t depth, const Scalar* x, int64_t x_step, const Scalar* panel,
                 Scalar* y, int64_t y_stride, Prefetch prefetch = {}) {
  static constexpr auto kTable = internal::MicroKernelTable<Scalar, accumulate, Prefetch>(
      std::make_integer_sequence<int, kTileRows>{});
  kTable[static_cast<std::size_t>(rows - 1)](depth, x, x_step, panel, y, y_stride, prefetch);
}

}  // namespace flopledger
