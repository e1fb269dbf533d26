#include "analysis/stats.h"

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

}  // namespace
}  // namespace flopledger
