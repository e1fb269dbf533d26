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

/// The packets that a scalar is computed with. Counted<float> has none of its own and takes one
/// element at a time, over tiles of float's shape.
template <class Scalar>
struct PacketOf {
  using Packet = typename Eigen::internal::packet_traits<Scalar>::type;
  static constexpr int kLanes = Eigen::internal::packet_traits<Scalar>::size;
  static constexpr int kTileColumns = 2 * kLanes;
};
template <>
struct PacketOf<Counted<float>> {
  using Packet = Counted<float>;
  static constexpr int kLanes = 1;
  static constexpr int kTileColumns = PacketOf<float>::kTileColumns;
};

/// Columns of a register tile: two packets, so that each broadcast element is used twice.
template <class Scalar>
inline constexpr int kTileColumns = PacketOf<Scalar>::kTileColumns;

/// Rows of a register tile: as many as leave three registers for the two packets and the broadcast.
inline constexpr int kTileRows = EIGEN_ARCH_DEFAULT_NUMBER_OF_REGISTERS >= 32 ? 12 : 6;

/// Steps of k that are unrolled. A loop of single steps spends a quarter of its instructions on the
/// loop and on prefetches; where the front end is shared (SMT), that share of the FMAs is lost:
/// 0.72 of the FMA peak became 0.94 on a busy Zen 3 core, both 0.98 on a quiet one.
inline constexpr int64_t kUnrolledSteps = 4;

/// What a micro-kernel asks for ahead of its use, a little every kUnrolledSteps of k: nothing.
struct NoPrefetch {
  void operator()() {}
};

/// Or the operands of a later micro-kernel, into the second-level cache. Each call takes `x_step`
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
  const auto step = [&](int64_t k) {
    Packet w[packets];
#pragma GCC unroll 8
    for (int p = 0; p < packets; ++p) {
      w[p] = pload<Packet>(panel + k * kTileColumns<Scalar> + p * lanes);
    }
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r) {
      const Packet broadcast = pset1<Packet>(x[k * x_step + r]);
#pragma GCC unroll 8
      for (int p = 0; p < packets; ++p) sums[r][p] = pmadd(broadcast, w[p], sums[r][p]);
    }
  };
  const auto advance = [&](int64_t steps) {
    x += steps * x_step;
    panel += steps * kTileColumns<Scalar>;
  };
  int64_t k = 0;
  for (; k + kUnrolledSteps <= depth; k += kUnrolledSteps) {
    prefetch();
#pragma GCC unroll 4
    for (int64_t i = 0; i < kUnrolledSteps; ++i) step(i);
    advance(kUnrolledSteps);
  }
  for (; k < depth; ++k) {
    step(0);
    advance(1);
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
