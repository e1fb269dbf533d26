// Rates of teams and the buffers that they are measured on: sums on rates that are given, sizes on
// machines that are not here, and one real team, of which no time is asserted.
#include <gtest/gtest.h>

#include <atomic>

#include "bench/calibration/speed.h"
#include "bench/calibration/streams.h"
#include "bench/calibration/team_buffer.h"
#include "bench/calibration/team_rate.h"
#include "kernels/bandwidth.h"

namespace flopledger {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;

TEST(SumOfRates, IsTheSumAndTheSpreadOfThreads) {
  const std::vector<ThreadRate> equal(4, {.per_s = 50});
  EXPECT_EQ(SumOfRates(equal), (TeamRate{.per_s = 200, .fastest_per_s = 50, .spread = 0}));
  const std::vector<ThreadRate> one_is_held_up{{.per_s = 100}, {.per_s = 75}, {.per_s = 100}};
  EXPECT_EQ(SumOfRates(one_is_held_up),
            (TeamRate{.per_s = 275, .fastest_per_s = 100, .spread = 0.25}));
}

TEST(SumOfRates, KeepsTheKindsOfCoresApart) {
  std::vector<ThreadRate> rates(8, {.per_s = 100});
  for (int i = 0; i < 16; ++i) rates.push_back({.per_s = 40, .on_efficiency_core = true});
  rates.push_back({.per_s = 36, .on_efficiency_core = true});
  const TeamRate team = SumOfRates(rates);
  EXPECT_DOUBLE_EQ(team.per_s, 800 + 640 + 36);
  EXPECT_EQ(team.performance_core_per_s, 100);
  EXPECT_EQ(team.efficiency_core_per_s, 40);
  EXPECT_DOUBLE_EQ(team.spread, 0.1);  // not 0.64: the kinds differ by nature
  const TeamRate efficiency_only = SumOfRates(std::vector<ThreadRate>(2, {40, true}));
  EXPECT_FALSE(efficiency_only.performance_core_per_s.has_value());
  EXPECT_FALSE(efficiency_only.efficiency_core_per_s.has_value());
}

TEST(SumOfRates, KeepsTheFastestThreads) {
  EXPECT_EQ(SumOfRates(std::vector<ThreadRate>{{.per_s = 75}, {.per_s = 100}, {.per_s = 50}})
                .fastest_per_s,
            100);
}

TEST(CalmRounds, AreThoseNearTheBestPeak) {
  std::vector<TeamRate> peaks;
  for (const double peak : {91.0, 100.0, 93.0, 50.0, 92.5}) peaks.push_back({.per_s = peak});
  EXPECT_EQ(CalmRounds(peaks), (std::vector<std::size_t>{1, 2, 4}));
  EXPECT_EQ(CalmRounds(std::span(peaks).first(1)), (std::vector<std::size_t>{0}));
}

TEST(RunTogether, CallsEachThreadsWorkAtLeastSoOften) {
  std::atomic<int> calls[3] = {};
  const TeamRate rate = RunTogether(3, 0, 5, [&](int thread) {
    ++calls[thread];
    return 0.0f;
  });
  for (const auto& of_thread : calls) EXPECT_EQ(of_thread, 5);
  EXPECT_GT(rate.per_s, 0);
}

TEST(RunTogether, RefusesATeamOfAnotherSize) {
  const int before = omp_get_max_active_levels();
  omp_set_max_active_levels(1);
  bool refused = false;
#pragma omp parallel num_threads(2)
#pragma omp single
  try {  // a region inside of another has one thread
    RunTogether(2, 0, 1, [](int) { return 0.0f; });
  } catch (const Fault&) {
    refused = true;
  }
  omp_set_max_active_levels(before);
  EXPECT_TRUE(refused);
}

TEST(DramBufferFor, IsFourTimesEveryCacheInReach) {
  const std::vector<TeamCache> genoa{{1, 0, 96 * 32 * 1024}, {2, 0, 96 * kMiB}, {3, 0, 384 * kMiB}};
  EXPECT_EQ(DramBufferFor(genoa, 64 * 1024 * kMiB), (DramBuffer{4 * 384 * kMiB, false}));
  EXPECT_EQ(DramBufferFor(genoa, std::nullopt), (DramBuffer{4 * 384 * kMiB, false}));
  // The second level is the larger one where the last is shared by few.
  EXPECT_EQ(DramBufferFor({{2, 0, 112 * kMiB}, {3, 0, 105 * kMiB}}, std::nullopt).bytes,
            448 * kMiB);
  EXPECT_EQ(DramBufferFor({}, std::nullopt), (DramBuffer{64 * kMiB, false}));
}

TEST(DramBufferFor, SaysWhereMemoryBoundsIt) {
  const std::vector<TeamCache> caches{{3, 0, 384 * kMiB}};
  EXPECT_EQ(DramBufferFor(caches, 4096 * kMiB), (DramBuffer{1024 * kMiB, true}));
  EXPECT_EQ(DramBufferFor(caches, 4 * 1536 * kMiB), (DramBuffer{1536 * kMiB, false}));
  EXPECT_EQ(DramBufferFor(caches, kMiB), (DramBuffer{32 * kMiB, true}));
}

TEST(TeamBuffer, HoldsDifferentNumbersInEqualShares) {
  TeamBuffer buffer(3, 3 * 4096);
  EXPECT_EQ(buffer.share() % kStreamStep, 0);
  EXPECT_GE(3 * buffer.share() * 4, 3 * 4096);
  EXPECT_EQ(buffer.of(2), buffer.data() + 2 * buffer.share());
  double sum = 0;
  for (int64_t i = 0; i < 3 * buffer.share(); ++i) {
    ASSERT_GE(buffer.data()[i], -0.5f);
    ASSERT_LT(buffer.data()[i], 0.5f);
    sum += buffer.data()[i];
  }
  EXPECT_NE(buffer.data()[0], buffer.data()[1]);
  EXPECT_NEAR(sum / static_cast<double>(3 * buffer.share()), 0, 0.05);
}

TEST(Streams, TouchTheFloatsThatTheyCount) {
  constexpr int64_t kThird = 2 * kStreamStep;
  TeamBuffer buffer(2, 2 * 4 * kThird * static_cast<int64_t>(sizeof(float)));
  EXPECT_GT(ReadRate(buffer, 3 * kThird, 0), 0);
  const float b = buffer.of(1)[2 * kThird - 1], c = buffer.of(1)[3 * kThird - 1];
  const float beyond = buffer.of(1)[3 * kThird];
  EXPECT_GT(TriadRate(buffer, 3 * kThird, 0), 0);
  EXPECT_FLOAT_EQ(buffer.of(1)[kThird - 1], b + 0.5f * c);
  EXPECT_EQ(buffer.of(1)[2 * kThird - 1], b);
  EXPECT_EQ(buffer.of(1)[3 * kThird], beyond);
}

/// What a call says to move a second, times the seconds that it took.
template <class Rate>
double MovedAtThatRate(Rate&& rate) {
  const auto start = Clock::now();
  const double per_s = rate();
  return per_s * SecondsSince(start);
}

// The rate is that of a part of the call's time, so that at this rate the call would have moved at
// least what it moved in that part. However busy the machine is: it is no bound on a time.
TEST(Streams, RatesAreOfEveryByte) {
  constexpr double kMoved = 2 * 96 * kMiB;  // two threads
  TeamBuffer buffer(2, 2 * 96 * kMiB);
  EXPECT_GE(MovedAtThatRate([&] { return ReadRate(buffer, buffer.share(), 0); }), kMoved);
  EXPECT_GE(MovedAtThatRate([&] { return TriadRate(buffer, buffer.share(), 0); }), kMoved);
  // A stream of 2 KiB is gone through until 2 MiB are read.
  EXPECT_GE(MovedAtThatRate([&] { return ReadRate(buffer, 2 * kStreamStep, 0); }), 2 * 2 * kMiB);
}

TEST(SpeedProbe, RatesAreOfEveryByteAndEveryProduct) {
  SpeedProbe probe(2);
  constexpr int64_t kFloatsOfCall = 1 << 19;  // what is left of a share is not read
  const int64_t floats = 2 * (probe.memory().share() / kFloatsOfCall * kFloatsOfCall);
  EXPECT_GE(MovedAtThatRate([&] { return probe.MeasureRead(); }), 4.0 * floats);
  // Eight products of [256, 1024] and [1024, 1024].
  EXPECT_GE(MovedAtThatRate([&] { return probe.MeasureProduct(); }), 8 * 2.0 * 256 * 1024 * 1024);
}

}  // namespace
}  // namespace flopledger
