// Limits on processors and memory, from trees of /proc and /sys that are made here.
#include "bench/machine/limits.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "tests/support/temporary_folder.h"

namespace flopledger {
namespace {

/// A root of a system with files of our own, and variables.
class System {
 public:
  void Write(const std::string& path, const std::string& content) {
    std::filesystem::create_directories(std::filesystem::path(folder_.path() + path).parent_path());
    folder_.Write(path.substr(1), content);
  }
  LimitSources Sources(int64_t affinity,
                       const std::map<std::string, std::string>& variables = {}) const {
    return {.files = files(), .affinity = affinity, .variable = [variables](const char* name) {
              const auto found = variables.find(name);
              return found == variables.end() ? nullptr : found->second.c_str();
            }};
  }
  KernelFiles files() const { return KernelFiles(folder_.path()); }

 private:
  TemporaryFolder folder_;
};

TEST(FindProcessorLimits, AreTheAffinityWhereNothingElseIsSet) {
  const System bare;
  for (const int64_t processors : {1, 2, 192}) {
    const ProcessorLimits found = FindProcessorLimits(bare.Sources(processors));
    EXPECT_EQ(found.Decisive().processors, processors);
    EXPECT_EQ(found.Decisive().name, "the affinity of the process");
  }
}

TEST(FindProcessorLimits, TheMachineDecidesWhereTheAffinityHasAllOfIt) {
  const System bare;
  LimitSources sources = bare.Sources(8);
  sources.online = 8;
  EXPECT_EQ(FindProcessorLimits(sources).Decisive().name, "the machine's processors");
  sources.affinity = 7;
  EXPECT_EQ(FindProcessorLimits(sources).Decisive().name, "the affinity of the process");
}

TEST(FindProcessorLimits, TheQuotaOfEachControlGroupUpToTheRootCounts) {
  System system;  // version 2: 2 CPUs of quota on 64
  system.Write("/proc/self/cgroup", "0::/outer/inner\n");
  system.Write("/sys/fs/cgroup/outer/inner/cpu.max", "max 100000\n");
  EXPECT_EQ(FindProcessorLimits(system.Sources(64)).Decisive().processors, 64);
  system.Write("/sys/fs/cgroup/outer/cpu.max", "250000 100000\n");
  EXPECT_EQ(FindProcessorLimits(system.Sources(64)).Decisive().processors, 2);
  EXPECT_EQ(FindProcessorLimits(system.Sources(64)).Decisive().name,
            "the control group's CPU quota");
  EXPECT_EQ(FindProcessorLimits(system.Sources(1)).Decisive().processors, 1);
  system.Write("/sys/fs/cgroup/outer/inner/cpu.max", "50000 100000\n");  // half of one
  EXPECT_EQ(FindProcessorLimits(system.Sources(64)).Decisive().processors, 1);
}

TEST(ThrottledSeconds, AreThoseOfTheGroupThatWaitedLongest) {
  System system;
  EXPECT_EQ(ThrottledSeconds(system.files()), std::nullopt);
  system.Write("/proc/self/cgroup", "0::/outer/inner\n");
  system.Write("/sys/fs/cgroup/outer/inner/cpu.stat", "usage_usec 9\nthrottled_usec 1500000\n");
  system.Write("/sys/fs/cgroup/outer/cpu.stat", "usage_usec 9\nthrottled_usec 2500000\n");
  EXPECT_EQ(ThrottledSeconds(system.files()), 2.5);
  system.Write("/proc/self/cgroup", "4:cpu,cpuacct:/docker\n");  // version 1
  system.Write("/sys/fs/cgroup/cpu,cpuacct/docker/cpu.stat",
               "nr_throttled 3\nthrottled_time 500000000\n");
  EXPECT_EQ(ThrottledSeconds(system.files()), 0.5);
}

TEST(FindProcessorLimits, VersionOneIsReadToo) {
  System system;
  system.Write("/proc/self/cgroup", "4:cpu,cpuacct:/docker/1\n3:cpuset:/\n0::/\n");
  const std::string group = "/sys/fs/cgroup/cpu,cpuacct";  // /docker/1 lies outside of the mount
  system.Write(group + "/cpu.cfs_quota_us", "-1\n");
  system.Write(group + "/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(FindProcessorLimits(system.Sources(64)).Decisive().processors, 64);
  system.Write(group + "/cpu.cfs_quota_us", "300000\n");
  EXPECT_EQ(FindProcessorLimits(system.Sources(64)).Decisive().processors, 3);
}

TEST(FindProcessorLimits, OpenMpsVariablesCountWhereOpenMpTakesThem) {
  const System bare;
  const auto processors = [&](const char* name, const char* value) {
    return FindProcessorLimits(bare.Sources(8, {{name, value}})).Decisive().processors;
  };
  EXPECT_EQ(processors("OMP_NUM_THREADS", "1"), 1);
  EXPECT_EQ(processors("OMP_NUM_THREADS", "4,2"), 4);
  EXPECT_EQ(processors("OMP_NUM_THREADS", " 3 "), 3);
  EXPECT_EQ(processors("OMP_NUM_THREADS", "16"), 8);
  EXPECT_EQ(processors("OMP_THREAD_LIMIT", "2"), 2);
  for (const char* ignored : {"", "0", "-1", "two", "2x"}) {
    EXPECT_EQ(processors("OMP_NUM_THREADS", ignored), 8) << ignored;
  }
  EXPECT_EQ(FindProcessorLimits(bare.Sources(8, {{"OMP_NUM_THREADS", "1"}})).Decisive().name,
            "OMP_NUM_THREADS");
}

TEST(ControlGroupBytes, PageCacheIsNotTaken) {
  System system;
  EXPECT_EQ(ControlGroupBytes(system.files()), std::nullopt);
  system.Write("/proc/self/cgroup", "0::/group\n");
  system.Write("/sys/fs/cgroup/group/memory.max", "max\n");
  system.Write("/sys/fs/cgroup/group/memory.current", "500\n");
  EXPECT_EQ(ControlGroupBytes(system.files()), std::nullopt);
  system.Write("/sys/fs/cgroup/group/memory.max", "1000\n");
  EXPECT_EQ(ControlGroupBytes(system.files()), 500);
  system.Write("/sys/fs/cgroup/group/memory.stat",
               "anon 100\nfile 400\ninactive_file 300\nactive_file 50\n");
  EXPECT_EQ(ControlGroupBytes(system.files()), 850);
}

TEST(ControlGroupBytes, TheTightestOfAllGroupsUpToTheRootDecides) {
  System system;
  system.Write("/proc/self/cgroup", "0::/outer/inner\n");
  const auto write = [&](const std::string& group, const char* most, const char* used) {
    system.Write("/sys/fs/cgroup/" + group + "/memory.max", most);
    system.Write("/sys/fs/cgroup/" + group + "/memory.current", used);
  };
  write("outer/inner", "1000\n", "100\n");
  write("outer", "500\n", "200\n");
  EXPECT_EQ(ControlGroupBytes(system.files()), 300);
  write("outer", "5000\n", "200\n");
  EXPECT_EQ(ControlGroupBytes(system.files()), 900);
}

TEST(ControlGroupBytes, VersionOneIsReadToo) {
  System system;
  system.Write("/proc/self/cgroup", "4:memory:/a/b\n0::/\n");
  const std::string outer = "/sys/fs/cgroup/memory/a/", inner = outer + "b/";
  system.Write(inner + "memory.limit_in_bytes", "9223372036854771712\n");
  system.Write(inner + "memory.usage_in_bytes", "10\n");
  EXPECT_EQ(ControlGroupBytes(system.files()), std::nullopt);
  system.Write(outer + "memory.limit_in_bytes", "1000\n");
  system.Write(outer + "memory.usage_in_bytes", "700\n");
  system.Write(outer + "memory.stat",
               "inactive_file 1\ntotal_inactive_file 200\ntotal_active_file 100\n");
  EXPECT_EQ(ControlGroupBytes(system.files()), 600);
}

}  // namespace
}  // namespace flopledger
