// What is drawn of ledgers that were made for it: rooflines, repetitions, comparisons, sweeps.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/analysis/report/made_ledgers.h"

namespace flopledger {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

TEST(Report, SeveralRunsAreHeldAgainstTheFirst) {
  NamedLedger slower = MakeLedger(3);
  slower.name = "slower.json";
  for (Record& row : slower.ledger.rows) row.time_s = 2 * *row.time_s;
  slower.ledger.rows[1].predicted_flops = 7;  // no ratio of seconds says anything here
  slower.ledger.rows[2].op = "only_here";
  NamedLedger first = MakeLedger(3);
  first.ledger.environment.machine.cpu = "one";
  slower.ledger.environment.machine.cpu = "another";
  const std::vector<NamedLedger> both{first, slower};
  const std::string html = ToHtml(both);
  EXPECT_THAT(Unbalanced(html), IsEmpty());
  EXPECT_THAT(html, HasSubstr("2 runs compared"));
  EXPECT_THAT(html, HasSubstr("Different machines or builds"));
  EXPECT_THAT(html, HasSubstr("<td class=\"n\" data-v=\"2\">2.000</td>"));
  EXPECT_THAT(html, HasSubstr("other work"));
  EXPECT_THAT(html, HasSubstr("not in this run"));
  EXPECT_EQ(CountOf(html, "<details>"), 2U);
  EXPECT_THAT(ToMarkdown(both), HasSubstr("2 runs compared"));
}

TEST(Report, ALedgerOfSeveralBackendsIsAComparisonOfThem) {
  NamedLedger several = MakeLedger(2);
  several.ledger.environment.extrapolation =
      ExtrapolationFacts{.layers_run = 1, .pass = {1.5, 1, 2}};
  for (Record row : MakeLedger(2).ledger.rows) {
    row.matmul = "eigen";
    row.time_s = 2 * *row.time_s;
    several.ledger.rows.push_back(row);
  }
  const auto ledgers = ByPoint({&several, 1});
  ASSERT_EQ(ledgers.size(), 2U);
  EXPECT_EQ(ledgers[0].name, "tiny.json, packed");
  EXPECT_EQ(ledgers[1].name, "tiny.json, eigen");
  EXPECT_EQ(ReportView(ledgers[0]).pass_s, 0.04);
  EXPECT_EQ(ReportView(ledgers[1]).pass_s, 0.08);
  EXPECT_TRUE(ledgers[0].ledger.environment.extrapolation.has_value());
  EXPECT_FALSE(ledgers[1].ledger.environment.extrapolation.has_value());
  EXPECT_THAT(Html(several), HasSubstr("2 points"));
  EXPECT_THAT(Html(several), HasSubstr("--matmul packed,eigen --attention"));
  EXPECT_THAT(Markdown(several), HasSubstr("2 runs compared"));
}

TEST(Report, WithoutMemoryRoofsItSaysHowToGetThemAndDrawsNoHalfOfAChart) {
  NamedLedger named = MakeLedger(2);
  named.ledger.rows[0].time_s = 0.009;  // above the peak
  named.ledger.rows[0].time_mad_s = 0;
  const std::string html = Html(named);
  EXPECT_THAT(html, Not(HasSubstr("<svg class=\"roofline\"")));
  EXPECT_THAT(html, HasSubstr("<code>flopledger calibrate</code>"));
  EXPECT_EQ(CountOf(html, "<div class=\"rate\">"), 2U);
  EXPECT_THAT(html, HasSubstr(" error\" style=\"width:100.00%\""));
  EXPECT_THAT(html, HasSubstr("style=\"width:45.00%\""));  // 50 GFLOP/s on a line to 111
  const std::string whole = Html(Calibrated(MakeLedger(2)));
  EXPECT_THAT(whole, HasSubstr("<svg class=\"roofline\""));
  EXPECT_THAT(whole, Not(HasSubstr("flopledger calibrate")));
}

TEST(Report, RepetitionsAreDotsAndThePeakDrifts) {
  const std::string html = Html(Repeated(MakeLedger(2)));
  EXPECT_EQ(CountOf(html, "<circle class=\"point whole\""), 2U * 6);  // for two widths of screen
  EXPECT_THAT(html, HasSubstr("repetition 2: 44 ms (0.044 s), +10.0 % of the median"));
  EXPECT_THAT(html, HasSubstr("moved by -10.0 % from the first repetition to the last (100.0 to "
                              "90.0 GFLOP/s), and lay between 90.0 and 100.0"));
  EXPECT_THAT(html, HasSubstr("title=\"repetition 3: 19 ms, -5.0 %\""));
  EXPECT_THAT(html, Not(HasSubstr("doubtful\"")));
  EXPECT_THAT(Html(MakeLedger(2)), HasSubstr("the ledger has no repetitions of the whole pass"));
}

TEST(Report, DisturbedRepetitionsAreMarked) {
  NamedLedger named = Repeated(MakeLedger(2));
  auto& disturbances = named.ledger.environment.disturbances;
  disturbances = {{"packed", 2, "stolen time", true}, {"eigen", 3, "of another backend", false}};
  EXPECT_THAT(Html(named),
              HasSubstr("repetition 2 was disturbed, and measured again: stolen time"));
  EXPECT_THAT(Html(named), Not(HasSubstr("<path class=\"point doubtful\"")));
  EXPECT_THAT(Html(named), Not(HasSubstr("of another backend")));

  disturbances[0].replaced = false;
  named.ledger.rows.back().disturbed = "1 of 3 repetitions: stolen time";
  const std::string html = Html(named);
  EXPECT_EQ(CountOf(html, "<path class=\"point doubtful\""), 2U);
  EXPECT_THAT(html, HasSubstr("+10.0 % of the median; disturbed: stolen time"));
  EXPECT_EQ(CountOf(html, "<i class=\"doubtful\""), 3U);  // two operations and the pass
  EXPECT_THAT(html, HasSubstr("Disturbed: do not rely on these times"));
  EXPECT_THAT(html, Not(HasSubstr("checks passed")));
}

TEST(Report, AComparisonHasTheVerdictsOfCompareWithTheirIntervals) {
  NamedLedger first = Repeated(MakeLedger(3)), other = Repeated(MakeLedger(3));
  for (Record& row : other.ledger.rows) {
    row.run_id = "tiny-2";
    if (row.op != "op0") continue;
    for (double& seconds : row.samples_s) seconds *= 4;
  }
  other.ledger.rows[1].predicted_flops = 7;
  std::vector<NamedLedger> both{first, other};
  std::string html = ToHtml(both);
  EXPECT_THAT(Unbalanced(html), IsEmpty());
  EXPECT_THAT(html, HasSubstr("B against A: <span class=\"decision fail\">FAIL</span>"));
  EXPECT_EQ(CountOf(html, "<div class=\"ratio fail\""), 2U);  // four times as long; other FLOPs
  EXPECT_EQ(CountOf(html, "<div class=\"ratio open\""), 2U);  // the third, and the total
  EXPECT_THAT(html, HasSubstr("title=\"4.000, between 2."));
  EXPECT_THAT(html, HasSubstr("predicted_flops 1,000,000,000 → 7"));

  for (Record& row : both[1].ledger.rows) row.threads = 1;
  html = ToHtml(both);
  EXPECT_THAT(html, HasSubstr("<span class=\"decision apart\">NOT COMPARABLE</span>"));
  EXPECT_THAT(html, HasSubstr("not comparable: threads: A 2, B 1"));
  EXPECT_THAT(html, Not(HasSubstr("<div class=\"ratio")));

  for (Record& row : both[1].ledger.rows) row.threads = 2, row.ranks = 4;
  EXPECT_THAT(ToHtml(both), HasSubstr("not comparable: ranks: A 1, B 4"));
}

TEST(Report, ASweepIsDrawnAgainstWhatChanges) {
  NamedLedger sweep = MakeLedger(2);
  const auto point = sweep.ledger.rows;
  sweep.ledger.rows.clear();
  for (const int64_t context : {64, 128, 256}) {
    for (const int64_t threads : {1, 2}) {
      for (Record row : point) {
        row.context = context;
        row.threads = threads;
        row.time_s = 1e-3 * static_cast<double>(context / threads);
        sweep.ledger.rows.push_back(row);
      }
    }
  }
  // Whose of the six points this was, the ledger does not say.
  sweep.ledger.environment.disturbances = {{"packed", 1, "of some point", true}};
  const std::string html = Html(sweep);
  EXPECT_THAT(html, Not(HasSubstr("of some point")));
  EXPECT_THAT(Unbalanced(html), IsEmpty());
  EXPECT_THAT(html, HasSubstr("6 points"));
  EXPECT_THAT(html, HasSubstr("Against context"));
  EXPECT_THAT(html, HasSubstr("</i>threads 1</li>"));
  EXPECT_THAT(html, HasSubstr("context 256, threads 2: 128 ms (0.128 s)"));
  EXPECT_THAT(html, HasSubstr("context 64, threads 1: 50 % of the FMA peak"));
  EXPECT_EQ(CountOf(html, "<circle class=\"point s2\""), 2U * 2 * 3);  // charts, widths, points
  EXPECT_THAT(html, HasSubstr("--context 64,128,256 --batch 1 --threads 1,2 --matmul"));
}

TEST(Roofline, DotsStandAtWhatWasExecuted) {
  NamedLedger named = MakeLedger(2);
  Record& attention = named.ledger.rows[0];
  attention.kind = "attention";
  attention.predicted_flops = 4'000'000'000;  // the mask spares three quarters: 200 GFLOP/s
  const Roofline roofline = MakeRoofline(named.ledger);
  ASSERT_EQ(roofline.dots.size(), 2U);
  EXPECT_DOUBLE_EQ(roofline.dots[0].flops_per_s, 50e9);
  EXPECT_DOUBLE_EQ(roofline.dots[0].intensity, 100);
  EXPECT_DOUBLE_EQ(roofline.dots[0].share, 0.5);
  EXPECT_FALSE(roofline.dots[0].above_roof);
  EXPECT_LT(*roofline.dots[0].slowest, 50e9);
  EXPECT_GT(*roofline.dots[0].fastest, 50e9);

  attention.executed_flops.reset();  // then what was counted
  EXPECT_EQ(MakeRoofline(named.ledger).dots[0].basis, FlopsBasis::kMeasured);
  attention.flops_source = "untrusted";  // else the prediction, which cannot judge attention
  const RooflineDot predicted = MakeRoofline(named.ledger).dots[0];
  EXPECT_EQ(predicted.basis, FlopsBasis::kPredicted);
  EXPECT_GT(predicted.flops_per_s, *predicted.roof_flops_per_s);
  EXPECT_FALSE(predicted.above_roof);
}

TEST(Roofline, ADotAboveTheFmaPeakIsAnError) {
  NamedLedger named = MakeLedger(2);
  named.ledger.rows[0].time_s = 0.0095;  // 105 GFLOP/s
  named.ledger.rows[0].time_mad_s = 0.00001;
  EXPECT_TRUE(MakeRoofline(named.ledger).dots[0].above_roof);
  EXPECT_FALSE(MakeRoofline(named.ledger).dots[1].above_roof);
  const std::string html = Html(named);
  EXPECT_THAT(html, HasSubstr("A check failed"));
  EXPECT_THAT(html, HasSubstr("op0 (105.3 GFLOP/s under a roof of 100.0, FMA peak) is above"));
  EXPECT_THAT(Markdown(named), HasSubstr("**error**"));
  named.ledger.rows[0].time_mad_s = 0.001;  // within its own spread it may be below
  EXPECT_FALSE(MakeRoofline(named.ledger).dots[0].above_roof);
}

TEST(Roofline, ASlopeHoldsWhatTheCacheInsideOfItCannotHold) {
  NamedLedger named = MakeLedger(1);
  const Ceilings one{.threads = 1,
                     .fma_flops_per_s = {},
                     .bandwidth = {{"memory", std::nullopt, {1, 1}, {1, 1}}},
                     .product_flops_per_s = {},
                     .fork_join_s = {},
                     .exp_s = {},
                     .clock_hz = {},
                     .theoretical_flops_per_s = {}};
  Ceilings two = one;
  two.threads = 2;
  two.bandwidth = {{"L3", 4'000'000, {1e12, 1}, {1, 1}},
                   {"memory", std::nullopt, {1e8, 1}, {1, 1}}};
  two.theoretical_flops_per_s = Measured{1.25e11, 0};
  named.ledger.environment.calibration = CalibrationFacts{
      .taken = "", .ceilings = {one, two}, .scaled_to = {}, .total_by_the_peak_alone_s = {}};
  // One execution moves 5 MB, of which 4 MB may lie in L3: at least 1 MB comes from memory, which
  // takes 10 ms; its 0.5 GFLOP cannot be faster than 50 GFLOP/s.
  Roofline roofline = MakeRoofline(named.ledger);
  ASSERT_EQ(roofline.bandwidth.size(), 2U);
  EXPECT_EQ(roofline.dots[0].roof, "memory");
  EXPECT_DOUBLE_EQ(*roofline.dots[0].roof_flops_per_s, 50e9);
  EXPECT_FALSE(roofline.dots[0].above_roof);
  EXPECT_DOUBLE_EQ(*roofline.Ridge(), 1000);
  EXPECT_THAT(Html(named), HasSubstr("ridge 1e+03"));
  EXPECT_EQ(roofline.theoretical_flops_per_s, 1.25e11);
  EXPECT_THAT(Html(named), HasSubstr("theoretical 125 GFLOP/s"));

  named.ledger.rows[0].time_s = 0.018;
  named.ledger.rows[0].time_mad_s = 0;
  EXPECT_TRUE(MakeRoofline(named.ledger).dots[0].above_roof);
  // What fits inside is held by the peak alone.
  named.ledger.rows[0].bytes = 8'000'000;
  EXPECT_EQ(MakeRoofline(named.ledger).dots[0].roof, "FMA peak");
}

TEST(Report, SeveralRanksHaveNoMemoryRoofOfOne) {
  NamedLedger named = Calibrated(MakeLedger(1));
  EXPECT_EQ(MakeRoofline(named.ledger).bandwidth.size(), 2U);
  for (Record& row : named.ledger.rows) row.ranks = 2;
  const Roofline roofline = MakeRoofline(named.ledger);
  EXPECT_THAT(roofline.bandwidth, IsEmpty());
  EXPECT_EQ(roofline.dots[0].roof, "FMA peak");
  EXPECT_THAT(
      Html(named),
      HasSubstr("Memory roof unavailable: several ranks: bandwidths were calibrated for one.</p>"));
}

}  // namespace
}  // namespace flopledger
