// Where a row that fails spends its time.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bench/gate/profile.h"
#include "tests/bench/gate/gate_fixture.h"

namespace flopledger {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(FoldStacks, PutsTheRootFirstAndCountsEqualStacks) {
  EXPECT_EQ(
      FoldStacks("bench 12 1.5: 1 cpu-clock:\n\t  aa leaf(int)+0x1f (/a b/c)\n\t  bb main+0x2 "
                 "(/x)\n\nbench 12 1.6: 1 cpu-clock:\n\t  aa leaf(int)+0x2f (/a b/c)\n\t  bb "
                 "main+0x2 (/x)\n\nbench 12 1.7: 1 cpu-clock:\n\t  cc [unknown] (/y)\n\n"),
      "bench;[unknown] 1\nbench;main;leaf(int) 2\n");
  EXPECT_EQ(FoldStacks(""), "");
  EXPECT_EQ(FoldStacks("   \nbench 1 1.5: 1 x:\n\t  aa leaf+0x1 (/x)\n  \n"), "bench;leaf 1\n");
}

TEST_F(Gate, ProfileLeavesFoldedStacksOfBothBinaries) {
  std::filesystem::create_directory(folder_.path("bin"));
  folder_.Write("bin/perf",
                "#!/bin/sh\nif [ $1 = script ]; then echo 'a warning' >&2\n"
                "printf 'bench 1 1.5: 1 cpu-clock:\\n\\t  aa leaf+0x1 (/x)\\n\\n'; fi\n");
  std::filesystem::permissions(folder_.path("bin/perf"), std::filesystem::perms::owner_all);
  const std::string path = std::getenv("PATH");
  setenv("PATH", (folder_.path("bin") + ":" + path).c_str(), 1);
  const auto lines = ProfileRows(Settings({}, {}), {"row/1"}, folder_.path());
  setenv("PATH", path.c_str(), 1);
  EXPECT_THAT(lines, ElementsAre(HasSubstr("wrote"), HasSubstr("wrote")));
  for (const char* side : {"baseline", "candidate"}) {
    EXPECT_EQ(ReadFile(folder_.path(fmt::format("row_1.{}.folded", side))), "bench;leaf 1\n");
  }
}

TEST_F(Gate, ProfileSaysWhyThereIsNone) {
  const std::string path = std::getenv("PATH");
  setenv("PATH", folder_.path().c_str(), 1);
  const auto lines = ProfileRows(Settings({}, {}), {"row"}, folder_.path());
  setenv("PATH", path.c_str(), 1);
  ASSERT_EQ(lines.size(), 2);
  EXPECT_THAT(lines[0], HasSubstr("unavailable for row (baseline): perf: cannot be started"));
}

}  // namespace
}  // namespace flopledger
