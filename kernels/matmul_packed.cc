#include "kernels/matmul_packed.h"

#include <omp.h>

#include <algorithm>

#include "kernels/microkernel.h"
#include "kernels/pack.h"

namespace flopledger {
namespace {

// A tile of y and what one K-block of it is made of stay in the second-level cache. Deep blocks and
// narrow tiles: each register tile's way from y and back costs as much as 20 steps of k. On two Zen
// 3 cores, 800 deep ran 2 to 8 % faster than 256 at GPT-2 XL's shapes.
constexpr int64_t kTileM = 48;  // in whole register tiles
constexpr int64_t kTileN = 96;
constexpr int64_t kBlockK = 800;

// x is packed a section at a time, into the same few megabytes again and again: packed as a whole,
// it would travel to memory and back.
constexpr int64_t kSectionM = 1152;  // in whole tiles, and whole groups of PackRows
constexpr int64_t kSectionK = 2048;

constexpr int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// One K-block of one tile of y.
struct Block {
  int64_t m, m_end;  // rows of y
  int64_t n, n_end;  // columns
  int64_t k, depth;
};

/// The register tile at row m and column n of y += its product over `block`'s part of K.
template <class Scalar, class Prefetch>
void AddRegisterTile(const MatmulArgs<Scalar>& args, const Block& block, int64_t m, int64_t n,
                     Prefetch prefetch) {
  constexpr int64_t columns = kTileColumns<Scalar>;
  const int64_t rows = std::min<int64_t>(kTileRows, block.m_end - m);
  const int64_t width = std::min(columns, block.n_end - n);
  const Scalar* x = args.scratch + m * args.x.cols + block.k * kTileRows;
  const Scalar* panel = args.w.panel(n) + block.k * columns;
  for (int64_t r = m + rows; r < std::min(block.m_end, m + 2 * rows); ++r) {
    __builtin_prefetch(args.y.row(r) + n, /*rw=*/1);  // the next register tile's
  }
  if (width == columns) {
    MicroKernel<Scalar, true>(rows, block.depth, x, kTileRows, panel, args.y.row(m) + n,
                              args.y.stride, prefetch);
    return;
  }
  // The last panel reaches beyond y: its tile goes through a buffer.
  Scalar edge[kTileRows * columns];
  std::fill_n(edge, kTileRows * columns, Scalar(0));
  for (int64_t r = 0; r < rows; ++r) std::copy_n(args.y.row(m + r) + n, width, edge + r * columns);
  MicroKernel<Scalar, true>(rows, block.depth, x, kTileRows, panel, edge, columns, prefetch);
  for (int64_t r = 0; r < rows; ++r) std::copy_n(edge + r * columns, width, args.y.row(m + r) + n);
}

/// y (already seeded) += one block, while what `next` will read comes into the second-level cache:
/// each register tile asks for a share of it. Left to the hardware's prefetchers, 1024×1600×6400
/// ran at 0.61 of the FMA peak of one Zen 5 core; with this at 0.88.
template <class Scalar>
void AddBlock(const MatmulArgs<Scalar>& args, const Block& block, const Block& next) {
  constexpr int64_t columns = kTileColumns<Scalar>;
  const int64_t panels = CeilDiv(block.n_end - block.n, columns);
  const int64_t row_tiles = CeilDiv(block.m_end - block.m, kTileRows);
  const int64_t x_step = CeilDiv(kTileRows, panels), panel_step = CeilDiv(columns, row_tiles);
  for (int64_t p = 0; p < panels; ++p) {
    const Scalar* next_panel =
        args.w.panel(std::min(next.n + p * columns, args.y.cols - 1)) + next.k * columns;
    for (int64_t r = 0; r < row_tiles; ++r) {
      const Scalar* next_x =
          args.scratch + (next.m + r * kTileRows) * args.x.cols + next.k * kTileRows;
      AddRegisterTile(args, block, block.m + r * kTileRows, block.n + p * columns,
                      PrefetchOperands<Scalar>{.x = next_x + p * x_step * block.depth,
                                               .x_step = x_step,
                                               .panel = next_panel + r * panel_step * block.depth,
                                               .panel_step = panel_step});
    }
  }
}

/// The tile of y at (m, n) += its product over all of args' K. The first block of the tile at
/// (next_m, next_n) comes into the cache meanwhile.
template <class Scalar>
void AddTile(const MatmulArgs<Scalar>& args, int64_t m, int64_t n, int64_t next_m, int64_t next_n) {
  const int64_t K = args.x.cols, step = CeilDiv(K, CeilDiv(K, kBlockK));
  Block block{.m = m,
              .m_end = std::min(args.y.rows, m + kTileM),
              .n = n,
              .n_end = std::min(args.y.cols, n + kTileN),
              .k = 0,
              .depth = 0};
  for (; block.k < K; block.k += step) {
    block.depth = std::min(step, K - block.k);
    Block next = block;
    next.k += step;
    if (next.k >= K) {
      next.k = 0;
      next.m = next_m;
      next.n = next_n;
    }
    AddBlock(args, block, next);
  }
}

/// Rows [m, m + rows) of y = the part of its product that sums over [k, k + depth), added onto what
/// the sections of smaller k left. Every thread of the team calls it.
template <class Scalar>
void AddSection(const MatmulArgs<Scalar>& args, int64_t m, int64_t rows, int64_t k, int64_t depth) {
  MatmulArgs<Scalar> section = args;
  section.x = args.x.block(m, k, rows, depth);
  section.w.data += k * kTileColumns<Scalar>;
  section.w.inputs = depth;
  section.y = args.y.block(m, 0, rows, args.y.cols);
#pragma omp for
  for (int64_t r = 0; r < rows; r += kRowGroup) {
    PackRows(section.x, r, std::min(rows, r + kRowGroup), args.scratch);
  }
  // Neighbouring tasks share their columns: a thread reads those of w from memory once.
  const int64_t tiles_m = CeilDiv(rows, kTileM), tiles_n = CeilDiv(args.y.cols, kTileN);
  const int64_t tasks = tiles_m * tiles_n;
#pragma omp for schedule(dynamic)
  for (int64_t task = 0; task < tasks; ++task) {
    const int64_t tile_m = task % tiles_m * kTileM, tile_n = task / tiles_m * kTileN;
    // The others of the team take those in between.
    const int64_t next = std::min(task + omp_get_num_threads(), tasks - 1);
    if (k == 0) {
      SeedWithBias(args, m + tile_m, m + std::min(rows, tile_m + kTileM), tile_n,
                   std::min(args.y.cols, tile_n + kTileN));
    }
    AddTile(section, tile_m, tile_n, next % tiles_m * kTileM, next / tiles_m * kTileN);
  }
}

/// Prefetches what follows in the stream that a micro-kernel reads, across its end into the next
/// panel: a product of one row is nothing but reading its weight.
template <class Scalar>
struct PrefetchStream {
  const Scalar* ahead;

  void operator()() {
    constexpr int64_t kLine = 64 / sizeof(Scalar);
    for (int64_t i = 0; i < kTileColumns<Scalar>; i += kLine) __builtin_prefetch(ahead + i);
    ahead += kTileColumns<Scalar>;
  }
};

/// y [1, N] = x·w + bias, panel by panel in the order of memory.
template <class Scalar>
void MultiplyRow(const MatmulArgs<Scalar>& args) {
  constexpr int64_t columns = kTileColumns<Scalar>, kAhead = 8192 / sizeof(Scalar);
  const int64_t K = args.x.cols, N = args.y.cols;
  const Scalar* x = args.x.row(0);
#pragma omp parallel for schedule(guided)
  for (int64_t panel = 0; panel < CeilDiv(N, columns); ++panel) {
    const int64_t n = panel * columns, n_end = std::min(N, n + columns);
    const Scalar* w = args.w.panel(n);
    Scalar sums[columns] = {};
    if (args.bias != nullptr) std::copy(args.bias + n, args.bias + n_end, sums);
    MicroKernel<Scalar, true>(1, K, x, 1, w, sums, columns, PrefetchStream<Scalar>{w + kAhead});
    std::copy(sums, sums + (n_end - n), args.y.row(0) + n);
  }
}

}  // namespace

int64_t PackedScratchSize(int64_t M, int64_t K) {
  return PackedSize(std::min(M, kSectionM), std::min(K, kSectionK));
}

template <class Scalar>
void MatmulPacked(const MatmulArgs<Scalar>& args) {
  static_assert(kSectionM % kTileM == 0 && kSectionM % kRowGroup == 0);
  static_assert(kTileM % kTileRows == 0 && kTileN % kTileColumns<Scalar> == 0);
  CheckMatmulShapes(args);
  FL_CHECK(args.w.layout == WeightLayout::kPanels && args.scratch != nullptr);
  if (args.y.rows == 1) return MultiplyRow(args);
  const int64_t M = args.y.rows, K = args.x.cols, step = CeilDiv(K, CeilDiv(K, kSectionK));
#pragma omp parallel
  for (int64_t m = 0; m < M; m += kSectionM) {
    for (int64_t k = 0; k < K; k += step) {
      AddSection(args, m, std::min(kSectionM, M - m), k, std::min(step, K - k));
    }
  }
}

template void MatmulPacked<float>(const MatmulArgs<float>&);
template void MatmulPacked<double>(const MatmulArgs<double>&);
template void MatmulPacked<Counted<float>>(const MatmulArgs<Counted<float>>&);

}  // namespace flopledger
