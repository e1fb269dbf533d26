// The one inner kernel of the packed product and of fused attention: a register tile of
// kTileRows × kTileColumns accumulators, written on Eigen's packets, so that one source serves
// AVX-512, AVX2 and NEON, and a counting scalar.
#pragma once

#include <array>
#include <cstdint>
#include <utility>

#include "kernels/simd.h"
#include "kernels/tile.h"

namespace flopledger {

/// Steps of k that a micro-kernel takes between two turns of its prefetch: so many that one line of
/// a panel at a turn, or less, brings in the next panel.
inline constexpr int kUnroll = kManyRegisters ? 2 : 4;

/// What a micro-kernel asks for ahead of its use, a little at each turn: nothing.
struct NoPrefetch {
  void operator()() {}
};

/// Or a panel that comes later, into the second-level cache. Each turn takes `step` elements
/// further.
template <class Scalar>
struct PrefetchPanel {
  const Scalar* panel;
  int64_t step;

  void operator()() {
    __builtin_prefetch(panel, /*rw=*/0, /*locality=*/2);
    panel += step;
  }
};

/// What a micro-kernel multiplies the panel with, as it lies in memory: rows of elements that are
/// summed over, `stride` apart.
template <class Scalar>
struct LhsRowMajor {
  const Scalar* data;
  int64_t stride;
};

/// Or such rows transposed: those of each step lie together, steps are `stride` apart.
template <class Scalar>
struct LhsColMajor {
  const Scalar* data;
  int64_t stride;
};

/// The two factors of a register tile: `depth` steps of x, and of a panel [depth, kTileColumns]
/// that is aligned to a packet.
template <class Scalar, class Factors>
struct TileFactors {
  int64_t depth;
  Factors x;
  const Scalar* panel;
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

/// Where `rows` rows of factors are at one step.
template <class Factors, int rows>
class FactorCursor;

template <class Scalar, int rows>
class FactorCursor<LhsRowMajor<Scalar>, rows> {
 public:
  explicit FactorCursor(LhsRowMajor<Scalar> x) : stride_(x.stride) {
#pragma GCC unroll 4
    for (int i = 0; i < kPointers; ++i) first_[i] = x.data + i * kRowsOfPointer * x.stride;
  }
  Scalar operator[](int r) const {
    return first_[r / kRowsOfPointer][r % kRowsOfPointer * stride_];
  }
  void Step() {
#pragma GCC unroll 4
    for (int i = 0; i < kPointers; ++i) ++first_[i];
  }

 private:
  // What is 0, 1 or 2 strides from a pointer needs no further register to be addressed.
  static constexpr int kRowsOfPointer = 3, kPointers = (rows + 2) / kRowsOfPointer;
  const Scalar* first_[kPointers];
  int64_t stride_;
};

template <class Scalar, int rows>
class FactorCursor<LhsColMajor<Scalar>, rows> {
 public:
  explicit FactorCursor(LhsColMajor<Scalar> x) : x_(x) {}
  Scalar operator[](int r) const { return x_.data[r]; }
  void Step() { x_.data += x_.stride; }

 private:
  LhsColMajor<Scalar> x_;
};

template <class Scalar, class Factors, int rows, class Prefetch>
void MicroKernelRows(TileFactors<Scalar, Factors> product, TileRows<const Scalar> start,
                     TileRows<Scalar> y, Prefetch prefetch) {
  using namespace simd;
  using Packet = PacketOf<Scalar>;
  constexpr int lanes = kLanes<Packet>;
  constexpr int packets = kTileColumns<Scalar> / lanes;
  FactorCursor<Factors, rows> factors(product.x);
  const Scalar* panel = product.panel;
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
      const Packet broadcast = pset1<Packet>(factors[r]);
#pragma GCC unroll 8
      for (int p = 0; p < packets; ++p) sums[r][p] = pmadd(broadcast, w[p], sums[r][p]);
    }
    factors.Step();
    panel += kTileColumns<Scalar>;
  };
  int64_t k = 0;
  for (; k + kUnroll <= product.depth; k += kUnroll) {
    prefetch();
#pragma GCC unroll 8
    for (int i = 0; i < kUnroll; ++i) step();
  }
  for (; k < product.depth; ++k) step();
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 8
    for (int p = 0; p < packets; ++p) {
      pstoreu<Scalar>(y.data + r * y.stride + p * lanes, sums[r][p]);
    }
  }
}

template <class Scalar, class Factors, class Prefetch>
using MicroKernelFn = void (*)(TileFactors<Scalar, Factors>, TileRows<const Scalar>,
                               TileRows<Scalar>, Prefetch);

template <class Scalar, class Factors, class Prefetch, int... index>
constexpr std::array<MicroKernelFn<Scalar, Factors, Prefetch>, sizeof...(index)> MicroKernelTable(
    std::integer_sequence<int, index...>) {
  return {MicroKernelRows<Scalar, Factors, index + 1, Prefetch>...};
}

}  // namespace internal

/// y[r, c] = start[r, c] + Σ_k x(r, k) · panel[k·kTileColumns + c] for r < rows ≤ kTileRows
/// and all kTileColumns columns; start may be y itself. Executes 2 · rows · kTileColumns · depth
/// FLOPs.
template <class Scalar, class Factors, class Prefetch = NoPrefetch>
void MicroKernel(int64_t rows, TileFactors<Scalar, Factors> product, TileRows<const Scalar> start,
                 TileRows<Scalar> y, Prefetch prefetch = {}) {
  static constexpr auto kTable = internal::MicroKernelTable<Scalar, Factors, Prefetch>(
      std::make_integer_sequence<int, kTileRows>{});
  kTable[static_cast<std::size_t>(rows - 1)](product, start, y, prefetch);
}

}  // namespace flopledger
