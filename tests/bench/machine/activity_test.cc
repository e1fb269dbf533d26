// What else runs on our processors, from a /proc that is made here, and of this very system.
#include "bench/machine/activity.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "bench/machine/limits.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/wait.h"

namespace flopledger {
namespace {

TEST(ReadProcessorTime, OfTheseProcessorsWithoutWhatIsIdleOrWaits) {
  const TemporaryFolder root;
  std::filesystem::create_directories(root.path("proc"));
  // user nice system idle iowait irq softirq steal guest
  root.Write("proc/stat",
             "cpu  1111 0 0 0 0 0 0 0 0\n"
             "cpu0 100 20 30 9000 800 4 5 60 1\n"
             "cpu1 1000 200 300 9000 800 40 50 7 1\n"
             "cpu10 5 0 0 9000 0 0 0 0 0\n"
             "intr 77 0\n");
  const KernelFiles files(root.path());
  const auto ticks_per_s = static_cast<double>(sysconf(_SC_CLK_TCK));
  const auto time = [&](double busy, double stolen) {
    return ProcessorTime{busy / ticks_per_s, stolen / ticks_per_s};
  };
  EXPECT_EQ(ReadProcessorTime(files, {0}), time(159, 60));
  EXPECT_EQ(ReadProcessorTime(files, {0, 1}), time(1749, 67));
  EXPECT_EQ(ReadProcessorTime(files, {10}), time(5, 0));
  EXPECT_EQ(ReadProcessorTime(files, {0, 2}), std::nullopt);
  EXPECT_EQ(ReadProcessorTime(KernelFiles(root.path("nowhere")), {0}), std::nullopt);
}

TEST(ActivityWatch, SeesAnotherProcessAndNotItself) {
  if (!ReadProcessorTime(KernelFiles(), InitialAffinity())) GTEST_SKIP() << "no /proc/stat here";
  const ActivityWatch watch;
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  while (child == 0) __asm__ volatile("");  // busy until it is killed; a loop of nothing is none
  EXPECT_TRUE(ComesTrue([&] { return watch.Stop().others_s.value_or(0) > 0.2; }));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_GT(watch.Stop().seconds, 0);
}

}  // namespace
}  // namespace flopledger
