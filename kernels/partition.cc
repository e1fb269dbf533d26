#include "kernels/partition.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <queue>
#include <vector>

namespace flopledger {
namespace {

constexpr int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace

ProductTiles TilesOfProduct(int64_t M, int64_t N, int64_t threads, const ProductLimits& limits) {
  ProductTiles best;
  int64_t best_share = 0, best_area = 0;
  for (int64_t rows = limits.max_rows; rows > 0; rows -= limits.rows_step) {
    for (int64_t columns = limits.max_columns; columns > 0; columns -= limits.columns_step) {
      const int64_t area = std::min(rows, M) * std::min(columns, N);
      const bool even = threads == 1 || static_cast<double>(area * threads) <=
                                            kLargestTask * static_cast<double>(M * N);
      const int64_t share = CeilDiv(CeilDiv(M, rows) * CeilDiv(N, columns), threads) * area;
      const bool better = even ? !best.even || area > best_area
                               : !best.even && (best_share == 0 || share < best_share);
      if (!better) continue;
      best = {.rows = rows, .columns = columns, .even = even};
      best_share = share;
      best_area = area;
    }
  }
  return best;
}

AttentionTasks TasksOfAttention(int64_t heads, int64_t context, int64_t threads,
                                const AttentionLimits& limits) {
  // A head computes context² / 2 scores, its last task queries · context of them.
  const double largest =
      kLargestTask * static_cast<double>(heads * context) / 2 / static_cast<double>(threads);
  int64_t queries = limits.max_queries;
  while (queries > limits.step && static_cast<double>(queries) > largest) queries -= limits.step;
  return {.queries = queries,
          .in_runs = heads >= 2 * threads,
          .even = threads == 1 || static_cast<double>(queries) <= largest};
}

GemvTasks TasksOfGemv(int64_t panels, int64_t threads) {
  const double mean = static_cast<double>(panels) / static_cast<double>(threads);
  const int64_t rounds = std::max<int64_t>(1, panels / (threads * kPanelsOfTask));
  return {.count = threads * rounds,
          .even = static_cast<double>(CeilDiv(panels, threads)) <= (1 + kLargestTask) * mean &&
                  static_cast<double>(panels / threads) >= (1 - kLargestTask) * mean};
}

Shares SharesOf(std::span<const double> tasks, int64_t threads) {
  std::priority_queue<double, std::vector<double>, std::greater<>> ends;
  for (int64_t i = 0; i < threads; ++i) ends.push(0);
  for (const double work : tasks) {
    const double end = ends.top() + work;
    ends.pop();
    ends.push(end);
  }
  const double mean =
      std::accumulate(tasks.begin(), tasks.end(), 0.0) / static_cast<double>(threads);
  Shares shares{.least = ends.top() / mean, .most = 0};
  for (; !ends.empty(); ends.pop()) shares.most = ends.top() / mean;
  return shares;
}

}  // namespace flopledger
