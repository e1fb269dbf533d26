// Ceilings that cannot be true, by figures that are given.
#include "analysis/prediction/contradictions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "analysis/prediction/predict.h"

namespace flopledger {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<Ceilings> Sound() {
  std::vector<Ceilings> all;
  for (const int64_t threads : {1, 2}) {
    const auto n = static_cast<double>(threads);
    Ceilings ceilings;
    ceilings.threads = threads;
    ceilings.fma_flops_per_s = {{"512-bit", {176e9 * n, 1e9}}, {"256-bit", {176e9 * n, 1e9}}};
    ceilings.bandwidth = {{"L1", 32 << 10, {300e9, 1e9}, {200e9, 1e9}},
                          {"L2", 1 << 20, {150e9, 1e9}, {90e9, 1e9}},
                          {"memory", std::nullopt, {20e9, 1e9}, {18e9, 1e9}}};
    ceilings.product_flops_per_s = {150e9 * n, 1e9};
    ceilings.fork_join_s = {1e-6, 1e-7};
    ceilings.exp_s = {2e-10, 0};
    ceilings.clock_hz = Measured{2.75e9, 1e6};
    ceilings.theoretical_flops_per_s = Measured{176e9 * n, 1e6};
    ceilings.thread_spread = 0.01;
    all.push_back(ceilings);
  }
  return all;
}

std::vector<std::string> With(const std::function<void(Ceilings&)>& change) {
  std::vector<Ceilings> all = Sound();
  change(all.back());
  return Contradictions(all);
}

TEST(Contradictions, AreNoneAmongSoundCeilings) {
  EXPECT_THAT(Contradictions(Sound()), IsEmpty());
  EXPECT_THAT(With([](Ceilings& c) { c.clock_hz.reset(); }), IsEmpty());
}

TEST(Contradictions, NameALevelThatIsFasterThanTheOneAbove) {
  EXPECT_THAT(With([](Ceilings& c) {
                c.bandwidth[0].read = {140e9, 1e9};
              }),
              ElementsAre("2 threads: L2 reads 150.0 GB/s, more than the 140.0 of L1"));
  EXPECT_THAT(With([](Ceilings& c) {
                c.bandwidth[2].read = {160e9, 1e9};
              }),
              ElementsAre(HasSubstr("memory reads 160.0 GB/s, more than the 150.0 of L2")));
  // Within what both are spread by, they are equal.
  EXPECT_THAT(With([](Ceilings& c) { c.bandwidth[0].read = {148.5e9, 1e9}; }), IsEmpty());
}

TEST(Contradictions, NameEachCeilingOfTooWideASpread) {
  const auto wide = [](Measured& measured) { measured.mad = 0.21 * measured.median; };
  EXPECT_THAT(With([&](Ceilings& c) { wide(c.fork_join_s); }),
              ElementsAre("2 threads: fork and join is spread by 21.0 % of its median"));
  EXPECT_THAT(With([&](Ceilings& c) { wide(c.fma_flops_per_s[1].value); }),
              ElementsAre(HasSubstr("the FMA peak (256-bit)")));
  EXPECT_THAT(With([&](Ceilings& c) { wide(c.bandwidth[1].triad); }),
              ElementsAre(HasSubstr("L2 triad")));
  EXPECT_THAT(With([&](Ceilings& c) { wide(c.product_flops_per_s); }),
              ElementsAre(HasSubstr("reference GEMM")));
  EXPECT_THAT(With([&](Ceilings& c) { wide(c.exp_s); }), ElementsAre(HasSubstr("exponential")));
  EXPECT_THAT(With([&](Ceilings& c) { wide(*c.clock_hz); }), ElementsAre(HasSubstr("clock")));
  EXPECT_THAT(With([&](Ceilings& c) { c.exp_s.mad = 0.19 * c.exp_s.median; }), IsEmpty());
}

TEST(Contradictions, NameThreadsThatDiffer) {
  EXPECT_THAT(With([](Ceilings& c) { c.thread_spread = 0.21; }),
              ElementsAre("2 threads: their FMA peaks differ by 21 %"));
  EXPECT_THAT(With([](Ceilings& c) { c.thread_spread = 0.19; }), IsEmpty());
}

TEST(Contradictions, NameADriftThatIsTooLarge) {
  EXPECT_THAT(With([](Ceilings& c) { c.product_drift = 0.21; }),
              ElementsAre("2 threads: the reference GEMM drifted by 21 % meanwhile"));
  EXPECT_THAT(With([](Ceilings& c) { c.product_drift = 0.19; }), IsEmpty());
}

TEST(Contradictions, NameAPeakFarBelowTheoryOrBelowThatOfFewerThreads) {
  const auto with_peak = [](double peak, double theory) {
    return With([=](Ceilings& c) {
      c.fma_flops_per_s[0].value.median = peak;
      c.theoretical_flops_per_s = Measured{theory, 0};
    });
  };
  EXPECT_THAT(with_peak(176e9, 352e9), IsEmpty());  // two hyperthreads of one core
  EXPECT_THAT(with_peak(176e9, 450e9), ElementsAre(HasSubstr("is 39 % of the 450.0")));
  EXPECT_THAT(with_peak(139e9, 200e9), ElementsAre(HasSubstr("is below the 176.0 of fewer")));
  EXPECT_THAT(with_peak(142e9, 200e9), IsEmpty());
}

TEST(DoubtsAboutPeak, AreSaidOfWhatIsStoredAllTheSame) {
  EXPECT_THAT(DoubtsAboutPeak(100, 100, 0.09), IsEmpty());
  EXPECT_THAT(DoubtsAboutPeak(104, 100, std::nullopt), IsEmpty());
  EXPECT_THAT(DoubtsAboutPeak(106, 100, std::nullopt), ElementsAre(HasSubstr("above")));
  EXPECT_THAT(DoubtsAboutPeak(1e12, std::nullopt, 0.11), ElementsAre(HasSubstr("differ by 11 %")));
}

TEST(DriftOf, IsWhatPartsOfASessionDifferByAndNotTheSpreadWithin) {
  const auto speeds = [](int n, const std::function<double(int)>& rate_at) {
    std::vector<MachineSpeed> all;
    for (int i = 0; i < n; ++i) {
      const double peak = 100 + i % 7;  // what the peak does besides is divided out
      all.push_back({.peak_flops_per_s = peak, .product_flops_per_s = peak * rate_at(i)});
    }
    return all;
  };
  EXPECT_FALSE(DriftOf(speeds(3, [](int) { return 1.0; })).has_value());
  EXPECT_NEAR(*DriftOf(speeds(80, [](int) { return 0.8; })), 0, 1e-12);
  EXPECT_NEAR(*DriftOf(speeds(80, [](int i) { return i % 10 < 3 ? 0.5 : 0.8; })), 0, 1e-12);
  // Eight medians, by turns 0.99 and 1.01: s = 0.02·√(2/7), t(7; 0.975) = 2.3646.
  const double expected = 2.3646 * 0.02 * std::sqrt(2.0 / 7) * std::sqrt(1 + 1.0 / 8);
  const auto by_turns = speeds(80, [](int i) { return i / 10 % 2 == 0 ? 0.99 : 1.01; });
  EXPECT_NEAR(*DriftOf(by_turns), expected, 1e-5);
}

TEST(CalibratedDrift, IsThatOfTheThreadsOrTheLargest) {
  Calibration calibration;
  calibration.ceilings = Sound();
  EXPECT_FALSE(CalibratedDrift(calibration, 1).has_value());
  calibration.ceilings[0].product_drift = 0.05;
  calibration.ceilings[1].product_drift = 0.01;
  EXPECT_EQ(CalibratedDrift(calibration, 2), 0.01);
  EXPECT_EQ(CalibratedDrift(calibration, 8), 0.05);
}

}  // namespace
}  // namespace flopledger
