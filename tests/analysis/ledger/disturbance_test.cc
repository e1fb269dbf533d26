// What makes a repetition doubtful, and what does not.
#include "analysis/ledger/disturbance.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace flopledger {
namespace {

using ::testing::HasSubstr;

constexpr TeamFacts kTwoOfTwo{.threads = 2, .processors = 2, .calibrated_flops_per_s = {}};

Trial WithPeaks(double before, double after) {
  Trial trial;
  trial.passes = 1;
  trial.peak_before_flops_per_s = before;
  trial.peak_after_flops_per_s = after;
  return trial;
}

TEST(WhyDisturbed, NamesWhatTookTheProcessors) {
  EXPECT_EQ(
      WhyDisturbed({.seconds = 10, .stolen_s = 0.05, .others_s = 0.5, .involuntary_switches = 900},
                   kTwoOfTwo),
      "");
  EXPECT_EQ(WhyDisturbed({.seconds = 10, .stolen_s = 0.2}, kTwoOfTwo),
            "the hypervisor withheld 0.20 s of processor time in 10.00 s");
  EXPECT_EQ(WhyDisturbed({.seconds = 10, .others_s = 1.2}, kTwoOfTwo),
            "other processes took 1.20 s of processor time in 10.00 s");
  EXPECT_EQ(WhyDisturbed({.seconds = 10, .throttled_s = 0.09}, kTwoOfTwo), "");
  EXPECT_EQ(WhyDisturbed({.seconds = 10, .throttled_s = 0.5}, kTwoOfTwo),
            "the CPU quota of its control group held it up for 0.50 s in 10.00 s");
  EXPECT_EQ(WhyDisturbed({.seconds = 10, .involuntary_switches = 1100}, kTwoOfTwo),
            "its threads were driven off their processors 1100 times in 10.00 s");
}

TEST(WhyDisturbed, OthersMayHaveTheProcessorsThatNoThreadNeeds) {
  const SystemActivity activity{.seconds = 10, .others_s = 60};
  const TeamFacts eight_of_16{.threads = 8, .processors = 16, .calibrated_flops_per_s = {}};
  const TeamFacts eleven_of_16{.threads = 11, .processors = 16, .calibrated_flops_per_s = {}};
  EXPECT_EQ(WhyDisturbed(activity, eight_of_16), "");
  EXPECT_THAT(WhyDisturbed(activity, eleven_of_16), HasSubstr("other processes took 60.00 s"));
}

TEST(WhyDisturbed, TicksOfTheClockAreNotToldFromNothing) {
  EXPECT_EQ(WhyDisturbed(
                {.seconds = 0.05, .stolen_s = 0.02, .others_s = 0.02, .involuntary_switches = 15},
                kTwoOfTwo),
            "");
}

TEST(MarkDisturbed, APeakThatMovesOrLiesLow) {
  std::vector<Trial> trials = {WithPeaks(100, 100), WithPeaks(100, 94), WithPeaks(94, 94),
                               WithPeaks(96, 96)};
  MarkDisturbed(trials, kTwoOfTwo);
  EXPECT_EQ(trials[0].disturbed, "");
  EXPECT_THAT(trials[1].disturbed, HasSubstr("changed by -6.0 %"));
  EXPECT_THAT(trials[2].disturbed, HasSubstr("6.0 % below the best of this run"));
  EXPECT_EQ(trials[3].disturbed, "");

  TeamFacts calibrated = kTwoOfTwo;
  calibrated.calibrated_flops_per_s = 108;
  MarkDisturbed(trials, calibrated);
  EXPECT_EQ(trials[0].disturbed, "");
  EXPECT_THAT(trials[3].disturbed, HasSubstr("11.1 % below the calibrated one"));
}

TEST(MarkDisturbed, WhatTheSystemDidComesFirstAndOldMarksGo) {
  std::vector<Trial> trials = {WithPeaks(100, 100), WithPeaks(50, 50)};
  trials[0].disturbed = "an old mark";
  trials[1].activity = {.seconds = 1, .stolen_s = 0.5};
  MarkDisturbed(trials, kTwoOfTwo);
  EXPECT_EQ(trials[0].disturbed, "");
  EXPECT_THAT(trials[1].disturbed, HasSubstr("hypervisor"));
}

TEST(DisturbancesOf, ThoseThatStayAndThoseThatWereTimedAgain) {
  std::vector<Trial> trials = {WithPeaks(1, 1), WithPeaks(1, 1), WithPeaks(1, 1)};
  trials[1].replaces = "load";
  trials[2].replaces = "load";
  trials[2].disturbed = "stolen time";
  EXPECT_THAT(DisturbancesOf(trials, "packed"),
              ::testing::ElementsAre(Disturbance{"packed", 2, "load", true},
                                     Disturbance{"packed", 3, "stolen time", false}));
}

}  // namespace
}  // namespace flopledger
