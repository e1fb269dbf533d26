#include "analysis/text/stats.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace flopledger {
namespace {

TEST(Median, IsTheMiddleSampleOrTheMeanOfTheTwo) {
  EXPECT_EQ(Median({3, 1, 2}), 2);
  EXPECT_EQ(Median({4, 1, 2, 3}), 2.5);
  EXPECT_EQ(Median({7}), 7);
}

TEST(Median, OfNothingIsAFault) { EXPECT_THROW(Median({}), std::logic_error); }

TEST(MedianAbsoluteDeviation, IsADistanceFromTheMedianNotASample) {
  EXPECT_EQ(MedianAbsoluteDeviation({100, 101, 103}), 1);
  EXPECT_EQ(MedianAbsoluteDeviation({1, 1, 2, 2, 4, 6, 9}), 1);
  EXPECT_EQ(MedianAbsoluteDeviation({5}), 0);
}

TEST(PredictionInterval, IsStudentsForOneMoreSample) {
  // n = 4, mean 2.5, s = 1.29099; t(0.975, 3) = 3.18245; 3.18245 · 1.29099 · √1.25 = 4.59342.
  const Interval interval = PredictionInterval(std::vector<double>{1, 2, 3, 4}, 0.95);
  EXPECT_DOUBLE_EQ(interval.mean, 2.5);
  EXPECT_NEAR(interval.lower, 2.5 - 4.59342, 1e-4);
  EXPECT_NEAR(interval.upper, 2.5 + 4.59342, 1e-4);
  EXPECT_THROW(PredictionInterval(std::vector<double>{1}, 0.95), std::logic_error);
}

}  // namespace
}  // namespace flopledger
