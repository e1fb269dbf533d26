#include "kernels/matmul.h"

#include <omp.h>

#include <algorithm>

#include "kernels/counted.h"
#include "kernels/eigen_map.h"
#include "kernels/matmul_packed.h"
#include "kernels/simd.h"

namespace flopledger {
namespace {

/// Three loops, the definition itself: what the others are held against.
template <class Scalar>
void MatmulReference(const MatmulArgs<Scalar>& args) {
  CheckMatmulShapes(args);
  const int64_t M = args.x.rows, K = args.x.cols, N = args.y.cols;
#pragma omp parallel for if (!omp_in_parallel())
  for (int64_t m = 0; m < M; ++m) {
    for (int64_t n = 0; n < N; ++n) {
      Scalar sum = args.bias != nullptr ? args.bias[n] : Scalar(0);
      for (int64_t k = 0; k < K; ++k) {
        sum += args.x(m, k) * args.w(k, n);
      }
      args.y(m, n) = sum;
    }
  }
}

/// The plain matrix behind a weight that is not packed.
template <class Scalar>
ConstMatrixView<Scalar> PlainMatrix(const WeightView<const Scalar>& w) {
  FL_CHECK(w.layout != WeightLayout::kPanels);
  const bool transposed = w.layout == WeightLayout::kOutputsByInputs;
  return {w.data, transposed ? w.outputs : w.inputs, transposed ? w.inputs : w.outputs, w.stride};
}

/// Rows [row, row + rows) and columns [col, col + cols) of y as a product of its own.
template <class Scalar>
MatmulArgs<Scalar> TileOf(const MatmulArgs<Scalar>& args, int64_t row, int64_t rows, int64_t col,
                          int64_t cols) {
  const int64_t K = args.x.cols;
  const bool transposed = args.w.layout == WeightLayout::kOutputsByInputs;
  const auto w = PlainMatrix(args.w);
  return {.x = args.x.block(row, 0, rows, K),
          .w = WeightView<const Scalar>::Of(
              transposed ? w.block(col, 0, cols, K) : w.block(0, col, K, cols), transposed),
          .bias = args.bias != nullptr ? args.bias + col : nullptr,
          .y = args.y.block(row, col, rows, cols)};
}

/// [0, size) in tiles of `tile`, the last with what is left over: none is smaller unless it is the
/// only one.
struct Tiles {
  int64_t size, tile;

  int64_t count() const { return std::max<int64_t>(1, size / tile); }
  int64_t begin(int64_t i) const { return i * tile; }
  int64_t length(int64_t i) const { return (i + 1 == count() ? size : begin(i + 1)) - begin(i); }
};

/// One tile by Eigen, K-block after K-block. Eigen adds alpha·accumulator onto what stands in y
/// whatever stands there, so starting from the bias makes the bias free; and blocks of at most
/// Eigen's own size keep it from cutting them once more, so that the number of blocks is known.
template <class Scalar>
void EigenTile(const MatmulArgs<Scalar>& args, int64_t k_block) {
  InitWithBias(args, 0, args.y.rows, 0, args.y.cols);
  const int64_t K = args.x.cols;
  const int64_t blocks = (K + k_block - 1) / k_block;
  const int64_t step = ((K + blocks - 1) / blocks + 7) / 8 * 8;  // even, in Eigen's unrolled steps
  const auto w = PlainMatrix(args.w);
  auto y = AsMatrix(args.y);
  for (int64_t k = 0; k < K; k += step) {
    const int64_t size = std::min(step, K - k);
    const auto x = AsMatrix(args.x.block(0, k, args.x.rows, size));
    if (args.w.layout == WeightLayout::kOutputsByInputs) {
      y.noalias() += x * AsMatrix(w.block(0, k, w.rows, size)).transpose();
    } else {
      y.noalias() += x * AsMatrix(w.block(k, 0, size, w.cols));
    }
  }
}

/// A product with one row or one column: no blocking pays, each weight is read once.
template <class Scalar>
void GemvTile(const MatmulArgs<Scalar>& args) {
  InitWithBias(args, 0, args.y.rows, 0, args.y.cols);
  const int64_t M = args.y.rows, N = args.y.cols, K = args.x.cols;
  const auto w = PlainMatrix(args.w);
  if (args.w.layout == WeightLayout::kInputsByOutputs && M == 1) {
    for (int64_t k = 0; k < K; ++k) AsRow(args.y, 0) += args.x(0, k) * AsRow(w, k);
    return;
  }
  for (int64_t m = 0; m < M; ++m) {
    for (int64_t n = 0; n < N; ++n) {
      if (args.w.layout == WeightLayout::kOutputsByInputs) {
        args.y(m, n) += (AsRow(args.x, m) * AsRow(w, n)).sum();
      } else {
        for (int64_t k = 0; k < K; ++k) args.y(m, n) += args.x(m, k) * w(k, n);
      }
    }
  }
}

/// Tiles of y, handed out to the threads. Eigen's own partition (EIGEN_DONT_PARALLELIZE turns it
/// off) synchronises on packed blocks and loses to this. The tiles do not depend on the number of
/// threads, so neither do the results nor what is executed.
template <class Scalar>
void MatmulEigen(const MatmulArgs<Scalar>& args) {
  CheckMatmulShapes(args);
  const MatmulBlocking blocking = EigenBlocking();
  const bool thin = args.y.rows == 1 || args.y.cols == 1;
  const Tiles down{args.y.rows, blocking.tile_m}, across{args.y.cols, blocking.tile_n};
#pragma omp parallel for collapse(2) schedule(dynamic) if (!omp_in_parallel())
  for (int64_t i = 0; i < down.count(); ++i) {
    for (int64_t j = 0; j < across.count(); ++j) {
      const MatmulArgs<Scalar> tile =
          TileOf(args, down.begin(i), down.length(i), across.begin(j), across.length(j));
      thin ? GemvTile(tile) : EigenTile(tile, blocking.k_block);
    }
  }
}

}  // namespace

MatmulBlocking EigenBlocking() {
  // Tiles: 0.87 to 0.91 of the FMA peak of one Zen 4 core at GPT-2 XL's shapes, whole rows or
  // columns a thread 0.82 to 0.86. K-blocks: 384 was best, if Eigen itself would not cut it.
  return {
      .tile_m = 512, .tile_n = 480, .k_block = std::min<int64_t>(384, simd::EigenKBlock() / 8 * 8)};
}

template <class Scalar>
std::span<const MatmulBackend<Scalar>> MatmulBackends() {
  static constexpr MatmulBackend<Scalar> kBackends[] = {
      {"packed", "our micro-kernel on weights packed when they are loaded", MatmulPacked<Scalar>,
       true},
      {"packed-fused", "packed, with activation, gate and residual within the products",
       MatmulPacked<Scalar>, true, true},
      {"eigen", "Eigen's blocked product on tiles handed out to the threads", MatmulEigen<Scalar>},
      {"reference", "three plain loops, to check the others against", MatmulReference<Scalar>},
  };
  return kBackends;
}

template std::span<const MatmulBackend<float>> MatmulBackends<float>();
template std::span<const MatmulBackend<double>> MatmulBackends<double>();
template std::span<const MatmulBackend<Counted<float>>> MatmulBackends<Counted<float>>();

}  // namespace flopledger
