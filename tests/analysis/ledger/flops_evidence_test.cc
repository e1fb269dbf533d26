// Hardware counts: how they add up, and when they are believed.
#include "analysis/ledger/flops_evidence.h"

#include <gtest/gtest.h>

namespace flopledger {
namespace {

TEST(TrustCheck, AllowsOnePercentEitherWay) {
  for (const double counted : {990.5, 1000.0, 1009.5}) {
    EXPECT_TRUE((TrustCheck{.executed = 1000, .counted = counted}).passed()) << counted;
  }
  for (const double counted : {0.0, 989.0, 1011.0, 2000.0}) {
    EXPECT_FALSE((TrustCheck{.executed = 1000, .counted = counted}).passed()) << counted;
  }
  EXPECT_FALSE(TrustCheck{}.passed());  // nothing was executed
}

TEST(CounterFigures, AddUpWhatIsThereAndKeepTheLargestScale) {
  CounterFigures sum;
  for (const double scale : {1.0, 4.0, 2.0}) {
    CounterFigures figures;
    figures.flops = 10;
    figures.cycles = 3;
    figures.scale = scale;
    sum += figures;
  }
  EXPECT_EQ(sum.flops, 30);
  EXPECT_EQ(sum.cycles, 9);
  EXPECT_FALSE(sum.instructions.has_value());
  EXPECT_EQ(sum.scale, 4);
}

}  // namespace
}  // namespace flopledger
