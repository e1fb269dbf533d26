// Ctrl-C: what is said at once, what ends, and what is left. A child of the test is interrupted in
// a state that is waited for.
#include "bench/machine/interrupt.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "bench/machine/files.h"
#include "bench/machine/pass_progress.h"
#include "tests/support/child_program.h"

namespace flopledger {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(Interrupt, IsAnsweredAtOnceAndTheSecondEndsTheProgram) {
  const TemporaryFolder folder;
  Child child(folder, [] {
    const InterruptGuard guard;
    dprintf(2, "ready");
    while (true) pause();
    return 0;
  });
  ASSERT_TRUE(child.Says("ready"));
  child.Interrupt();
  ASSERT_TRUE(child.Says("flopledger: stopping after this operation"));
  child.Interrupt();
  EXPECT_EQ(child.Wait(), -SIGINT);
}

TEST(Interrupt, TheSecondWaitsWhereThereIsSomethingToClearAway) {
  const TemporaryFolder folder;
  Child child(folder, [] {
    const InterruptGuard guard(/*second_ends_program=*/false);
    dprintf(2, "ready");
    while (!interrupted_again) pause();
    return 3;
  });
  ASSERT_TRUE(child.Says("ready"));
  child.Interrupt();
  ASSERT_TRUE(child.Says("flopledger: stopping; "));
  child.Interrupt();
  EXPECT_EQ(child.Wait(), 3);
}

TEST(Interrupt, IsIgnoredWhereAnotherRankDecides) {
  const TemporaryFolder folder;
  Child child(folder, [] {
    {
      const IgnoredInterrupts ignored;
      raise(SIGINT);
      raise(SIGHUP);
      dprintf(2, "goes on");
    }
    while (true) pause();
    return 0;
  });
  ASSERT_TRUE(child.Says("goes on"));
  child.Interrupt();
  EXPECT_EQ(child.Wait(), -SIGINT);
}

TEST(Interrupt, NoPartOfAFileIsLeft) {
  const TemporaryFolder folder;
  Child child(folder, [&] {
    const InterruptGuard guard;
    // A pipe under the temporary name: writing goes no further than its reader.
    mkfifo(fmt::format("{}.{}.tmp", folder.path("out.csv"), getpid()).c_str(), 0666);
    WriteWhole(folder.path("out.csv"), std::string(1 << 20, 'x'));
    return 0;
  });
  const std::string part = fmt::format("{}.{}.tmp", folder.path("out.csv"), child.pid());
  ASSERT_TRUE(ComesTrue([&] { return std::filesystem::exists(part); }));
  const int reader = open(part.c_str(), O_RDONLY);  // returns once the child has opened it too
  child.Interrupt();
  ASSERT_TRUE(child.Says("stopping"));
  EXPECT_TRUE(std::filesystem::exists(part));
  child.Interrupt();
  EXPECT_EQ(child.Wait(), -SIGINT);
  close(reader);
  EXPECT_THAT(folder.Files(), Not(Contains(HasSubstr("out.csv"))));
}

TEST(Interrupt, EndsTheFillingOfWeights) {
  std::ostream nowhere(nullptr);
  Progress silent(nowhere, false);
  const auto after_tensor = FillingProgress(silent, "filling");
  after_tensor(0.5);
  interrupted = true;
  EXPECT_THROW(after_tensor(0.6), Interrupted);
  interrupted = false;
}

TEST(Progress, SaysHowMuchIsLeftOnceItKnows) {
  WorkLeft left;
  EXPECT_EQ(left.ToText(), "");
  left.Start(100);
  EXPECT_EQ(left.ToText(0.5), "");
  left.Add(100);
  EXPECT_EQ(left.ToText(), fmt::format("about {} left", "0 s"));
  EXPECT_EQ(left.ToText(50), left.ToText());  // more than was foreseen
}

TEST(Progress, AppearsOnATerminalAlone) {
  std::ostringstream terminal, file;
  {
    Progress shown(terminal, true), silent(file, false);
    for (Progress* each : {&shown, &silent})
      each->Show("repetition 2 of 3: " + std::string(500, 'x'));
  }
  EXPECT_THAT(terminal.str(), HasSubstr("\r\x1b[Krepetition 2 of 3: x"));
  EXPECT_LT(terminal.str().size(), 300U) << "a line that wraps cannot be taken back";
  EXPECT_EQ(file.str(), "");
}

}  // namespace
}  // namespace flopledger
