// Hardware counters: the table against the vendors' codes, the reader on real software events, and
// everything that a machine with a PMU does by a stand-in.
#include "bench/counters/counters.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <omp.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>

#include "kernels/fma_chains.h"

namespace flopledger {
namespace {

using ::testing::HasSubstr;

constexpr char kBroadwell[] =
    "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 79\n"
    "model name\t: Intel(R) Xeon(R)\nflags\t\t: fpu avx2 fma\n";
constexpr char kVirtualZen4[] =
    "vendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 17\nflags\t\t: fpu hypervisor avx2\n";
constexpr char kNeoverse[] =
    "processor\t: 0\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\nCPU architecture: 8\n"
    "CPU variant\t: 0x1\nCPU part\t: 0xd40\n";

TEST(CpuTable, CodesAreTheVendorsAndTheEncodersAgree) {
  // Copied from the vendors' manuals, not from the table: umask << 8 | event select.
  const std::map<std::string_view, uint64_t> documented{
      {"FP_ARITH_INST_RETIRED:SCALAR_SINGLE", 0x02c7},
      {"FP_ARITH_INST_RETIRED:128B_PACKED_SINGLE", 0x08c7},
      {"FP_ARITH_INST_RETIRED:256B_PACKED_SINGLE", 0x20c7},
      {"FP_ARITH_INST_RETIRED:512B_PACKED_SINGLE", 0x80c7},
      {"RETIRED_SSE_AVX_OPERATIONS:SP_ADD_SUB_FLOPS", 0x0103},
      {"RETIRED_SSE_AVX_OPERATIONS:SP_MULT_FLOPS", 0x0203},
      {"RETIRED_SSE_AVX_OPERATIONS:SP_DIV_FLOPS", 0x0403},
      {"RETIRED_SSE_AVX_OPERATIONS:SP_MULT_ADD_FLOPS", 0x0803},
      {"RETIRED_SSE_AVX_FLOPS:ADD_SUB_FLOPS", 0x0103},
      {"RETIRED_SSE_AVX_FLOPS:MULT_FLOPS", 0x0203},
      {"RETIRED_SSE_AVX_FLOPS:DIV_FLOPS", 0x0403},
      {"RETIRED_SSE_AVX_FLOPS:MAC_FLOPS", 0x0803},
      {"RETIRED_SSE_AVX_FLOPS:ANY", 0x0f03},
      {"FP_FIXED_OPS_SPEC", 0x80c1}};
  setenv("LIBPFM_ENCODE_INACTIVE", "1", 1);  // for PMUs that this machine does not have
  int checked = 0;
  for (const CpuRow& row : CpuTable()) {
    SCOPED_TRACE(std::string(row.microarchitecture));
    EXPECT_FALSE(row.source.empty());
    EXPECT_TRUE(!row.flops.empty() || !row.note.empty());
    for (const FlopEvent& event : row.flops) {
      ++checked;
      ASSERT_TRUE(documented.contains(event.name)) << event.name;
      EXPECT_EQ(event.code, documented.at(event.name)) << event.name;
      if (EncoderName() == "libpfm4" && !row.pfm_pmu.empty()) {
        EXPECT_EQ(EncodeEvent(row, event), documented.at(event.name)) << event.name;
      }
    }
  }
  EXPECT_GT(checked, 20);
}

TEST(CpuTable, FindsProcessorsByVendorFamilyAndModel) {
  const auto find = [](const char* cpuinfo) {
    const auto cpu = IdentifyCpu(cpuinfo);
    const CpuRow* row = cpu ? FindCpu(*cpu) : nullptr;
    return row ? row->microarchitecture : "none";
  };
  EXPECT_EQ(find(kBroadwell), "Intel Broadwell");
  EXPECT_EQ(find(kVirtualZen4), "AMD Zen 4");
  EXPECT_EQ(find(kNeoverse), "ARM Neoverse V1");
  EXPECT_EQ(find("vendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 60\n"), "Intel Haswell");
  EXPECT_EQ(find("vendor_id\t: AuthenticAMD\ncpu family\t: 26\nmodel\t\t: 2\n"), "AMD Zen 5");
  EXPECT_EQ(find("vendor_id\t: CentaurHauls\ncpu family\t: 6\nmodel\t\t: 1\n"), "none");
  EXPECT_EQ(find(""), "none");
}

/// A machine whose counters do as they are told.
struct FakePmu {
  std::string cpuinfo = kBroadwell;
  std::optional<int64_t> paranoid = 2;
  int hardware_error = 0;  // what opening a hardware or raw event is refused with
  int any_error = 0;       // and any event
  double share_running = 1;
  uint64_t start = 0;                              // where the counters stand
  uint64_t step = 1000;                            // what each event counts between two readings
  bool starved = false;                            // never scheduled
  uint64_t counters_of_pmu = GroupReading::kMost;  // a group cannot have more
  uint64_t counters_free = GroupReading::kMost;    // one that has more never runs
  int64_t files_allowed = 1024, files_asked = 0;

  CounterSystem System() {
    return {
        .open =
            [this](const perf_event_attr& attributes, int leader) {
              const std::lock_guard lock(mutex);
              if (any_error != 0) return -any_error;
              if (attributes.type != PERF_TYPE_SOFTWARE && hardware_error != 0) {
                return -hardware_error;
              }
              if (leader >= 0 && readings.at(leader).count == counters_of_pmu) return -EINVAL;
              EXPECT_EQ(attributes.exclude_kernel, 1);
              ++open_now;
              opened[next] = attributes;
              if (leader < 0) {
                readings[next].values.fill(start);
                ++groups;
              }
              ++readings[leader < 0 ? next : leader].count;
              return next++;
            },
        .read = [this](int leader) -> std::optional<GroupReading> {
          GroupReading& reading = readings.at(leader);
          const GroupReading now = reading;
          for (uint64_t& value : reading.values) value += step;
          reading.enabled_ns += 1'000'000;
          if (!starved && reading.count <= counters_free)
            reading.running_ns += static_cast<uint64_t>(1'000'000 * share_running);
          return now;
        },
        .close = [this](int) { --open_now; },
        .allow_files =
            [this](int64_t more) {
              files_asked = more;
              return files_allowed;
            },
        .cpuinfo = cpuinfo,
        .paranoid = paranoid,
        .hybrid_type = std::nullopt,
    };
  }

  std::mutex mutex;
  int next = 3, open_now = 0, groups = 0;
  std::map<int, perf_event_attr> opened;
  std::map<int, GroupReading> readings;  // by leader
};

TEST(Counters, SumThreadsAndWeighLanes) {
  FakePmu pmu;
  {
    Counters counters(3, pmu.System());
    EXPECT_TRUE(counters.Has(CounterQuantity::kFlops));
    EXPECT_EQ(pmu.open_now, 3 * (3 + 6));  // threads × (FLOP events + generic ones)
    EXPECT_EQ(pmu.files_asked, pmu.open_now);
    EXPECT_EQ(pmu.groups, 3);  // one a thread
    counters.Start();
    const CounterFigures figures = counters.Stop();
    EXPECT_EQ(figures.flops, 3 * 1000 * (1 + 4 + 8));
    EXPECT_EQ(figures.instructions, 3 * 1000);
    EXPECT_EQ(figures.scale, 1);
  }
  EXPECT_EQ(pmu.open_now, 0);
}

TEST(Counters, ScaleWhatWasMultiplexedAndSaySo) {
  FakePmu pmu;
  pmu.share_running = 0.25;
  Counters counters(1, pmu.System());
  counters.Start();
  const CounterFigures figures = counters.Stop();
  EXPECT_EQ(figures.instructions, 4000);
  EXPECT_EQ(figures.scale, 4);
}

TEST(Counters, AreRightWhereACounterWrapsAround) {
  FakePmu pmu;
  pmu.start = UINT64_MAX - 10 - 2 * pmu.step;  // two readings show whether groups run at all
  Counters counters(1, pmu.System());
  counters.Start();
  EXPECT_EQ(counters.Stop().cycles, 1000);
}

TEST(Counters, ThatThePmuCannotHoldTogetherAreInSeveralGroups) {
  FakePmu pmu;
  pmu.counters_of_pmu = 4;
  Counters counters(2, pmu.System());
  EXPECT_EQ(pmu.open_now, 2 * 9);
  EXPECT_EQ(pmu.groups, 2 * 3);  // of four, four and one
  counters.Start();
  const CounterFigures figures = counters.Stop();
  EXPECT_EQ(figures.flops, 2 * 1000 * (1 + 4 + 8));
  EXPECT_EQ(figures.instructions, 2 * 1000);
  EXPECT_EQ(figures.context_switches, 2 * 1000);
}

TEST(Counters, OfAGroupThatNeverRunsAreOpenedOneByOne) {
  FakePmu pmu;
  pmu.counters_free = 3;  // another program holds the others
  {
    Counters counters(2, pmu.System());
    EXPECT_EQ(pmu.open_now, 2 * 9);
    EXPECT_EQ(pmu.groups, 2 + 2 * 9);  // the first was closed again
    EXPECT_EQ(counters.available().size(), 9U);
    counters.Start();
    EXPECT_EQ(counters.Stop().flops, 2 * 1000 * (1 + 4 + 8));
  }
  EXPECT_EQ(pmu.open_now, 0);
}

TEST(Counters, RaiseTheLimitOfOpenFilesWhereTheyMay) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit low = before;
  low.rlim_cur = 64;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  const CounterSystem system = LinuxCounters();
  EXPECT_EQ(system.allow_files(0), 256);
  EXPECT_EQ(system.allow_files(300), 556);
  EXPECT_EQ(system.allow_files(0), 556);  // never lower
  EXPECT_EQ(system.allow_files(int64_t{1} << 40), static_cast<int64_t>(before.rlim_max));
  setrlimit(RLIMIT_NOFILE, &before);
}

TEST(Counters, ThatNeverRanGiveNothingNotZero) {
  FakePmu pmu;
  pmu.starved = true;
  Counters counters(1, pmu.System());
  counters.Start();
  const CounterFigures figures = counters.Stop();
  EXPECT_FALSE(figures.flops.has_value());
  EXPECT_FALSE(figures.cycles.has_value());
}

TEST(Counters, SayPreciselyWhyNot) {
  const struct {
    const char* cpuinfo;
    int hardware_error, any_error;
    std::optional<int64_t> paranoid;
    const char* says;
  } kCases[] = {
      {kVirtualZen4, ENOENT, 0, 2, "no PMU under this hypervisor"},
      {kBroadwell, ENOENT, 0, 2, "does not offer the event"},
      {kBroadwell, 0, EACCES, 3, "perf_event_paranoid is 3"},
      {kBroadwell, 0, EACCES, 4, "perf_event_paranoid is 4"},
      {kBroadwell, 0, EPERM, 1, "seccomp"},
      {kBroadwell, 0, EACCES, std::nullopt, "perf_event_paranoid is unreadable"},
      {kBroadwell, 0, ENOSYS, 2, "no perf_event_open"},
      {kBroadwell, 0, EMFILE, 2, "2 descriptors, one a thread, and 1024 files may be open"},
      {kBroadwell, EBUSY, 0, 2, "another program"},
  };
  for (const auto& refused : kCases) {
    FakePmu pmu;
    pmu.cpuinfo = refused.cpuinfo;
    pmu.hardware_error = refused.hardware_error;
    pmu.any_error = refused.any_error;
    pmu.paranoid = refused.paranoid;
    Counters counters(2, pmu.System());
    EXPECT_FALSE(counters.Has(CounterQuantity::kFlops));
    EXPECT_THAT(counters.no_flops_because(), HasSubstr(refused.says));
    EXPECT_THAT(counters.unavailable().front().reason, HasSubstr(refused.says));
    counters.Start();
    EXPECT_FALSE(counters.Stop().flops.has_value());
  }
}

TEST(Counters, OfHaswellHaveNoFlopsAndSaySo) {
  FakePmu pmu;
  pmu.cpuinfo = "vendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 60\n";
  Counters counters(1, pmu.System());
  EXPECT_FALSE(counters.Has(CounterQuantity::kFlops));
  EXPECT_TRUE(counters.Has(CounterQuantity::kInstructions));
  EXPECT_THAT(counters.no_flops_because(), HasSubstr("Haswell has no event"));
}

TEST(TrustCheck, BelievesOnlyWhatMeetsAKernelOfKnownFlops) {
  FakePmu pmu;
  Counters wrong(1, pmu.System());
  EXPECT_FALSE(CheckCounters(wrong).passed());
  pmu.step = static_cast<uint64_t>(FmaChainsFlops(1'000'000)) / (1 + 4 + 8);
  Counters right(1, pmu.System());
  const TrustCheck check = CheckCounters(right);
  EXPECT_TRUE(check.passed());
  EXPECT_EQ(check.executed, FmaChainsFlops(1'000'000));
}

TEST(Counters, ReadSoftwareEventsForReal) {
  omp_set_num_threads(2);
  Counters counters(2);
  if (!counters.Has(CounterQuantity::kTaskClockNs)) {
    GTEST_SKIP() << "software events are refused here: " << counters.unavailable().back().reason;
  }
  constexpr std::size_t kPages = 200;
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  counters.Start();
#pragma omp parallel num_threads(2)
  {
    void* memory =
        mmap(nullptr, kPages * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    madvise(memory, kPages * page, MADV_NOHUGEPAGE);
    for (std::size_t i = 0; i < kPages; ++i) static_cast<volatile char*>(memory)[i * page] = 1;
    munmap(memory, kPages * page);
  }
  const CounterFigures figures = counters.Stop();
  EXPECT_GE(*figures.page_faults, 2 * kPages);  // both threads are counted
  EXPECT_GT(*figures.task_clock_ns, 0);
}

TEST(Counters, ReadTheTimeStampCounterWhereItsPmuIs) {
  std::ifstream file("/sys/bus/event_source/devices/msr/type");
  perf_event_attr attributes{};
  attributes.size = sizeof(attributes);
  if (!(file >> attributes.type)) GTEST_SKIP() << "no msr PMU here";
  attributes.config = 0;  // tsc
  attributes.read_format =
      PERF_FORMAT_GROUP | PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING;
  const CounterSystem system = LinuxCounters();
  const int descriptor = system.open(attributes, -1);
  if (descriptor < 0) GTEST_SKIP() << "the msr PMU refuses: " << std::strerror(-descriptor);
  const auto first = system.read(descriptor), second = system.read(descriptor);
  system.close(descriptor);
  ASSERT_TRUE(first && second);
  EXPECT_GT(second->values[0], first->values[0]);
  EXPECT_FALSE(system.read(descriptor).has_value());
}

}  // namespace
}  // namespace flopledger
