// Ctrl-C to the whole program, in a state that is waited for: exit code 3, and files that are
// whole.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "bench/cli/cli.h"
#include "tests/bench/cli/command_line.h"
#include "tests/support/child_program.h"
#include "tests/support/ledger_csv.h"

namespace flopledger {
namespace {

using ::testing::Contains;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(CommandLine, ARunThatIsInterruptedLeavesTheRepetitionsThatFinished) {
  const std::string csv = folder_.path("out.csv");
  Child child(folder_, FLOPLEDGER_PROGRAM,
              {"run", tiny_, "-t", "1", "--count", "off", "-r", "2000", "--benchmark_min_time=0.05",
               "--csv", csv});
  ASSERT_TRUE(ComesTrue([&] { return std::filesystem::exists(csv); })) << child.err();
  child.Interrupt();
  ASSERT_TRUE(child.Says("flopledger: stopping after this operation")) << child.err();
  EXPECT_EQ(child.Wait(), kNoAnswer);
  EXPECT_THAT(child.err(), HasSubstr("interrupted: the ledger holds the"));
  const auto rows = RecordsFromCsv(ReadFile(csv), csv);
  EXPECT_EQ(rows.back().op, "total");
  EXPECT_LT(rows.back().repetitions, 2000);
  EXPECT_THAT(folder_.Files(), Not(Contains(EndsWith(".tmp"))));
}

TEST_F(CommandLine, ACalibrationThatIsInterruptedIsNone) {
  const std::string out = folder_.path("calibration.json");
  Child child(folder_, FLOPLEDGER_PROGRAM, {"calibrate", "--quick", "--out", out});
  ASSERT_TRUE(child.Says("calibrating: ")) << child.err();
  child.Interrupt();
  ASSERT_TRUE(child.Says("stopping after this operation"));
  EXPECT_EQ(child.Wait(), kNoAnswer);
  EXPECT_THAT(child.err(), HasSubstr("interrupted: nothing was calibrated"));
  EXPECT_EQ(child.out(), "");
  EXPECT_THAT(folder_.Files(), Not(Contains(HasSubstr("calibration.json"))));
}

}  // namespace
}  // namespace flopledger
