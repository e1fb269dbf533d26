// Who took processors meanwhile, from a /proc that is made here.
#include "bench/machine/busy_processes.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "tests/support/temporary_folder.h"

namespace flopledger {
namespace {

TEST(BusyProcesses, AreThoseThatTookAProcessorMeanwhile) {
  const TemporaryFolder folder;
  const auto ticks = sysconf(_SC_CLK_TCK);
  const auto write = [&](int id, const char* name, double user_s, double system_s) {
    std::filesystem::create_directories(folder.path(fmt::format("proc/{}", id)));
    folder.Write(
        fmt::format("proc/{}/stat", id),
        fmt::format("{} ({}) R 1 2 3 4 5 6 7 8 9 10 {:.0f} {:.0f} 99 99\n", id, name,
                    user_s * static_cast<double>(ticks), system_s * static_cast<double>(ticks)));
  };
  const KernelFiles files(folder.path());
  EXPECT_TRUE(ReadProcessTimes(files).empty());
  write(10, "idle", 500, 500);
  write(11, "a (strange) name", 1, 1);
  write(12, "flopledger", 0, 0);
  folder.Write("proc/stat", "cpu 1 2 3\n");
  const ProcessTimes before = ReadProcessTimes(files);
  EXPECT_EQ(before.size(), 3U);
  write(11, "a (strange) name", 4, 2);
  write(12, "flopledger", 10, 0);
  write(13, "new", 8, 0);
  write(14, "small", 0.4, 0);
  const auto busy = BusyBetween(before, ReadProcessTimes(files), 10, 12);
  ASSERT_EQ(busy.size(), 2U);
  EXPECT_EQ(busy[0].name, "new");
  EXPECT_EQ(busy[1].name, "a (strange) name");
  EXPECT_EQ(busy[1].id, 11);
  EXPECT_DOUBLE_EQ(busy[1].processor_s, 4);
}

TEST(BusyProcesses, OfThisSystemHoldThisProcess) {
  EXPECT_TRUE(ReadProcessTimes().contains(getpid()));
}

}  // namespace
}  // namespace flopledger
