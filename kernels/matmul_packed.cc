#include "kernels/matmul_packed.h"

#include <omp.h>

#include <algorithm>

#include "kernels/microkernel.h"
#include "kernels/pack.h"

namespace flopledger {
namespace {

// A tile of y, 192 × 4 panels, and what it is made of stay in the second-level cache: 96 KiB of y,
// 384 KiB of x and 256 KiB of w for each K-block with AVX-512. Larger and smaller ones lost 1 to
// 3 % of the FMA peak at GPT-2 XL's shapes on one Zen 4 core.
constexpr int64_t kTileM = 16 * kTileRows;
constexpr int64_t kTilePanels = 4;
constexpr int64_t kBlockK = 512;

/// y (already seeded) += one K-block of the product, for one panel and the rows [begin, end).
template <class Scalar>
void AddPanel(const MatmulArgs<Scalar>& args, int64_t begin, int64_t end, int64_t column, int64_t k,
              int64_t depth) {
  constexpr int64_t columns = kTileColumns<Scalar>;
  const int64_t K = args.x.cols, width = std::min(columns, args.y.cols - column);
  const Scalar* panel = args.w.panel(column) + k * columns;
  for (int64_t m = begin; m < end; m += kTileRows) {
    const int64_t rows = std::min<int64_t>(kTileRows, end - m);
    const Scalar* x = args.scratch + m * K + k * kTileRows;
    if (width == columns) {
      MicroKernel<Scalar, true>(rows, depth, x, kTileRows, panel, args.y.row(m) + column,
                                args.y.stride);
      continue;
    }
    // The last panel reaches beyond y: its tile goes through a buffer.
    Scalar edge[kTileRows * columns];
    std::fill_n(edge, kTileRows * columns, Scalar(0));
    for (int64_t r = 0; r < rows; ++r) {
      std::copy_n(args.y.row(m + r) + column, width, edge + r * columns);
    }
    MicroKernel<Scalar, true>(rows, depth, x, kTileRows, panel, edge, columns);
    for (int64_t r = 0; r < rows; ++r) {
      std::copy_n(edge + r * columns, width, args.y.row(m + r) + column);
    }
  }
}

/// Rows [m, m + kTileM) and kTilePanels panels of y, over all of K.
template <class Scalar>
void ComputeTile(const MatmulArgs<Scalar>& args, int64_t m, int64_t n) {
  constexpr int64_t columns = kTileColumns<Scalar>;
  const int64_t K = args.x.cols;
  const int64_t m_end = std::min(args.y.rows, m + kTileM);
  const int64_t n_end = std::min(args.y.cols, n + kTilePanels * columns);
  SeedWithBias(args, m, m_end, n, n_end);
  const int64_t blocks = (K + kBlockK - 1) / kBlockK, step = (K + blocks - 1) / blocks;
  for (int64_t k = 0; k < K; k += step) {
    for (int64_t column = n; column < n_end; column += columns) {
      AddPanel(args, m, m_end, column, k, std::min(step, K - k));
    }
  }
}

}  // namespace

int64_t PackedScratchSize(int64_t M, int64_t K) { return PackedSize(M, K); }

template <class Scalar>
void MatmulPacked(const MatmulArgs<Scalar>& args) {
  CheckMatmulShapes(args);
  FL_CHECK(args.w.layout == WeightLayout::kPanels && args.scratch != nullptr);
  const int64_t M = args.y.rows, N = args.y.cols;
  const int64_t tile_n = kTilePanels * kTileColumns<Scalar>;
  const int64_t tiles_m = (M + kTileM - 1) / kTileM, tiles_n = (N + tile_n - 1) / tile_n;
#pragma omp parallel
  {
#pragma omp for
    for (int64_t m = 0; m < M; m += kRowGroup) {
      PackRows(args.x, m, std::min(M, m + kRowGroup), args.scratch);
    }
    // Neighbouring tasks share a group of panels: a thread reads each from memory once.
#pragma omp for schedule(dynamic)
    for (int64_t task = 0; task < tiles_m * tiles_n; ++task) {
      ComputeTile(args, task % tiles_m * kTileM, task / tiles_m * tile_n);
    }
  }
}

template void MatmulPacked<float>(const MatmulArgs<float>&);
template void MatmulPacked<double>(const MatmulArgs<double>&);
template void MatmulPacked<Counted<float>>(const MatmulArgs<Counted<float>>&);

}  // namespace flopledger
