// The gate's decisions and their error rates: on made samples with a fixed seed, nothing is timed.
#include "analysis/regression/compare.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <random>

#include "analysis/regression/gate_schedule.h"
#include "analysis/text/stats.h"

namespace flopledger {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

/// n log ratios with exactly this mean and standard deviation.
std::vector<double> Samples(int n, double mean, double sigma) {
  std::vector<double> samples;
  const double step = sigma * std::sqrt((n - 1.0) / n);
  for (int i = 0; i < n; ++i) samples.push_back(mean + (i % 2 == 0 ? step : -step));
  return samples;
}

TEST(StudentInterval, HasTheWidthOfPublishedTables) {
  const auto samples = Samples(10, 5, 2);
  EXPECT_NEAR(Mean(samples), 5, 1e-12);
  EXPECT_NEAR(StandardDeviation(samples), 2, 1e-12);
  const Interval interval = StudentInterval(samples, 0.99);
  EXPECT_NEAR(interval.upper - 5, 3.249836 * 2 / std::sqrt(10), 1e-5);  // t(9; 0.995), from tables
  EXPECT_NEAR(interval.lower + interval.upper, 10, 1e-12);
  EXPECT_THROW(StudentInterval(std::vector<double>{1}, 0.99), std::logic_error);
}

TEST(PowerFactor, IsThatOfTheDesign) {
  // The design's figures were simulated: they are good to about 0.01.
  EXPECT_NEAR(PowerFactor(10, 0.99, 0.9), 1.51, 0.015);
  EXPECT_NEAR(PowerFactor(15, 0.99, 0.9), 1.13, 0.015);
  EXPECT_NEAR(PowerFactor(20, 0.99, 0.9), 0.94, 0.015);
  EXPECT_NEAR(PowerFactor(30, 0.99, 0.9), 0.76, 0.015);
}

TEST(Explain, IsTheSentenceOfTheDesign) {
  const RatioEstimate estimate = EstimateRatio(Samples(10, std::log(1.021), 0.039), 0.99);
  const GateRule rule{.budget = 0.03};
  const Decision decision = Decide(estimate, rule.budget);
  EXPECT_EQ(Explain("ffn", decision, estimate, rule),
            "INCONCLUSIVE ffn: B/A 1.021 [0.981, 1.063] (99 %, 10 blocks). Budget 1.03 lies "
            "inside. sigma 3.9 %; this run catches +8.9 % or more with 90 % power; about 60 blocks "
            "for +5 %.");
}

TEST(Decide, HoldsTheWholeIntervalAgainstTheBudget) {
  const auto decide = [](double lower, double upper) {
    return Decide({.blocks = 10, .lower = lower, .upper = upper}, 0.05);
  };
  EXPECT_EQ(decide(0.9, 1.05), Decision::kPass);
  EXPECT_EQ(decide(0.9, 1.0501), Decision::kInconclusive);
  EXPECT_EQ(decide(1.05, 1.2), Decision::kInconclusive);
  EXPECT_EQ(decide(1.0501, 1.2), Decision::kFail);
  // Half the rate is a slowdown of 2, and the same interval of a time is none.
  const RatioEstimate half{.ratio = 0.5, .lower = 0.48, .upper = 0.52, .higher_is_better = true};
  EXPECT_EQ(Decide(half, 0.05), Decision::kFail);
  EXPECT_EQ(Decide(Inverse(half), 0.05), Decision::kFail);
  EXPECT_NEAR(Inverse(half).upper, 1 / 0.48, 1e-12);
}

TEST(Overall, FailOutranksNotComparableOutranksInconclusive) {
  using D = Decision;
  const auto overall = [](std::vector<D> rows, bool allow_missing = false) {
    return Overall(rows, allow_missing);
  };
  EXPECT_EQ(overall({D::kPass, D::kNotComparable, D::kMissing, D::kFail}), D::kFail);
  EXPECT_EQ(overall({D::kPass, D::kNotComparable, D::kInconclusive}), D::kNotComparable);
  EXPECT_EQ(overall({D::kPass, D::kInconclusive, D::kNew}), D::kInconclusive);
  EXPECT_EQ(overall({D::kPass, D::kNew, D::kSkipped}), D::kPass);
  EXPECT_EQ(overall({D::kPass, D::kMissing}), D::kNotComparable);
  EXPECT_EQ(overall({D::kPass, D::kMissing}, true), D::kPass);
  // Never green without a row that was compared.
  EXPECT_EQ(overall({}), D::kNotComparable);
  EXPECT_EQ(overall({D::kNew, D::kSkipped}), D::kNotComparable);
  EXPECT_EQ(overall({D::kMissing}, true), D::kNotComparable);
}

TEST(BlocksNeeded, IsAbsentWhereNoNumberSuffices) {
  const GateRule rule;
  EXPECT_FALSE(BlocksNeeded(0.02, 0.05, rule).has_value());  // within the budget
  EXPECT_FALSE(BlocksNeeded(5.0, 0.06, rule).has_value());   // far beyond ten thousand
  EXPECT_EQ(BlocksNeeded(0.0, 0.06, rule), 2);
  const int needed = BlocksNeeded(0.02, 0.07, rule).value();
  EXPECT_LE(SmallestCaught(0.02, needed, rule), 0.07);
  EXPECT_GT(SmallestCaught(0.02, needed - 1, rule), 0.07);
}

/// Feeds a schedule until it is decided: value(candidate) gives a slot's seconds.
template <class Value>
void RunSchedule(GateSchedule& schedule, Value&& value) {
  while (const auto request = schedule.Next()) {
    SlotResult result;
    for (const std::size_t row : request->rows) result.costs.push_back(value(*request, row));
    schedule.Feed(result);
  }
}

TEST(GateSchedule, BlocksAreAbbaOrBaabAndTheSeedDrawsThem) {
  std::string order, again;
  for (std::string* text : {&order, &again}) {
    GateSchedule schedule({.first_blocks = 10, .most_blocks = 10}, {"row"}, 7);
    RunSchedule(schedule, [&](const SlotRequest& request, std::size_t) {
      *text += request.candidate ? 'B' : 'A';
      if (request.slot == 3) *text += ' ';
      return request.block % 2 == 0 ? 1.0 : 1.1;
    });
  }
  EXPECT_EQ(order, again);
  EXPECT_THAT(order, HasSubstr("ABBA "));
  EXPECT_THAT(order, HasSubstr("BAAB "));
  EXPECT_THAT(order, ::testing::MatchesRegex("(ABBA |BAAB )+"));
}

TEST(GateSchedule, EveryRowGoesAsFarAsItNeeds) {
  // Row 0 passes at 10, row 1 fails at 10 and again on 10 fresh ones, row 2 is never clear, row 3
  // fails on its first 10 blocks only: that is not confirmed, and 30 blocks do not make it clear.
  GateSchedule schedule({}, {"passes", "fails", "noisy", "once"}, 1);
  RunSchedule(schedule, [](const SlotRequest& request, std::size_t row) {
    if (!request.candidate || row == 0) return 1.0;
    if (row == 1) return 1.2;
    if (row == 3) return request.block < 10 ? 1.2 : 1.0;
    return request.block % 2 == 0 ? 1.5 : 0.7;
  });
  const auto& rows = schedule.rows();
  EXPECT_EQ(rows[0].decision, Decision::kPass);
  EXPECT_EQ(rows[0].blocks.size(), 10);
  EXPECT_EQ(rows[1].decision, Decision::kFail);
  EXPECT_EQ(rows[1].blocks.size(), 10);
  EXPECT_EQ(rows[1].fresh.size(), 10);
  EXPECT_THAT(ExplainRow(rows[1], {}), HasSubstr("Budget 1.05 lies below. Again on 10 fresh"));
  EXPECT_EQ(rows[2].decision, Decision::kInconclusive);
  EXPECT_EQ(rows[2].blocks.size(), 30);
  EXPECT_EQ(rows[3].decision, Decision::kInconclusive);
  EXPECT_EQ(rows[3].blocks.size(), 30);
  EXPECT_EQ(schedule.blocks_done(), 30);
}

TEST(GateSchedule, FailOnThirtyBlocksMustComeAgainOnThirtyFreshOnes) {
  GateSchedule schedule({}, {"row"}, 1);
  RunSchedule(schedule, [](const SlotRequest& request, std::size_t) {
    if (!request.candidate) return 1.0;
    if (request.block < 30) return request.block % 2 == 0 ? 1.14 : 1.03;
    return request.block % 2 == 0 ? 1.2 : 0.9;
  });
  EXPECT_EQ(schedule.blocks_done(), 60);
  EXPECT_EQ(schedule.rows()[0].decision, Decision::kInconclusive);
  EXPECT_THAT(ExplainRow(schedule.rows()[0], {}), HasSubstr("Not confirmed on 30 fresh blocks"));
}

TEST(GateSchedule, DriftThatIsLinearCancelsInABlock) {
  GateSchedule schedule({}, {"row"}, 1);
  double drift = 1;
  RunSchedule(schedule, [&](const SlotRequest&, std::size_t) { return drift *= 1.01; });
  for (const BlockRatio& block : schedule.rows()[0].blocks) EXPECT_NEAR(block.cost, 0, 1e-12);
  EXPECT_EQ(schedule.rows()[0].decision, Decision::kPass);
}

TEST(GateSchedule, MovedSentinelWidensTheIntervalThenDecides) {
  const auto run = [](double ratio, double moved) {
    GateSchedule schedule({.first_blocks = 3, .most_blocks = 5}, {"row"}, 1);
    while (const auto request = schedule.Next()) {
      schedule.Feed({.costs = {request->candidate ? ratio : 1.0},
                     .sentinel = request->candidate ? moved : 1.0});
    }
    return schedule.rows()[0];
  };
  for (const double moved : {1.03, 1.0 / 1.03}) {
    const GateRow slow = run(3, moved), slower = run(1.06, moved), same = run(1.04, moved);
    EXPECT_EQ(slow.decision, Decision::kFail);
    EXPECT_NEAR(EstimateOf(slow.blocks, {})->lower, 3 / 1.03, 1e-9);
    EXPECT_NEAR(EstimateOf(slow.blocks, {})->upper, 3 * 1.03, 1e-9);
    EXPECT_THAT(ExplainRow(slow, {}), HasSubstr("interval is widened by as much"));
    EXPECT_EQ(slower.decision, Decision::kInconclusive);  // FAIL without it
    EXPECT_EQ(slower.blocks.size(), 5);
    EXPECT_EQ(same.decision, Decision::kInconclusive);  // PASS without it
    EXPECT_EQ(run(1.01, moved).decision, Decision::kPass);
  }
  const GateRow within = run(1.06, 1.01);  // within the sentinel's limit
  EXPECT_EQ(within.decision, Decision::kFail);
  EXPECT_THAT(ExplainRow(within, {}), Not(HasSubstr("widened")));
}

TEST(GateSchedule, RowWithoutACostBreaksOffAndTheOthersGoOn) {
  GateSchedule schedule({.first_blocks = 3, .most_blocks = 3}, {"breaks", "goes on"}, 1);
  while (const auto request = schedule.Next()) {
    SlotResult result;
    for (const std::size_t row : request->rows) {
      const bool breaks = row == 0 && request->block == 1 && request->slot == 2;
      result.costs.push_back(breaks ? std::nullopt : std::optional(1.0));
    }
    schedule.Feed(result);
  }
  EXPECT_TRUE(schedule.rows()[0].broke_off);
  EXPECT_EQ(schedule.rows()[0].decision, Decision::kNotComparable);
  EXPECT_EQ(schedule.rows()[0].blocks.size(), 1);
  EXPECT_EQ(schedule.rows()[1].decision, Decision::kPass);
}

TEST(GateSchedule, RatesAreExplainedInTheirOwnTerms) {
  GateSchedule schedule({.first_blocks = 3, .most_blocks = 3}, {"row"}, 1);
  RunSchedule(schedule, [](const SlotRequest& request, std::size_t) {
    return request.candidate ? 2.0 : 1.0;  // the cost, 1 / rate
  });
  EXPECT_THAT(ExplainRow(schedule.rows()[0], {}, /*higher_is_better=*/true),
              HasSubstr("B/A 0.500 [0.500, 0.500] (99 %, 3 blocks). Budget 0.9524 lies above."));
}

TEST(GateSchedule, UnfinishedRowsAreInconclusiveWithWhatTheyHave) {
  GateSchedule schedule({}, {"row"}, 1);
  EXPECT_EQ(ExplainRow(schedule.rows()[0], {}),
            "INCONCLUSIVE row: 0 finished blocks; an interval needs two.");
  for (int slot = 0; slot < 14; ++slot) {
    schedule.Feed({.costs = {slot % 3 == 0 ? 1.0 : 1.01}, .sentinel = {}});
  }
  EXPECT_EQ(schedule.rows()[0].decision, Decision::kInconclusive);
  EXPECT_THAT(ExplainRow(schedule.rows()[0], {}), HasSubstr("3 blocks"));
}

// --- Error rates -------------------------------------------------------------------------------

using Random = std::mt19937_64;

/// Noise of one run after the other, as the logarithm of a factor.
using Noise = std::function<double(Random&)>;

/// A fresh source of noise for each gate, with the standard deviation 2 % of a quiet runner.
struct NoiseModel {
  const char* name;
  bool independent;  // from run to run
  std::function<Noise()> make;
};

std::vector<NoiseModel> NoiseModels() {
  using Normal = std::normal_distribution<double>;
  return {
      {"normal", true, [] { return [](Random& random) { return Normal(0, 0.02)(random); }; }},
      {"10 % outliers", true,
       [] {
         return [](Random& random) {
           const bool outlier = std::bernoulli_distribution(0.1)(random);
           return Normal(0, 0.02)(random) +
                  (outlier ? std::exponential_distribution<double>(10)(random) : 0);
         };
       }},
      {"linear drift", true,
       [] {
         return [drift = 0.0](Random& random) mutable {
           return (drift += 0.005) + Normal(0, 0.02)(random);
         };
       }},
      {"AR(1), 0.8", false,
       [] {
         return [level = 0.0](Random& random) mutable {
           return level = 0.8 * level + Normal(0, 0.02)(random);
         };
       }},
  };
}

struct Rates {
  double pass = 0, fail = 0, suspected = 0, covered = 0;
};

/// Gates of a candidate that is slower by `true_ratio`, on a machine that favours it: beside it the
/// same code takes `favour` of its time.
Rates Simulate(const NoiseModel& model, double true_ratio, int gates, const GateRule& rule,
               double favour = 1) {
  Random random(20261124);
  Rates rates;
  for (int gate = 0; gate < gates; ++gate) {
    GateSchedule schedule(rule, {"row"}, random());
    Noise noise = model.make();
    bool first_look_done = false;
    while (const auto request = schedule.Next()) {
      const double ratio = request->candidate ? true_ratio * favour : 1.0;
      schedule.Feed({.costs = {ratio * std::exp(noise(random))},
                     .sentinel = request->candidate ? 1 / favour : 1.0});
      if (first_look_done || schedule.blocks_done() < rule.first_blocks) continue;
      first_look_done = true;
      const GateRow& row = schedule.rows()[0];
      const RatioEstimate first = *EstimateOf(row.blocks, rule);
      rates.covered += first.lower <= true_ratio && true_ratio <= first.upper;
      rates.suspected += row.phase == RowPhase::kConfirm;
    }
    rates.pass += schedule.rows()[0].decision == Decision::kPass;
    rates.fail += schedule.rows()[0].decision == Decision::kFail;
  }
  for (double* rate : {&rates.pass, &rates.fail, &rates.suspected, &rates.covered}) *rate /= gates;
  return rates;
}

void Print(const char* what, const Rates& rates) {
  fmt::print(
      "{:<44} PASS {:6.2f} %  FAIL {:6.2f} %  INCONCLUSIVE {:6.2f} %  FAIL at first look {:5.2f} "
      "%  interval holds the truth {:6.2f} %\n",
      what, 100 * rates.pass, 100 * rates.fail, 100 * (1 - rates.pass - rates.fail),
      100 * rates.suspected, 100 * rates.covered);
}

TEST(ErrorRates, OfTenThousandGatesOnMadeNoise) {
  const GateRule rule;
  for (const NoiseModel& model : NoiseModels()) {
    SCOPED_TRACE(model.name);
    // The worst case for a false FAIL: a slowdown of exactly the budget, which is to be let pass.
    const Rates at_budget = Simulate(model, 1 + rule.budget, 10'000, rule);
    Print(fmt::format("{}, slower by exactly the budget", model.name).c_str(), at_budget);
    EXPECT_LE(at_budget.fail, 0.01);
    if (model.independent) {
      EXPECT_LE(at_budget.suspected, 0.01);  // before confirmation: half of the interval's 1 %
      EXPECT_GE(at_budget.covered, 0.985);
    }
    const Rates unchanged = Simulate(model, 1, 10'000, rule);
    Print(fmt::format("{}, unchanged", model.name).c_str(), unchanged);
    EXPECT_LE(unchanged.fail, 0.01);
  }
}

TEST(ErrorRates, PowerIsThatOfTheFormula) {
  const GateRule rule;
  const NoiseModel normal = NoiseModels().front();
  // A block's log ratio is half of four runs' noise: its sigma is that of one run.
  constexpr double kSigma = 0.02;
  const double in_logs =
      (1 + rule.budget) *
      std::exp(PowerFactor(rule.first_blocks, rule.confidence, rule.power) * kSigma);
  const Rates exact = Simulate(normal, in_logs, 10'000, rule);
  Print(
      fmt::format("normal, slower by budget·e^(k·sigma) ({})", SignedPercent(in_logs - 1)).c_str(),
      exact);
  EXPECT_NEAR(exact.suspected, rule.power, 0.01);
  // budget + k·sigma, which is printed, is a little less: the first look alone has less power, the
  // whole gate, which goes on to thirty blocks, has more.
  const double caught = SmallestCaught(kSigma, rule.first_blocks, rule);
  const Rates printed = Simulate(normal, 1 + caught, 10'000, rule);
  Print(fmt::format("normal, slower by budget + k·sigma ({})", SignedPercent(caught)).c_str(),
        printed);
  EXPECT_GE(printed.fail, rule.power);
}

TEST(ErrorRates, OfAMachineThatFavoursOneSideAndASentinelThatSeesIt) {
  const GateRule rule;
  const NoiseModel normal = NoiseModels().front();
  for (const double favour : {0.95, 0.97, 1.03, 1.05}) {
    const Rates at_budget = Simulate(normal, 1 + rule.budget, 10'000, rule, favour);
    Print(fmt::format("favour {:.2f}, slower by exactly the budget", favour).c_str(), at_budget);
    EXPECT_LE(at_budget.fail, 0.01);  // a false alarm
    EXPECT_GE(at_budget.covered, 0.985);
    // Just beyond the budget no PASS may come of a machine that hides it.
    const Rates beyond = Simulate(normal, 1 + rule.budget + 0.001, 10'000, rule, favour);
    EXPECT_LE(beyond.pass, 0.01);
    EXPECT_EQ(Simulate(normal, 3, 200, rule, favour).fail, 1);
  }
}

TEST(ErrorRates, HugeSlowdownAlwaysFails) {
  for (const NoiseModel& model : NoiseModels()) {
    const Rates rates = Simulate(model, 2, 200, {});
    Print(fmt::format("{}, twice as slow", model.name).c_str(), rates);
    EXPECT_EQ(rates.fail, 1) << model.name;
  }
}

}  // namespace
}  // namespace flopledger
