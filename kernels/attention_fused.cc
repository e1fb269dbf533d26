#include "kernels/attention_fused.h"

#include <omp.h>

#include <algorithm>
#include <numbers>

#include "kernels/eigen_map.h"
#include "kernels/exp.h"
#include "kernels/microkernel.h"
#include "kernels/partition.h"
#include "kernels/transpose.h"

namespace flopledger {
namespace {

/// Asks for rows [begin, end) of `head`: they lie too far apart for the hardware's prefetchers.
template <class Scalar>
void PrefetchRows(ConstMatrixView<Scalar> head, int64_t begin, int64_t end) {
  constexpr int64_t kLine = 64 / sizeof(Scalar);
  for (int64_t t = begin; t < std::min(end, head.rows); ++t) {
    for (int64_t d = 0; d < head.cols; d += kLine) __builtin_prefetch(head.row(t) + d);
  }
}

/// Gathers the keys and values of positions [begin, end) of one head.
template <class Scalar>
void GatherKeysAndValues(const HeadViews<const Scalar>& head, int64_t begin, int64_t end,
                         const FusedScratch<Scalar>& scratch) {
  constexpr int64_t kAhead = 16;
  const int64_t HS = head.k.cols;
  for (int64_t t = begin; t < end; ++t) {
    PrefetchRows(head.k, t + kAhead, t + kAhead + 1);
    PrefetchRows(head.v, t + kAhead, t + kAhead + 1);
    AsRow(scratch.keys + t * HS, HS) = AsRow(head.k, t);
    AsRow(scratch.values + t * HS, HS) = AsRow(head.v, t);
  }
}

/// Scores of keys [begin, begin + size) for the tile.
template <class Scalar>
void ScoreBlock(int64_t begin, int64_t size, int64_t HS, const FusedScratch<Scalar>& scratch) {
  constexpr int64_t columns = kTileColumns<Scalar>;
  for (int64_t j = 0; j < size; j += kTileRows) {
    const TileFactors<Scalar, LhsRowMajor<Scalar>> product{
        .depth = HS, .x = {scratch.keys + (begin + j) * HS, HS}, .panel = scratch.queries};
    MicroKernel<Scalar>(std::min<int64_t>(kTileRows, size - j), product, {kZeros<Scalar>, 0},
                        {scratch.scores + j * columns, columns});
  }
}

/// Sets scores of keys [begin, begin + size) far below any score where query `first` + lane does
/// not attend to them: those of later positions, and those that its window has left behind.
template <class Scalar>
void MaskBlock(int64_t first, int64_t window, int64_t begin, int64_t size,
               const FusedScratch<Scalar>& scratch) {
  constexpr int64_t columns = kTileColumns<Scalar>;
  const Scalar masked(-1e30);
  for (int64_t key = std::max(begin, first + 1); key < begin + size; ++key) {
    Scalar* row = scratch.scores + (key - begin) * columns;
    std::fill_n(row, std::min(columns, key - first), masked);
  }
  const int64_t end = std::min(begin + size, first + columns - window);
  for (int64_t key = begin; key < end; ++key) {
    Scalar* row = scratch.scores + (key - begin) * columns;
    std::fill(row + std::max<int64_t>(0, key + window - first), row + columns, masked);
  }
}

/// The online softmax: powers of 2 of the block's scores, and the past rescaled to the new
/// largest. Executes, for each of `size` keys and each lane, max, minus, exp and add; for each
/// lane, minus, exp, times (sum); for each of HS components and each lane, times.
template <class Scalar>
void SoftmaxBlock(int64_t size, int64_t HS, const FusedScratch<Scalar>& scratch) {
  using namespace simd;
  using Packet = PacketOf<Scalar>;
  constexpr int lanes = kLanes<Packet>;
  constexpr int64_t columns = kTileColumns<Scalar>;
  // All lanes of the tile at once: their chains of sums and exponentials overlap.
  constexpr int packets = kTileColumns<Scalar> / lanes;
  Packet largest[packets], sum[packets], rescale[packets];
#pragma GCC unroll 8
  for (int p = 0; p < packets; ++p) largest[p] = pload<Packet>(scratch.largest + p * lanes);
  for (int64_t j = 0; j < size; ++j) {
#pragma GCC unroll 8
    for (int p = 0; p < packets; ++p) {
      largest[p] = pmax(largest[p], pload<Packet>(scratch.scores + j * columns + p * lanes));
    }
  }
#pragma GCC unroll 8
  for (int p = 0; p < packets; ++p) {
    rescale[p] = Exp2OfNonPositive(psub(pload<Packet>(scratch.largest + p * lanes), largest[p]));
    sum[p] = pmul(pload<Packet>(scratch.sum + p * lanes), rescale[p]);
    pstore(scratch.largest + p * lanes, largest[p]);
  }
  for (int64_t j = 0; j < size; ++j) {
#pragma GCC unroll 8
    for (int p = 0; p < packets; ++p) {
      Scalar* score = scratch.scores + j * columns + p * lanes;
      const Packet weight = Exp2OfNonPositive(psub(pload<Packet>(score), largest[p]));
      pstore(score, weight);
      sum[p] = padd(sum[p], weight);
    }
  }
#pragma GCC unroll 8
  for (int p = 0; p < packets; ++p) pstore(scratch.sum + p * lanes, sum[p]);
  for (int64_t d = 0; d < HS; ++d) {
#pragma GCC unroll 8
    for (int p = 0; p < packets; ++p) {
      Scalar* output = scratch.output + d * columns + p * lanes;
      pstore(output, pmul(pload<Packet>(output), rescale[p]));
    }
  }
}

/// One tile of up to kTileColumns queries against every key that any of them attends to.
/// Every query attends to a key of the first block (a block has at least as many keys as a tile
/// has queries), so none of them ever has a largest score that is masked.
template <class Scalar>
void FusedTile(const AttentionShape& shape, const HeadViews<const Scalar>& head, int64_t first,
               MatrixView<Scalar> out, const FusedScratch<Scalar>& scratch) {
  constexpr int64_t columns = kTileColumns<Scalar>;
  const int64_t T = head.q.rows, HS = head.q.cols;
  const int64_t queries = std::min(columns, T - first);
  const int64_t kept = first + queries;  // keys up to the tile's last query
  PrefetchRows(head.q, first + columns, first + 2 * columns);
  Transpose(head.q.block(first, 0, queries, HS), scratch.queries, columns);
  // Scaling the queries once spares scaling every score; by log₂ e as well, powers of 2 serve for
  // e.
  const Scalar scale(std::numbers::log2e * shape.scale());
  for (int64_t d = 0; d < HS; ++d) {
    Scalar* row = scratch.queries + d * columns;
    std::fill(row + queries, row + columns, Scalar(0));
    AsRow(row, columns) *= scale;
  }
  std::fill_n(scratch.output, HS * columns, Scalar(0));
  std::fill_n(scratch.sum, columns, Scalar(0));
  std::fill_n(scratch.largest, columns, Scalar(-1e30));
  PrefetchRows(ConstMatrixView<Scalar>(out), first, first + queries);

  for (int64_t begin = shape.first_key(first); begin < kept; begin += kKeyBlock) {
    const int64_t size = std::min(kKeyBlock, kept - begin);
    ScoreBlock(begin, size, HS, scratch);
    MaskBlock(first, shape.window, begin, size, scratch);
    SoftmaxBlock(size, HS, scratch);
    // In equal parts: a short last one would wait for its few sums instead of computing.
    const int64_t parts = (HS + kTileRows - 1) / kTileRows;
    for (int64_t part = 0; part < parts; ++part) {
      const int64_t d = HS * part / parts, d_end = HS * (part + 1) / parts;
      Scalar* output = scratch.output + d * columns;
      const TileFactors<Scalar, LhsColMajor<Scalar>> product{
          .depth = size, .x = {scratch.values + begin * HS + d, HS}, .panel = scratch.scores};
      MicroKernel<Scalar>(d_end - d, product, {output, columns}, {output, columns});
    }
  }
  AsRow(scratch.sum, columns) = AsRow(scratch.sum, columns).inverse();
  for (int64_t d = 0; d < HS; ++d) {
    AsRow(scratch.output + d * columns, columns) *= AsRow(scratch.sum, columns);
  }
  Transpose<Scalar>({scratch.output, HS, queries, columns}, out.row(first), out.stride);
}

}  // namespace

template <class Scalar>
void AttentionFused(const AttentionShape& shape, ConstMatrixView<Scalar> qkv,
                    MatrixView<Scalar> out, MatrixView<Scalar> scratch) {
  static_assert(kQueriesOfTask % kTileColumns<Scalar> == 0 && kKeyBlock % kTileRows == 0);
  static_assert(kKeyBlock >= kTileColumns<Scalar>);
  const int64_t T = shape.context, NH = shape.num_heads, HS = shape.head_size;
  const AttentionTasks cut =
      TasksOfAttention(shape.products(), T, omp_get_max_threads(),
                       {.step = kTileColumns<Scalar>, .max_queries = kQueriesOfTask});
  const int64_t tasks_a_head = (T + cut.queries - 1) / cut.queries;
  const int64_t tasks = shape.products() * tasks_a_head;
  FL_CHECK(out.rows == shape.batch * T && out.cols == NH * HS, out.rows, out.cols);
  FL_CHECK(scratch.rows >= omp_get_max_threads(), scratch.rows, omp_get_max_threads());
  FL_CHECK(scratch.cols >= FusedScratch<Scalar>::Size(shape), scratch.cols);
#pragma omp parallel
  {
    const FusedScratch<Scalar> mine(scratch.row(omp_get_thread_num()), shape);
    // A thread's tasks come in rising order (monotonic): of a head it has gathered the positions
    // from its first task's on.
    int64_t gathered_head = -1, gathered_end = 0;
    const auto compute = [&](int64_t task) {
      const int64_t i = task / tasks_a_head, begin = task % tasks_a_head * cut.queries;
      const int64_t end = std::min(T, begin + cut.queries);
      const HeadViews<const Scalar> head(qkv, shape, i);
      if (std::exchange(gathered_head, i) != i) gathered_end = shape.first_key(begin);
      GatherKeysAndValues(head, std::exchange(gathered_end, end), end, mine);
      const auto head_out = out.block(i / NH * T, i % NH * HS, T, HS);
      for (int64_t first = begin; first < end; first += kTileColumns<Scalar>) {
        FusedTile(shape, head, first, head_out, mine);
      }
    };
    if (cut.in_runs) {
#pragma omp for schedule(monotonic : guided)
      for (int64_t task = 0; task < tasks; ++task) compute(task);
    } else {
#pragma omp for schedule(monotonic : dynamic)
      for (int64_t task = 0; task < tasks; ++task) compute(task);
    }
  }
}

#define FLOPLEDGER_INSTANTIATE(Scalar)                                                 \
  template void AttentionFused<Scalar>(const AttentionShape&, ConstMatrixView<Scalar>, \
                                       MatrixView<Scalar>, MatrixView<Scalar>)

FLOPLEDGER_INSTANTIATE(float);
FLOPLEDGER_INSTANTIATE(double);
FLOPLEDGER_INSTANTIATE(Counted<float>);

}  // namespace flopledger
