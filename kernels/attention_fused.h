// Fused causal attention: scores are made, exponentiated and used block by block in the first-level
// cache and never stored; key blocks beyond the causal mask are skipped; memory is O(T·HS).
// Sources: Dao et al. 2022 and Dao 2023 (FlashAttention-2), Milakov and Gimelshein 2018 (online
// softmax). Legend: B batch, T context, NH query heads, HS head size.
//
// Queries lie along the SIMD lanes (their tile is transposed), keys and head components along the
// registers' rows. So the softmax needs no horizontal step, and keys and values are broadcast.
#pragma once

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/attention.h"
#include "kernels/exp.h"
#include "kernels/microkernel.h"
#include "kernels/transpose.h"

namespace flopledger {

/// How the fused kernel cuts a head. Plain numbers, for the closed formulas of what it executes.
struct AttentionBlocking {
  int64_t queries = 0;  // in a tile; the last tile of a head is padded to it
  int64_t keys = 0;     // in a block of the online softmax
};

inline constexpr int64_t kKeyBlock = 192;       // scores of a tile: 24 KiB at most
inline constexpr int64_t kQueriesOfTask = 288;  // queries that one thread takes at a time

template <class Scalar>
constexpr AttentionBlocking FusedBlocking() {
  return {.queries = kTileColumns<Scalar>, .keys = kKeyBlock};
}

/// One thread's working memory, cut from a single allocation. All tiles are [rows, kTileColumns].
template <class Scalar>
class FusedScratch {
 public:
  /// Elements that one thread needs.
  static int64_t Size(const AttentionShape& shape) {
    const int64_t columns = kTileColumns<Scalar>, HS = shape.head_size;
    return 2 * RoundUp(shape.context * HS) + 2 * HS * columns + kKeyBlock * columns + 3 * columns;
  }

  FusedScratch(Scalar* memory, const AttentionShape& shape) {
    const int64_t columns = kTileColumns<Scalar>, HS = shape.head_size;
    const auto take = [&memory](int64_t size) { return std::exchange(memory, memory + size); };
    queries = take(HS * columns);
    output = take(HS * columns);
    scores = take(kKeyBlock * columns);
    largest = take(columns);
    sum = take(columns);
    rescale = take(columns);
    keys = take(RoundUp(shape.context * HS));
    values = take(RoundUp(shape.context * HS));
  }

  Scalar* queries;  // [HS, columns] the tile's queries, transposed
  Scalar* output;   // [HS, columns] the tile's output, transposed, not yet divided by sum
  Scalar* scores;   // [kKeyBlock, columns] scores, then their exponentials
  Scalar* largest;  // [columns] each query's largest score so far
  Scalar* sum;      // [columns] each query's sum of exponentials so far
  Scalar* rescale;  // [columns] what the last block's new largest multiplies the past by
  Scalar* keys;     // [T, HS] keys, rows close together
  Scalar* values;   // [T, HS] values, likewise

 private:
  /// To whole packets: each part of the memory, and that of the next thread, begins aligned.
  static int64_t RoundUp(int64_t n) { return (n + 15) / 16 * 16; }
};

namespace internal {

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

/// Scores of keys [begin, begin + size) for the tile whose first query is `first`; those that the
/// mask drops are set far below any score.
template <class Scalar>
void ScoreBlock(int64_t first, int64_t begin, int64_t size, int64_t HS,
                const FusedScratch<Scalar>& scratch) {
  constexpr int64_t columns = kTileColumns<Scalar>;
  for (int64_t j = 0; j < size; j += kTileRows) {
    MicroKernel<Scalar>(std::min<int64_t>(kTileRows, size - j), HS,
                        LhsRowMajor<Scalar>{scratch.keys + (begin + j) * HS, HS}, scratch.queries,
                        {kZeros<Scalar>, 0}, {scratch.scores + j * columns, columns});
  }
  for (int64_t key = std::max(begin, first + 1); key < begin + size; ++key) {
    Scalar* row = scratch.scores + (key - begin) * columns;
    std::fill_n(row, std::min(columns, key - first), Scalar(-1e30));
  }
}

/// The online softmax: powers of 2 of the block's scores, and the past rescaled to the new
/// largest. Executes, for each of `size` keys and each lane, max, minus, exp and add; for each
/// lane, minus, exp, times (sum); for each of HS components and each lane, times.
template <class Scalar>
void SoftmaxBlock(int64_t size, int64_t HS, const FusedScratch<Scalar>& scratch) {
  using Packet = typename PacketOf<Scalar>::Packet;
  using namespace Eigen::internal;  // NOLINT: the packet primitives, in this function alone
  constexpr int lanes = PacketOf<Scalar>::kLanes;
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

/// One tile of up to kTileColumns queries against every key that the mask keeps.
template <class Scalar>
void FusedTile(const HeadViews<const Scalar>& head, int64_t first, MatrixView<Scalar> out,
               const FusedScratch<Scalar>& scratch) {
  constexpr int64_t columns = kTileColumns<Scalar>;
  const int64_t T = head.q.rows, HS = head.q.cols;
  const int64_t queries = std::min(columns, T - first);
  const int64_t kept = first + queries;  // keys up to the tile's last query
  PrefetchRows(head.q, first + columns, first + 2 * columns);
  Transpose(head.q.row(first), head.q.stride, queries, HS, scratch.queries, columns);
  // Scaling the queries once spares scaling every score; by log₂ e as well, powers of 2 serve for
  // e.
  const Scalar scale(std::numbers::log2e / std::sqrt(static_cast<double>(HS)));
  for (int64_t d = 0; d < HS; ++d) {
    Scalar* row = scratch.queries + d * columns;
    std::fill(row + queries, row + columns, Scalar(0));
    AsRow(row, columns) *= scale;
  }
  std::fill_n(scratch.output, HS * columns, Scalar(0));
  std::fill_n(scratch.sum, columns, Scalar(0));
  std::fill_n(scratch.largest, columns, Scalar(-1e30));
  PrefetchRows(ConstMatrixView<Scalar>(out), first, first + queries);

  for (int64_t begin = 0; begin < kept; begin += kKeyBlock) {
    const int64_t size = std::min(kKeyBlock, kept - begin);
    ScoreBlock(first, begin, size, HS, scratch);
    SoftmaxBlock(size, HS, scratch);
    // In equal parts: a short last one would wait for its few sums instead of computing.
    const int64_t parts = (HS + kTileRows - 1) / kTileRows;
    for (int64_t part = 0; part < parts; ++part) {
      const int64_t d = HS * part / parts, d_end = HS * (part + 1) / parts;
      Scalar* output = scratch.output + d * columns;
      MicroKernel<Scalar>(d_end - d, size, LhsColMajor<Scalar>{scratch.values + begin * HS + d, HS},
                          scratch.scores, {output, columns}, {output, columns});
    }
  }
  AsRow(scratch.sum, columns) = AsRow(scratch.sum, columns).inverse();
  for (int64_t d = 0; d < HS; ++d) {
    AsRow(scratch.output + d * columns, columns) *= AsRow(scratch.sum, columns);
  }
  Transpose(scratch.output, columns, HS, queries, out.row(first), out.stride);
}

}  // namespace internal

/// out[b·T + t, h·HS + j] = Σ_{s ≤ t} softmax(q·k / √HS)[t, s] · v[s, j]. qkv: [B·T, (NH +
/// 2·NKV)·HS], out: [B·T, NH·HS]; scratch: [threads, FusedScratch::Size], aligned, one row a
/// thread. Each output's relative error, against the sum of magnitudes, is a few times (HS + T) ·
/// 2⁻²⁴.
template <class Scalar>
void AttentionFused(const AttentionShape& shape, ConstMatrixView<Scalar> qkv,
                    MatrixView<Scalar> out, MatrixView<Scalar> scratch) {
  static_assert(kQueriesOfTask % kTileColumns<Scalar> == 0 && kKeyBlock % kTileRows == 0);
  const int64_t T = shape.context, NH = shape.num_heads, HS = shape.head_size;
  const int64_t tasks_a_head = (T + kQueriesOfTask - 1) / kQueriesOfTask;
  FL_CHECK(out.rows == shape.batch * T && out.cols == NH * HS, out.rows, out.cols);
  FL_CHECK(scratch.rows >= omp_get_max_threads(), scratch.rows, omp_get_max_threads());
  FL_CHECK(scratch.cols >= FusedScratch<Scalar>::Size(shape), scratch.cols);
#pragma omp parallel
  {
    const FusedScratch<Scalar> mine(scratch.row(omp_get_thread_num()), shape);
    int64_t gathered_head = -1, gathered_end = 0;
    // Guided: long runs of whole heads first, whose keys are gathered once; single tasks at the
    // end, so that the threads finish together.
#pragma omp for schedule(guided)
    for (int64_t task = 0; task < shape.products() * tasks_a_head; ++task) {
      const int64_t i = task / tasks_a_head, part = task % tasks_a_head;
      const HeadViews<const Scalar> head(qkv, shape, i);
      const int64_t end = std::min(T, (part + 1) * kQueriesOfTask);
      if (std::exchange(gathered_head, i) != i) gathered_end = 0;
      internal::GatherKeysAndValues(head, std::exchange(gathered_end, end), end, mine);
      const auto head_out = out.block(i / NH * T, i % NH * HS, T, HS);
      for (int64_t first = part * kQueriesOfTask; first < end; first += kTileColumns<Scalar>) {
        internal::FusedTile(head, first, head_out, mine);
      }
    }
  }
}

}  // namespace flopledger
