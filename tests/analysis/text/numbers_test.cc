#include "analysis/text/numbers.h"

#include <gtest/gtest.h>

namespace flopledger {
namespace {

TEST(Numbers, AreGroupedByThousands) {
  EXPECT_EQ(Grouped(0), "0");
  EXPECT_EQ(Grouped(-999), "-999");
  EXPECT_EQ(Grouped(-1000), "-1,000");
  EXPECT_EQ(Grouped(1557611200), "1,557,611,200");
}

TEST(Numbers, TakeTheUnitThatFits) {
  EXPECT_EQ(HumanSeconds(8.2e-6), "8.2 µs");
  EXPECT_EQ(HumanSeconds(0.42771), "427.7 ms");
  EXPECT_EQ(HumanSeconds(7.3412), "7.341 s");
  EXPECT_EQ(HumanSeconds(750), "12.5 min");
  EXPECT_EQ(HumanSeconds(7380), "2.05 h");
  EXPECT_EQ(HumanScaled(3.507e12, "FLOP"), "3.507 TFLOP");
  EXPECT_EQ(HumanScaled(-20, "FLOP"), "-20 FLOP");
}

TEST(Numbers, AreBlankWhereThereIsNone) {
  EXPECT_EQ(OrBlank(std::optional<int64_t>()), "");
  EXPECT_EQ(OrBlank(std::optional<double>(), 2), "");
  EXPECT_EQ(OrBlank(std::optional(0.12345), 2, 100), "12.35");
  EXPECT_EQ(Milliseconds(0.0123456), "12.346");
}

}  // namespace
}  // namespace flopledger
