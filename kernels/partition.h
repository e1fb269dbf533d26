// How products and attention are cut into tasks for many threads. Plain numbers: nothing runs here.
// Tasks are handed out one by one to the thread that is free first (list scheduling), so threads of
// equal speed end at most one task apart (Graham 1969). Tasks of at most a tenth of a thread's mean
// work therefore give each thread 90 to 110 % of it.
#pragma once

#include <cstdint>
#include <span>

namespace flopledger {

inline constexpr double kLargestTask = 0.1;  // of a thread's mean work

/// Tiles of y in which a product is handed out.
struct ProductTiles {
  int64_t rows = 0;     // whole register tiles
  int64_t columns = 0;  // likewise
  bool even = false;    // each thread has 90 to 110 % of the mean; else the shape is too small
};

/// The largest tile of at most max_rows × max_columns, both multiples of the register tile's, that
/// leaves the threads even; where none does, the one with the shortest longest share.
struct ProductLimits {
  int64_t rows_step, columns_step;  // of a register tile
  int64_t max_rows, max_columns;
};
ProductTiles TilesOfProduct(int64_t M, int64_t N, int64_t threads, const ProductLimits& limits);

/// Queries of a head that a thread takes at a time, in steps of a register tile's: at most
/// `max_queries`, and as few as leave the threads even under the causal mask.
struct AttentionTasks {
  int64_t queries = 0;
  // Long runs of tasks first (OpenMP's guided), which gather the keys of whole heads once. Where
  // there are few heads a thread, the end of a head would be a run too long.
  bool in_runs = false;
  bool even = false;
};
struct AttentionLimits {
  int64_t step, max_queries;
};
AttentionTasks TasksOfAttention(int64_t heads, int64_t context, int64_t threads,
                                const AttentionLimits& limits);

/// How a product of one row is handed out: task i has the panels from panels·i / count to
/// panels·(i + 1) / count. Each thread has as many tasks as any other, of at least kPanelsOfTask
/// panels each where there are so many.
struct GemvTasks {
  int64_t count = 0;
  bool even = false;
};
inline constexpr int64_t kPanelsOfTask = 16;
GemvTasks TasksOfGemv(int64_t panels, int64_t threads);

/// The least and the most work of a thread over the mean, of tasks that are handed out in order.
struct Shares {
  double least = 1, most = 1;
};
Shares SharesOf(std::span<const double> tasks, int64_t threads);

}  // namespace flopledger
