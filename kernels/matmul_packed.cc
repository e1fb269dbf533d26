#include "kernels/matmul_packed.h"

#include <omp.h>

#include <algorithm>
#include <array>

#include "kernels/activation_rows.h"
#include "kernels/microkernel.h"
#include "kernels/partition.h"

namespace flopledger {
namespace {

// A tile of y, and a K-block of the x that it is made of, stay in the second-level cache, while w
// passes through panel by panel. On two Zen 3 cores at GPT-2 XL's shapes, deep blocks won by 2 to
// 8 % over 256 steps of k, and wide tiles by 3 to 5 % over square ones of 96 while neighbours of
// the virtual machine filled the last-level cache. Processors with so many registers have at least
// twice the cache: on two Zen 4 cores blocks of 1600 won by another 1 to 4 %.
constexpr int64_t kTileM = 48;  // at most, in whole register tiles
constexpr int64_t kTileN = 192;
constexpr int64_t kBlockK = kManyRegisters ? 1600 : 800;

constexpr int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// One K-block of a tile of y.
struct Block {
  int64_t m, m_end;  // rows of y
  int64_t n, n_end;  // columns
  int64_t k = 0, depth = 0;
  bool first = false;  // its sums start from the bias; those of later blocks from y
  bool last = false;   // its sums are complete
};

/// What is left to do where the sums of y are complete.
template <class Scalar>
void Finish(const MatmulArgs<Scalar>& args, int64_t m, int64_t rows, int64_t n, int64_t width) {
  for (; rows > 0; ++m, --rows) {
    Scalar* y = args.y.row(m) + n;
    switch (args.epilogue) {
      case Epilogue::kNone: return;
      case Epilogue::kResidual:
        if (args.bias != nullptr) AsRow(y, width) += AsRow(args.bias + n, width);
        break;
      case Epilogue::kActivate: ActivateRow(args.nonlinearity, y, width); break;
      case Epilogue::kGate:
        GateRow<Scalar>(args.nonlinearity, args.gate.row(m) + n, y, y, width);
        break;
    }
  }
}

/// Asks for the rows of one register tile of y.
template <class Scalar>
void PrefetchTile(MatrixView<Scalar> y, int64_t m, int64_t m_end, int64_t n) {
  constexpr int64_t kLine = 64 / sizeof(Scalar);
  for (int64_t r = m; r < std::min(m_end, m + kTileRows); ++r) {
    for (int64_t c = n; c < n + kTileColumns<Scalar>; c += kLine) {
      __builtin_prefetch(y.row(r) + c, /*rw=*/1);
    }
  }
}

/// The register tile at row m and column n of y (+)= its product over `block`'s part of K, and the
/// epilogue where that is the last.
template <class Scalar, class Prefetch>
void AddRegisterTile(const MatmulArgs<Scalar>& args, const Block& block, int64_t m, int64_t n,
                     Prefetch prefetch) {
  constexpr int64_t columns = kTileColumns<Scalar>;
  const int64_t rows = std::min<int64_t>(kTileRows, block.m_end - m);
  const int64_t width = std::min(columns, block.n_end - n);
  const TileFactors<Scalar, LhsRowMajor<Scalar>> product{
      .depth = block.depth,
      .x = {args.x.row(m) + block.k, args.x.stride},
      .panel = args.w.panel(n) + block.k * columns};
  const TileRows<Scalar> y{args.y.row(m) + n, args.y.stride};
  TileRows<const Scalar> start{y.data, y.stride};
  if (block.first && args.epilogue != Epilogue::kResidual) {
    start = {args.bias != nullptr ? args.bias + n : kZeros<Scalar>, 0};
  }
  if (width == columns) {
    MicroKernel<Scalar>(rows, product, start, y, prefetch);
  } else {  // the last panel reaches beyond y: its tile goes through a buffer
    Scalar edge[kTileRows * columns];
    std::fill_n(edge, kTileRows * columns, Scalar(0));
    for (int64_t r = 0; r < rows; ++r) {
      std::copy_n(start.data + r * start.stride, width, edge + r * columns);
    }
    MicroKernel<Scalar>(rows, product, {edge, columns}, {edge, columns}, prefetch);
    for (int64_t r = 0; r < rows; ++r)
      std::copy_n(edge + r * columns, width, y.data + r * y.stride);
  }
  if (block.last) Finish(args, m, rows, n, width);
}

/// y (+)= one block. Each register tile asks for a share of the panel of w that follows, be it the
/// first of `next`. Left to the hardware's prefetchers, 1024×1600×6400 ran at 0.61 of the FMA peak
/// of one Zen 5 core; with this at 0.88. The rows of x, which are read in order, are left to them.
template <class Scalar>
void AddBlock(const MatmulArgs<Scalar>& args, const Block& block, const Block& next) {
  constexpr int64_t columns = kTileColumns<Scalar>;
  const int64_t panels = CeilDiv(block.n_end - block.n, columns);
  const int64_t row_tiles = CeilDiv(block.m_end - block.m, kTileRows);
  const int64_t step = CeilDiv(kUnroll * columns, row_tiles);
  for (int64_t p = 0; p < panels; ++p) {
    const int64_t n = block.n + p * columns;
    const Scalar* next_panel = p + 1 < panels ? args.w.panel(n + columns) + block.k * columns
                                              : args.w.panel(next.n) + next.k * columns;
    for (int64_t r = 0; r < row_tiles; ++r) {
      const int64_t m = block.m + r * kTileRows;
      PrefetchTile(args.y, m + kTileRows, block.m_end, n);
      AddRegisterTile(args, block, m, n,
                      PrefetchPanel<Scalar>{
                          .panel = next_panel + r * step * (block.depth / kUnroll), .step = step});
    }
  }
}

/// The tile of y at (m, n) = its product over all of K. The panel that the tile at column next_n
/// reads first comes into the cache meanwhile.
template <class Scalar>
void ComputeTile(const MatmulArgs<Scalar>& args, const ProductTiles& tiles, int64_t m, int64_t n,
                 int64_t next_n) {
  const int64_t K = args.x.cols, step = CeilDiv(K, CeilDiv(K, kBlockK));
  Block block{.m = m,
              .m_end = std::min(args.y.rows, m + tiles.rows),
              .n = n,
              .n_end = std::min(args.y.cols, n + tiles.columns)};
  for (; block.k < K; block.k += step) {
    block.depth = std::min(step, K - block.k);
    block.first = block.k == 0;
    block.last = block.k + block.depth == K;
    Block next = block;
    next.k += step;
    if (block.last) {
      next.k = 0;
      next.n = next_n;
    }
    AddBlock(args, block, next);
  }
}

// Panels that a product of one row reads at a time. It is nothing but reading its weight, and one
// stream a thread leaves memory idle: on two Zen 3 cores four read 1.13 times as fast as one, and
// that one 1.08 times as fast with the hardware's prefetchers alone as with ours beside them.
constexpr int kStreams = 4;

/// sums[s, c] += Σ_k x[k] · panels[s][k·kTileColumns + c] for `streams` panels.
template <class Scalar, int streams>
void AddPanels(int64_t K, const Scalar* x, const std::array<const Scalar*, kStreams>& panels,
               Scalar* sums) {
  using namespace simd;
  using Packet = PacketOf<Scalar>;
  constexpr int lanes = kLanes<Packet>, columns = kTileColumns<Scalar>;
  constexpr int packets = columns / lanes;
  Packet sum[streams][packets];
#pragma GCC unroll 8
  for (int s = 0; s < streams; ++s) {
#pragma GCC unroll 8
    for (int p = 0; p < packets; ++p) sum[s][p] = ploadu<Packet>(sums + s * columns + p * lanes);
  }
  for (int64_t k = 0; k < K; ++k) {
    const Packet broadcast = pset1<Packet>(x[k]);
#pragma GCC unroll 8
    for (int s = 0; s < streams; ++s) {
#pragma GCC unroll 8
      for (int p = 0; p < packets; ++p) {
        const Packet w = pload<Packet>(panels[s] + k * columns + p * lanes);
        sum[s][p] = pmadd(broadcast, w, sum[s][p]);
      }
    }
  }
#pragma GCC unroll 8
  for (int s = 0; s < streams; ++s) {
#pragma GCC unroll 8
    for (int p = 0; p < packets; ++p) pstoreu<Scalar>(sums + s * columns + p * lanes, sum[s][p]);
  }
}

/// y [1, N] (+)= x·w + bias and its epilogue.
template <class Scalar>
void Gemv(const MatmulArgs<Scalar>& args) {
  constexpr int64_t columns = kTileColumns<Scalar>, width = kStreams * columns;
  const int64_t K = args.x.cols, N = args.y.cols;
  const Scalar* x = args.x.row(0);
  const Scalar* start = args.epilogue == Epilogue::kResidual ? args.y.row(0) : args.bias;
  const int64_t all_panels = CeilDiv(N, columns);
  const GemvTasks tasks = TasksOfGemv(all_panels, omp_get_max_threads());
#pragma omp parallel for schedule(dynamic)
  for (int64_t task = 0; task < tasks.count; ++task) {
    const int64_t end = std::min(N, all_panels * (task + 1) / tasks.count * columns);
    for (int64_t n = all_panels * task / tasks.count * columns; n < end; n += width) {
      const int64_t n_end = std::min(end, n + width);
      Scalar sums[width] = {};
      if (start != nullptr) std::copy(start + n, start + n_end, sums);
      std::array<const Scalar*, kStreams> panels;
      for (int s = 0; s < kStreams; ++s) panels[s] = args.w.panel(n + s * columns);
      if (n_end > n + width - columns) {
        AddPanels<Scalar, kStreams>(K, x, panels, sums);
      } else {  // the last few panels, one by one
        for (int s = 0; n + s * columns < n_end; ++s) {
          AddPanels<Scalar, 1>(K, x, {panels[s]}, sums + s * columns);
        }
      }
      std::copy(sums, sums + (n_end - n), args.y.row(0) + n);
      Finish(args, 0, 1, n, n_end - n);
    }
  }
}

}  // namespace

template <class Scalar>
void MatmulPacked(const MatmulArgs<Scalar>& args) {
  static_assert(kTileM % kTileRows == 0 && kTileN % kTileColumns<Scalar> == 0);
  CheckMatmulShapes(args);
  FL_CHECK(args.w.layout == WeightLayout::kPanels);
  if (args.y.rows == 1) return Gemv(args);
  // Neighbouring tasks share their columns: a thread reads those of w from memory once.
  const ProductTiles tiles = TilesOfProduct(args.y.rows, args.y.cols, omp_get_max_threads(),
                                            {.rows_step = kTileRows,
                                             .columns_step = kTileColumns<Scalar>,
                                             .max_rows = kTileM,
                                             .max_columns = kTileN});
  const int64_t tiles_m = CeilDiv(args.y.rows, tiles.rows);
  const int64_t tasks = tiles_m * CeilDiv(args.y.cols, tiles.columns);
#pragma omp parallel for schedule(dynamic)
  for (int64_t task = 0; task < tasks; ++task) {
    // The others of the team take the tasks in between.
    const int64_t next = std::min(task + omp_get_num_threads(), tasks - 1);
    ComputeTile(args, tiles, task % tiles_m * tiles.rows, task / tiles_m * tiles.columns,
                next / tiles_m * tiles.columns);
  }
}

template void MatmulPacked<float>(const MatmulArgs<float>&);
template void MatmulPacked<double>(const MatmulArgs<double>&);
template void MatmulPacked<Counted<float>>(const MatmulArgs<Counted<float>>&);

}  // namespace flopledger
