// Fused causal attention: scores are made, exponentiated and used block by block in the first-level
// cache and never stored; keys that the causal mask or the window drops for a whole tile are
// skipped; memory is O(T·HS).
// Sources: Dao et al. 2022 and Dao 2023 (FlashAttention-2), Milakov and Gimelshein 2018 (online
// softmax). Legend: B batch, T context, NH query heads, HS head size.
//
// Queries lie along the SIMD lanes (their tile is transposed), keys and head components along the
// registers' rows. So the softmax needs no horizontal step, and keys and values are broadcast.
#pragma once

#include <cstdint>
#include <utility>

#include "kernels/attention.h"
#include "kernels/tensor.h"
#include "kernels/tile.h"

namespace flopledger {

/// How the fused kernel cuts a head. Plain numbers, for the closed formulas of what it executes.
struct AttentionBlocking {
  int64_t queries = 0;  // in a tile; the last tile of a head is padded to it
  int64_t keys = 0;     // in a block of the online softmax
};

inline constexpr int64_t kKeyBlock = 192;       // scores of a tile: 24 KiB at most
inline constexpr int64_t kQueriesOfTask = 288;  // queries that one thread takes at a time, at most

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

/// out[b·T + t, h·HS + j] = Σ_s softmax(scale() · q·k)[t, s] · v[s, j] over the positions s that t
/// attends to. qkv: [B·T, (NH + 2·NKV)·HS], out: [B·T, NH·HS]; scratch: [threads,
/// FusedScratch::Size], aligned, one row a thread. Each output's relative error, against the sum of
/// magnitudes, is a few times (HS + T) · 2⁻²⁴.
template <class Scalar>
void AttentionFused(const AttentionShape& shape, ConstMatrixView<Scalar> qkv,
                    MatrixView<Scalar> out, MatrixView<Scalar> scratch);

}  // namespace flopledger
