// The documented FMA peak: the table, and the chain of additions that times the clock.
#include "bench/counters/theoretical_peak.h"

#include <gtest/gtest.h>

#include "bench/counters/counter_events.h"
#include "kernels/add_chain.h"

namespace flopledger {
namespace {

TEST(FmaFlopsPerCycle, IsWhatTheManualsSay) {
  EXPECT_EQ(FmaFlopsPerCycle("Intel Haswell", 8), 32);
  EXPECT_EQ(FmaFlopsPerCycle("Intel Ice Lake-X", 16), 64);
  EXPECT_EQ(FmaFlopsPerCycle("Intel Ice Lake-X", 8), 32);
  EXPECT_EQ(FmaFlopsPerCycle("AMD Zen 3", 8), 32);
  EXPECT_EQ(FmaFlopsPerCycle("AMD Zen 4", 16), 32) << "512 bits go through in halves";
  EXPECT_EQ(FmaFlopsPerCycle("AMD Zen 5", 16), 64);
  EXPECT_EQ(FmaFlopsPerCycle("AMD Zen 1", 8), 16);
  EXPECT_EQ(FmaFlopsPerCycle("ARM Neoverse V1", 4), 32);
  EXPECT_EQ(FmaFlopsPerCycle("Intel 8087", 4), std::nullopt);
}

TEST(FmaFlopsPerCycle, KnowsEveryProcessorOfTheEventTable) {
  for (const EventRow& row : EventTable()) {
    EXPECT_TRUE(FmaFlopsPerCycle(row.microarchitecture, 8).has_value()) << row.microarchitecture;
  }
}

TEST(AddChain, ExecutesEveryAddition) {
  EXPECT_EQ(RunAddChain(0), 0);
  EXPECT_EQ(RunAddChain(1000), 1000 * kAddsOfRound);
}

}  // namespace
}  // namespace flopledger
