// The topology of machines that are not here, by hwloc's synthetic descriptions, and what follows
// from it: threads, binding, caches. That of this machine, as far as it holds anywhere.
#include "bench/machine/topology.h"

#include <gtest/gtest.h>
#include <hwloc.h>
#include <omp.h>
#include <sched.h>

#include <functional>
#include <numeric>

#include "bench/machine/limits.h"
#include "bench/machine/pinning.h"
#include "bench/machine/threads.h"

namespace flopledger {
namespace {

/// What hwloc makes of a synthetic description; `change` may add kinds of cores.
Topology Synthetic(const char* description, const std::vector<int>& usable = {},
                   const std::function<void(hwloc_topology_t)>& change = {}) {
  hwloc_topology_t loaded = nullptr;
  EXPECT_EQ(hwloc_topology_init(&loaded), 0);
  EXPECT_EQ(hwloc_topology_set_synthetic(loaded, description), 0) << description;
  EXPECT_EQ(hwloc_topology_load(loaded), 0);
  if (change) change(loaded);
  Topology topology = DescribeTopology(loaded, usable);
  hwloc_topology_destroy(loaded);
  return topology;
}

void RegisterKind(hwloc_topology_t loaded, unsigned first, int last, int efficiency,
                  const char* core_type = nullptr) {
  hwloc_bitmap_t set = hwloc_bitmap_alloc();
  hwloc_bitmap_set_range(set, first, last);
  hwloc_info_s info{};
  char name[] = "CoreType";
  std::string value = core_type == nullptr ? "" : core_type;
  info.name = name;
  info.value = value.data();
  EXPECT_EQ(hwloc_cpukinds_register(loaded, set, efficiency, core_type == nullptr ? 0 : 1,
                                    core_type == nullptr ? nullptr : &info, 0),
            0);
  hwloc_bitmap_free(set);
}

ProcessorLimit DefaultThreadsOf(const Topology& topology, std::vector<ProcessorLimit> others = {},
                                int64_t ranks = 1) {
  ProcessorLimits limits{{{"the affinity of the process", topology.processors()}}};
  limits.limits.insert(limits.limits.end(), others.begin(), others.end());
  return FindThreadLimits(limits, topology, ranks).Decisive();
}

// Two packages of 48 cores with SMT, twelve L3 caches, eight NUMA nodes.
constexpr char kTwoPackages[] =
    "pack:2 numa:4 group:1 l3:6(size=33554432) l2:2(size=1048576) l1d:1(size=32768) core:1 pu:2";
constexpr char kTwelveL3[] =
    "pack:2 l3:6(size=33554432) l2:8(size=1048576) l1d:1(size=32768) core:1 pu:2";
constexpr char kOneCore[] = "l2:1(size=1048576) core:1 pu:1";

TEST(DescribeTopology, TwoPackagesWithSmtRunAThreadACore) {
  const Topology topology = Synthetic(kTwelveL3);
  EXPECT_EQ(topology.cores.size(), 96U);
  EXPECT_EQ(topology.processors(), 192);
  EXPECT_EQ(topology.performance_cores(), 96);
  EXPECT_EQ(topology.numa_nodes, 1);
  EXPECT_EQ(topology.cores[1].processors, (std::vector<int>{2, 3}));
  EXPECT_EQ(DefaultThreadsOf(topology).processors, 96);
  EXPECT_EQ(DefaultThreadsOf(topology).name, "the physical cores");
  EXPECT_EQ(DefaultThreadsOf(topology, {}, 5).processors, 19);  // ranks that share them
  EXPECT_EQ(DefaultThreadsOf(topology, {}, 100).processors, 1);
}

TEST(DescribeTopology, EightNumaNodesAreCountedAmongWhatMayBeUsed) {
  EXPECT_EQ(Synthetic(kTwoPackages).numa_nodes, 8);
  EXPECT_EQ(Synthetic(kTwoPackages).cores.size(), 96U);
  const Topology part = Synthetic(kTwoPackages, {0, 1, 24, 26});  // the first core, two of a node
  EXPECT_EQ(part.numa_nodes, 2);
  EXPECT_EQ(part.cores.size(), 3U);
  EXPECT_EQ(part.processors(), 4);
  EXPECT_EQ(part.cores[2].numa_node, 1);
}

TEST(DescribeTopology, PerformanceCoresComeFirstAndDecide) {
  // The efficiency cores stand first in the machine.
  const auto hybrid = [](const char* efficient, const char* fast) {
    return Synthetic("core:24 pu:1", {}, [=](hwloc_topology_t loaded) {
      RegisterKind(loaded, 0, 15, 0, efficient);
      RegisterKind(loaded, 16, 23, 1, fast);
    });
  };
  for (const Topology& topology : {hybrid("IntelAtom", "IntelCore"), hybrid(nullptr, nullptr)}) {
    EXPECT_EQ(topology.cores.size(), 24U);
    EXPECT_EQ(topology.performance_cores(), 8);
    EXPECT_FALSE(topology.cores[7].efficient);
    EXPECT_TRUE(topology.cores[8].efficient);
    EXPECT_EQ(topology.cores[0].processors, (std::vector<int>{16}));
    EXPECT_EQ(DefaultThreadsOf(topology).processors, 8);
    EXPECT_EQ(DefaultThreadsOf(topology).name, "the physical performance cores");
  }
}

TEST(DescribeTopology, OfEfficiencyCoresAloneAllAreUsed) {
  const Topology topology = Synthetic("core:24 pu:1", {0, 1, 2}, [](hwloc_topology_t loaded) {
    RegisterKind(loaded, 0, 15, 0);
    RegisterKind(loaded, 16, 23, 1);
  });
  EXPECT_EQ(topology.performance_cores(), 0);
  EXPECT_EQ(DefaultThreadsOf(topology).processors, 3);
}

TEST(DescribeTopology, OneCore) {
  const Topology topology = Synthetic(kOneCore);
  EXPECT_EQ(topology.cores.size(), 1U);
  EXPECT_EQ(DefaultThreadsOf(topology).processors, 1);
  EXPECT_EQ(DefaultThreadsOf(topology).name, "the affinity of the process");
}

TEST(DescribeTopology, AQuotaOfTwoOnSixtyFourDecides) {
  const Topology topology = Synthetic("core:64 pu:1");
  const ProcessorLimit decisive =
      DefaultThreadsOf(topology, {{"the control group's CPU quota", 2}, {"OMP_NUM_THREADS", 8}});
  EXPECT_EQ(decisive.processors, 2);
  EXPECT_EQ(decisive.name, "the control group's CPU quota");
}

TEST(PinPlan, GivesEachThreadACoreAndThenEachSiblingAThread) {
  const Topology topology = Synthetic("core:4 pu:2");
  EXPECT_EQ(PinPlan(topology, 2), (std::vector<std::vector<int>>{{0, 1}, {2, 3}}));
  const auto full = PinPlan(topology, 8);
  EXPECT_EQ(full[0], (std::vector<int>{0}));
  EXPECT_EQ(full[3], (std::vector<int>{6}));
  EXPECT_EQ(full[4], (std::vector<int>{1}));
  EXPECT_EQ(full[7], (std::vector<int>{7}));
}

TEST(CachesOfTeam, CountWhatThreadsHaveAndWhatTheyCanReach) {
  constexpr int64_t kMiB = int64_t{1} << 20;
  const Topology topology = Synthetic(kTwelveL3);
  const auto caches = CachesOfTeam(topology, 96);
  ASSERT_EQ(caches.size(), 3U);
  EXPECT_EQ(caches[0].level, 1);
  EXPECT_EQ(caches[0].close_bytes, 96 * 32 * 1024);
  EXPECT_EQ(caches[1].close_bytes, 96 * kMiB);
  EXPECT_EQ(caches[2].close_bytes, 12 * 32 * kMiB);
  EXPECT_EQ(caches[2].reachable_bytes, 12 * 32 * kMiB);
  const auto of_eight = CachesOfTeam(topology, 8);
  EXPECT_EQ(of_eight[2].close_bytes, 32 * kMiB);
  EXPECT_EQ(of_eight[2].reachable_bytes, 8 * 32 * kMiB);
  EXPECT_EQ(CachesOfTeam(topology, 192)[1].close_bytes, 96 * kMiB);
  EXPECT_TRUE(CachesOfTeam(Topology{}, 2).empty());
}

TEST(CachesOfTeam, LeaveOutThoseOfInstructions) {
  Topology topology;
  topology.cores = {{.processors = {0}}};
  topology.caches = {{1, "Data", 32 << 10, {0}}, {1, "Instruction", 64 << 10, {0}}};
  const auto caches = CachesOfTeam(topology, 1);
  ASSERT_EQ(caches.size(), 1U);
  EXPECT_EQ(caches[0].close_bytes, 32 << 10);
  EXPECT_EQ(caches[0].reachable_bytes, 32 << 10);
}

TEST(MachineTopology, IsWhatThisProcessMayUse) {
  const Topology& here = MachineTopology();
  ASSERT_FALSE(here.cores.empty());
  EXPECT_EQ(here.processors(), static_cast<int64_t>(InitialAffinity().size()));
}

TEST(ThreadPinning, BindsEachThreadAndLetsThemGo) {
  const int cores = static_cast<int>(MachineTopology().cores.size());
  const auto usable = static_cast<int>(InitialAffinity().size());
  const auto widest = [&](int threads) {  // the most processors that one of the threads may use
    int most = 0;
#pragma omp parallel num_threads(threads) reduction(max : most)
    {
      cpu_set_t set;
      sched_getaffinity(0, sizeof(set), &set);
      most = CPU_COUNT(&set);
    }
    return most;
  };
  const std::size_t siblings = MachineTopology().cores.front().processors.size();
  {
    const ThreadPinning pinning(Pin::kCores);
    EXPECT_EQ(PinningText(), "cores");
    for (const int threads : {1, cores, 1, cores}) {  // threads end and start anew
      UseThreads(threads);
      EXPECT_LE(widest(threads), static_cast<int>(siblings)) << threads;
    }
  }
  EXPECT_EQ(widest(cores), usable);
}

}  // namespace
}  // namespace flopledger
