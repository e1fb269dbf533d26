// How work is cut for up to 192 threads, on plain numbers: the threads of this machine are too few.
#include "kernels/partition.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <vector>

namespace flopledger {
namespace {

constexpr int64_t kThreads[] = {8, 12, 16, 24, 32, 48, 64, 96, 128, 192};
// Register tiles of AVX-512 and of AVX2, and the largest tasks of the kernels.
constexpr ProductLimits kProducts[] = {{12, 32, 48, 192}, {4, 24, 48, 192}};
constexpr AttentionLimits kAttention[] = {{32, 288}, {24, 288}};

struct ModelShape {
  int64_t context, d_model, d_ff, heads, vocabulary;
};
constexpr ModelShape kGpt2Xl{1024, 1600, 6400, 25, 50257};
// The presets from the smallest to the largest, and a context that is no multiple of anything.
constexpr ModelShape kModelShapes[] = {
    {1024, 768, 3072, 12, 50257},   {1024, 1024, 4096, 16, 50257},
    {1024, 1280, 5120, 20, 50257},  kGpt2Xl,
    {16384, 1600, 6400, 25, 50257}, {1001, 2560, 10240, 32, 10000}};

Shares SharesOfProduct(int64_t M, int64_t N, int64_t threads, const ProductTiles& tiles) {
  std::vector<double> work;
  for (int64_t n = 0; n < N; n += tiles.columns) {
    for (int64_t m = 0; m < M; m += tiles.rows) {
      work.push_back(
          static_cast<double>(std::min(tiles.rows, M - m) * std::min(tiles.columns, N - n)));
    }
  }
  return SharesOf(work, threads);
}

/// OpenMP's schedule(guided): runs of as many tasks as each thread would have of those that are
/// left.
std::vector<double> Guided(const std::vector<double>& tasks, int64_t threads) {
  std::vector<double> runs;
  for (auto task = tasks.begin(); task != tasks.end();) {
    const auto end = task + (tasks.end() - task + threads - 1) / threads;
    runs.push_back(std::accumulate(task, end, 0.0));
    task = end;
  }
  return runs;
}

void ExpectEven(const Shares& shares) {
  EXPECT_GE(shares.least, 0.9);
  EXPECT_LE(shares.most, 1.1);
}

TEST(SharesOf, EachTaskGoesToTheThreadThatIsFreeFirst) {
  const std::vector<double> tasks = {3, 1, 1, 1, 2};  // thread 0: 3 and 2; thread 1: 1, 1, 1
  const Shares shares = SharesOf(tasks, 2);
  EXPECT_DOUBLE_EQ(shares.least, 3.0 / 4);
  EXPECT_DOUBLE_EQ(shares.most, 5.0 / 4);
}

TEST(TilesOfProduct, AreEvenOrTheShapeIsTooSmall) {
  for (const ProductLimits& limits : kProducts) {
    for (const ModelShape& shape : kModelShapes) {
      for (const int64_t N : {shape.d_model, 3 * shape.d_model, shape.d_ff, shape.vocabulary}) {
        for (const int64_t threads : kThreads) {
          SCOPED_TRACE(::testing::Message()
                       << shape.context << "x" << N << " on " << threads << " threads");
          const ProductTiles tiles = TilesOfProduct(shape.context, N, threads, limits);
          EXPECT_EQ(tiles.rows % limits.rows_step, 0);
          EXPECT_EQ(tiles.columns % limits.columns_step, 0);
          // A matrix of 1000 x 1600 is enough for 192 threads; a smaller one may not be.
          if (N >= 1600) {
            EXPECT_TRUE(tiles.even);
          }
          if (tiles.even) ExpectEven(SharesOfProduct(shape.context, N, threads, tiles));
        }
      }
    }
  }
}

TEST(TilesOfProduct, AreTheLargestWhereThereAreFewThreads) {
  for (const int64_t threads : {1, 2, 4}) {
    const ProductTiles tiles = TilesOfProduct(1024, 1600, threads, kProducts[0]);
    EXPECT_EQ(tiles.rows, 48);
    EXPECT_EQ(tiles.columns, 192);
  }
}

TEST(TilesOfProduct, OfTooFewRowsSaySo) {
  const ProductTiles tiles = TilesOfProduct(16, 1600, 192, kProducts[0]);
  EXPECT_FALSE(tiles.even);
  EXPECT_EQ(tiles.columns, 32);  // as many threads as can have work all the same
}

TEST(TasksOfAttention, AreEvenOrTheShapeIsTooSmall) {
  int even = 0;
  for (const AttentionLimits& limits : kAttention) {
    for (const ModelShape& shape : kModelShapes) {
      for (const int64_t threads : kThreads) {
        SCOPED_TRACE(::testing::Message() << shape.heads << " heads of " << shape.context << " on "
                                          << threads << " threads");
        const AttentionTasks tasks = TasksOfAttention(shape.heads, shape.context, threads, limits);
        EXPECT_EQ(tasks.queries % limits.step, 0);
        if (!tasks.even) continue;
        ++even;
        std::vector<double> work;
        for (int64_t head = 0; head < shape.heads; ++head) {
          for (int64_t q = 0; q < shape.context; q += tasks.queries) {
            const auto end = std::min(q + tasks.queries, shape.context);
            work.push_back(static_cast<double>((end - q) * (q + end)) / 2);
          }
        }
        ExpectEven(SharesOf(tasks.in_runs ? Guided(work, threads) : work, threads));
      }
    }
  }
  EXPECT_GE(even, 40);
  EXPECT_TRUE(TasksOfAttention(25, 1024, 32, kAttention[0]).even);
  EXPECT_FALSE(TasksOfAttention(25, 1024, 192, kAttention[0]).even);
  EXPECT_TRUE(TasksOfAttention(25, 16384, 192, kAttention[0]).even);
  EXPECT_EQ(TasksOfAttention(25, 1024, 2, kAttention[0]).queries, 288);
}

TEST(TasksOfGemv, AreEvenOrTheShapeIsTooSmall) {
  for (const int64_t columns : {24, 32}) {
    for (const int64_t N : {768, 1600, 4800, 6400, 50257}) {
      const int64_t panels = (N + columns - 1) / columns;
      for (const int64_t threads : kThreads) {
        SCOPED_TRACE(::testing::Message() << panels << " panels on " << threads << " threads");
        const GemvTasks tasks = TasksOfGemv(panels, threads);
        EXPECT_EQ(tasks.count % threads, 0);
        if (panels >= 10 * threads) {
          EXPECT_TRUE(tasks.even);
        }
        if (!tasks.even) continue;
        std::vector<double> work;
        for (int64_t i = 0; i < tasks.count; ++i) {
          work.push_back(
              static_cast<double>(panels * (i + 1) / tasks.count - panels * i / tasks.count));
        }
        ExpectEven(SharesOf(work, threads));
      }
    }
  }
  // GPT-2 XL's attention_out while decoding, N = 1600 in 50 panels of AVX-512.
  EXPECT_TRUE(TasksOfGemv(50, 2).even);
  EXPECT_TRUE(TasksOfGemv(50, 10).even);
  EXPECT_FALSE(TasksOfGemv(50, 8).even);   // 7 panels where the mean is 6.25
  EXPECT_FALSE(TasksOfGemv(50, 64).even);  // more threads than panels
}

}  // namespace
}  // namespace flopledger
