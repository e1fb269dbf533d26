// What is compared, and the units in which it reads well.
#include "analysis/regression/metric.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/refusal.h"

namespace flopledger {
namespace {

TEST(ParseMetric, KnowsRatesByTheirNameOrByWhatIsSaid) {
  EXPECT_EQ(ParseMetric("real_time"), Metric{});
  EXPECT_FALSE(ParseMetric("cpu_time").higher_is_better);
  EXPECT_TRUE(ParseMetric("items_per_second").higher_is_better);
  EXPECT_TRUE(ParseMetric("MB/s").higher_is_better);
  EXPECT_FALSE(ParseMetric("misses").higher_is_better);
  EXPECT_EQ(ParseMetric("hits:rate"), (Metric{.name = "hits", .higher_is_better = true}));
  EXPECT_THAT(Refusal([] { ParseMetric(":rate"); }), ::testing::HasSubstr("--metric"));
}

TEST(ShowValue, TakesAUnitThatFits) {
  const Metric time;
  EXPECT_EQ(ShowValue(time, 2e-9), "2.000 ns");
  EXPECT_EQ(ShowValue(time, 123.4e-6), "123.4 us");
  EXPECT_EQ(ShowValue(time, 0.0201), "20.10 ms");
  EXPECT_EQ(ShowValue({.name = "cpu_time"}, 12.5), "12.50 s");
  EXPECT_EQ(ShowValue({.name = "misses"}, 0.25), "0.25");
}

}  // namespace
}  // namespace flopledger
