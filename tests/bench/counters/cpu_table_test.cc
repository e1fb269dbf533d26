// The documented FMA peak: the table, and the chain of additions that times the clock.
#include "bench/counters/cpu_table.h"

#include <gtest/gtest.h>

#include "kernels/add_chain.h"

namespace flopledger {
namespace {

/// The figure for the processor of that family and model.
std::optional<int> FlopsPerCycle(const CpuIdentity& cpu, int lanes) {
  const CpuRow* row = FindCpu(cpu);
  return row == nullptr ? std::nullopt : std::optional(FmaFlopsPerCycle(*row, lanes));
}

TEST(FmaFlopsPerCycle, IsWhatTheManualsSay) {
  EXPECT_EQ(FlopsPerCycle({"GenuineIntel", 6, 0x3c}, 8), 32) << "Haswell";
  EXPECT_EQ(FlopsPerCycle({"GenuineIntel", 6, 0x6a}, 16), 64) << "Ice Lake-X";
  EXPECT_EQ(FlopsPerCycle({"GenuineIntel", 6, 0x6a}, 8), 32);
  EXPECT_EQ(FlopsPerCycle({"AuthenticAMD", 0x19, 0x01}, 8), 32) << "Zen 3";
  EXPECT_EQ(FlopsPerCycle({"AuthenticAMD", 0x19, 0x11}, 16), 32)
      << "Zen 4: 512 bits go through in halves";
  EXPECT_EQ(FlopsPerCycle({"AuthenticAMD", 0x1a, 0x02}, 16), 64) << "Zen 5";
  EXPECT_EQ(FlopsPerCycle({"AuthenticAMD", 0x17, 0x01}, 8), 16) << "Zen 1";
  EXPECT_EQ(FlopsPerCycle({"0x41", 0, 0xd40}, 4), 32) << "Neoverse V1";
  EXPECT_EQ(FlopsPerCycle({"GenuineIntel", 5, 1}, 4), std::nullopt);
}

TEST(FmaFlopsPerCycle, IsKnownOfEveryProcessorOfTheTable) {
  for (const CpuRow& row : CpuTable()) {
    EXPECT_GT(FmaFlopsPerCycle(row, 8), 0) << row.microarchitecture;
  }
}

// Intel's events count instructions of one width, AMD's and ARM's FLOPs.
TEST(FlopEvents, WeighWhatOneCountStandsFor) {
  const auto weight = [](const CpuIdentity& cpu, std::string_view part) {
    for (const FlopEvent& event : FindCpu(cpu)->flops) {
      if (event.name.find(part) != std::string_view::npos) return event.flops;
    }
    return 0.0;
  };
  const CpuIdentity ice_lake_x{"GenuineIntel", 6, 0x6a}, broadwell{"GenuineIntel", 6, 0x4f};
  for (const CpuIdentity& cpu : {ice_lake_x, broadwell}) {
    EXPECT_EQ(weight(cpu, "SCALAR_SINGLE"), 1);
    EXPECT_EQ(weight(cpu, "128B_PACKED_SINGLE"), 4);
    EXPECT_EQ(weight(cpu, "256B_PACKED_SINGLE"), 8);
  }
  EXPECT_EQ(weight(ice_lake_x, "512B_PACKED_SINGLE"), 16);
  const CpuIdentity flops_counters[] = {{"AuthenticAMD", 0x17, 0x01},
                                        {"AuthenticAMD", 0x17, 0x31},
                                        {"AuthenticAMD", 0x19, 0x11},
                                        {"AuthenticAMD", 0x1a, 0x02},
                                        {"0x41", 0, 0xd40}};
  for (const CpuIdentity& cpu : flops_counters) {
    for (const FlopEvent& event : FindCpu(cpu)->flops) EXPECT_EQ(event.flops, 1) << event.name;
  }
}

TEST(FindCpu, TellsServersAndDesktopsOfOneFamily) {
  const auto name = [](int64_t family, int64_t model) {
    return FindCpu({"AuthenticAMD", family, model})->microarchitecture;
  };
  EXPECT_EQ(name(0x17, 0x08), "AMD Zen 1");  // Ryzen 2000
  EXPECT_EQ(name(0x17, 0x31), "AMD Zen 2");  // EPYC 7002
  EXPECT_EQ(name(0x19, 0x01), "AMD Zen 3");  // EPYC 7003
  EXPECT_EQ(name(0x19, 0x21), "AMD Zen 3");  // Ryzen 5000
  EXPECT_EQ(name(0x19, 0x11), "AMD Zen 4");  // EPYC 9004
  EXPECT_EQ(name(0x19, 0x61), "AMD Zen 4");  // Ryzen 7000
}

TEST(FmaFlopsPerCycleOfTeam, GrowsWithTheCoresThatItHas) {
  constexpr char kZen4[] = "vendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 17\n";
  Topology two_cores;
  for (const int core : {0, 1}) two_cores.cores.push_back({.processors = {2 * core, 2 * core + 1}});
  EXPECT_EQ(FmaFlopsPerCycleOfTeam(kZen4, two_cores, 1, 16), 32);
  EXPECT_EQ(FmaFlopsPerCycleOfTeam(kZen4, two_cores, 2, 16), 64);
  EXPECT_EQ(FmaFlopsPerCycleOfTeam(kZen4, two_cores, 4, 16), 64);  // siblings share the pipes
  EXPECT_EQ(FmaFlopsPerCycleOfTeam(kZen4, two_cores, 2, 4), 32);
  EXPECT_EQ(FmaFlopsPerCycleOfTeam("", two_cores, 2, 16), std::nullopt);
  two_cores.cores[1].efficient = true;
  EXPECT_EQ(FmaFlopsPerCycleOfTeam(kZen4, two_cores, 1, 16), std::nullopt);
}

TEST(AddChain, ExecutesEveryAddition) {
  EXPECT_EQ(RunAddChain(0), 0);
  EXPECT_EQ(RunAddChain(1000), 1000 * kAddsOfRound);
}

}  // namespace
}  // namespace flopledger
