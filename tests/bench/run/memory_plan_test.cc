// Plans that fit in memory.
#include "bench/run/memory_plan.h"

#include <gtest/gtest.h>

#include "model/input_error.h"
#include "tests/support/small_run.h"

namespace flopledger {
namespace {

TEST(PlanMemory, RunsAsManyLayersAsFit) {
  RunSettings settings = SmallRun();
  settings.model.num_layers = 1'000'000'000;
  settings.max_memory_bytes = int64_t{1} << 30;
  const MemoryPlan plan = PlanMemory({&settings, 1});
  EXPECT_TRUE(plan.cut_by_memory);
  EXPECT_LE(plan.needed_bytes, *settings.max_memory_bytes);
  EXPECT_GT(plan.whole_bytes, *settings.max_memory_bytes);
  settings.layers = plan.layers + 1;
  EXPECT_THROW(PlanMemory({&settings, 1}), CannotMeasure);
  settings.layers = plan.layers;
  EXPECT_FALSE(PlanMemory({&settings, 1}).cut_by_memory);
  settings.layers.reset();
  settings.max_memory_bytes = 1 << 20;
  EXPECT_THROW(PlanMemory({&settings, 1}), CannotMeasure);
  settings.max_memory_bytes = INT64_MAX;  // no more than there is
  EXPECT_LT(PlanMemory({&settings, 1}).available_bytes, INT64_MAX);
}

TEST(PlanMemory, CountsWeightsOnceForEachLayoutAndBuffersForEachBackend) {
  const RunSettings packed = SmallRun();
  RunSettings plain = packed;
  plain.kernels.matmul = FindMatmul<float>("eigen");
  const auto bytes = [](const std::vector<RunSettings>& side_by_side) {
    return PlanMemory(side_by_side).needed_bytes;
  };
  const int64_t weights = CountMemory(packed.model, packed.Shape(4)).weights_bytes;
  const int64_t one = bytes({packed}), buffers = bytes({packed, packed}) - one;
  EXPECT_GT(buffers, 0);
  EXPECT_LT(buffers, one - weights);  // the program itself is there once
  EXPECT_EQ(bytes({packed, plain}), one + weights + buffers);
  EXPECT_EQ(bytes({plain, packed, plain, plain}), one + weights + 3 * buffers);
  EXPECT_EQ(bytes({plain, plain}), one + buffers);
}

}  // namespace
}  // namespace flopledger
