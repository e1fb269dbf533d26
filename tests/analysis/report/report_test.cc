// What a page says of ledgers that were made for it: whole ones, poor ones, hostile ones.
#include "analysis/report/report.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <regex>

#include "analysis/ledger/roofline.h"
#include "analysis/text/markup.h"
#include "tests/support/refusal.h"

namespace flopledger {
namespace {

using ::testing::ContainsRegex;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

/// A product at half of a peak of 100 GFLOP/s: 1 GFLOP in 20 ms on 10 MB.
Record MakeOp(const std::string& name) {
  Record row;
  row.run_id = "tiny-1";
  row.model = "tiny";
  row.context = 64;
  row.batch = 1;
  row.layers_run = row.layers_total = 2;
  row.threads = 2;
  row.matmul = "packed";
  row.attention = "fused";
  row.op = name;
  row.kind = "matmul";
  row.m = row.n = row.k = 64;
  row.count = 2;
  row.convention = "matmul";
  row.predicted_flops = row.executed_flops = row.measured_flops = 1'000'000'000;
  row.flops_source = "counted";
  row.flops_ratio = 1;
  row.time_s = 0.02;
  row.time_mad_s = 0.001;
  row.repetitions = 3;
  row.gflops = 50;
  row.peak_gflops = 100;
  row.pct_peak = 50;
  row.bytes = 10'000'000;
  row.intensity = 100;
  return row;
}

Record MakeTotal(const std::vector<Record>& ops) {
  Record total = ops.front();
  total.op = total.kind = "total";
  const auto size = static_cast<int64_t>(ops.size());
  total.predicted_flops = total.executed_flops = total.measured_flops = size * 1'000'000'000;
  total.time_s = 0.02 * static_cast<double>(size);
  return total;
}

NamedLedger MakeLedger(int ops) {
  NamedLedger named{"tiny.json", {}};
  for (int i = 0; i < ops; ++i) named.ledger.rows.push_back(MakeOp(fmt::format("op{}", i)));
  named.ledger.rows.push_back(MakeTotal(named.ledger.rows));
  return named;
}

/// With the ceilings of a machine: its roofline has slopes.
NamedLedger Calibrated(NamedLedger named) {
  const Ceilings ceilings{
      .threads = 2,
      .fma_flops_per_s = {},
      .bandwidth = {{"L1", 64'000, {8e11, 1}, {1, 1}}, {"memory", std::nullopt, {1e10, 1}, {1, 1}}},
      .product_flops_per_s = {},
      .fork_join_s = {},
      .exp_s = {},
      .clock_hz = {},
      .theoretical_flops_per_s = Measured{1.25e11, 0}};
  named.ledger.environment.calibration = CalibrationFacts{
      .taken = "", .ceilings = {ceilings}, .scaled_to = {}, .total_by_the_peak_alone_s = {}};
  return named;
}

/// With three repetitions of each operation and of the pass.
NamedLedger Repeated(NamedLedger named) {
  for (Record& row : named.ledger.rows) {
    row.samples_s = {*row.time_s, *row.time_s * 1.1, *row.time_s * 0.95};
  }
  named.ledger.rows.back().peak_samples_gflops = {100, 99, 90};
  return named;
}

std::string Html(const NamedLedger& named) { return ToHtml({&named, 1}); }
std::string Markdown(const NamedLedger& named) { return ToMarkdown({&named, 1}); }

std::size_t CountOf(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) {
    ++count;
  }
  return count;
}

/// Names of elements that are not closed in the order in which they were opened; script and style
/// are skipped.
std::vector<std::string> Unbalanced(std::string html) {
  for (const char* raw : {"style", "script"}) {
    const auto begin = html.find(fmt::format("<{}>", raw)),
               end = html.find(fmt::format("</{}>", raw));
    html.erase(begin, end - begin + std::string(raw).size() + 3);
  }
  static const std::regex tag(R"(<(/?)([a-zA-Z0-9]+)((?:[^>"]|"[^"]*")*?)(/?)>)");
  std::vector<std::string> open, wrong;
  for (std::sregex_iterator at(html.begin(), html.end(), tag), end; at != end; ++at) {
    const std::string name = (*at)[2];
    if (name == "meta" || name == "link" || (*at)[4].length() > 0) continue;
    if ((*at)[1].length() == 0) {
      open.push_back(name);
    } else if (!open.empty() && open.back() == name) {
      open.pop_back();
    } else {
      wrong.push_back(name);
    }
  }
  wrong.insert(wrong.end(), open.begin(), open.end());
  return wrong;
}

TEST(Report, OneOperationAndTwoHundred) {
  for (const int ops : {1, 2, 13, 200}) {
    const std::string html = Html(Repeated(Calibrated(MakeLedger(ops))));
    EXPECT_THAT(Unbalanced(html), IsEmpty()) << ops;
    // One for each width of screen; again in the panel of those that take the time, if there is
    // one.
    EXPECT_GE(CountOf(html, "<circle class=\"dot"), 2 * static_cast<std::size_t>(ops));
    EXPECT_LE(CountOf(html, "<circle class=\"dot"), 4 * static_cast<std::size_t>(ops));
    EXPECT_LT(html.size(), 600'000U) << ops;
    EXPECT_THAT(html, Not(HasSubstr("nan"))) << ops;
    EXPECT_THAT(html, Not(HasSubstr("\"inf"))) << ops;
    EXPECT_THAT(Markdown(MakeLedger(ops)), HasSubstr(fmt::format("| op{} |", ops - 1)));
  }
}

TEST(Report, LoadsNothing) {
  const std::string html = Html(MakeLedger(3));
  EXPECT_THAT(html, Not(HasSubstr("://")));
  EXPECT_THAT(html, Not(HasSubstr("src=")));
  EXPECT_THAT(html, Not(HasSubstr("@import")));
  EXPECT_THAT(html, Not(HasSubstr("url(http")));
  EXPECT_THAT(html, HasSubstr("default-src 'none'"));
}

TEST(Report, IsTheSameForTheSameLedger) { EXPECT_EQ(Html(MakeLedger(5)), Html(MakeLedger(5))); }

TEST(Report, WhatWasNotMeasuredIsUnavailableWithItsReason) {
  NamedLedger named = MakeLedger(2);
  for (Record& row : named.ledger.rows) {
    row.measured_flops.reset();
    row.flops_ratio.reset();
    row.flops_source = "none";
    row.flops_note = "nobody looked";
    row.peak_gflops.reset();
    row.pct_peak.reset();
    row.executed_flops.reset();
  }
  for (const std::string& text : {Html(named), Markdown(named)}) {
    EXPECT_THAT(text, HasSubstr("nobody looked"));
    EXPECT_THAT(text, HasSubstr("unavailable"));
    EXPECT_THAT(text, HasSubstr("the run had no calibration"));
    EXPECT_THAT(text, HasSubstr("the FMA peak was not measured"));
    EXPECT_THAT(text, HasSubstr("No check failed"));
  }
  EXPECT_THAT(Html(named), HasSubstr("Memory roof unavailable: not calibrated"));
  EXPECT_THAT(Html(named), HasSubstr("hollow"));

  for (Record& row : named.ledger.rows) {  // not even a time
    row.time_s.reset();
    row.time_mad_s.reset();
    row.gflops.reset();
    row.bytes.reset();
  }
  const std::string html = Html(named);
  EXPECT_THAT(Unbalanced(html), IsEmpty());
  EXPECT_EQ(CountOf(html, "<circle"), 0U);
  EXPECT_THAT(html, HasSubstr("no time was measured"));
  EXPECT_THAT(html, HasSubstr("its time was not measured"));
  EXPECT_THAT(Markdown(named), HasSubstr("no time was measured"));
}

TEST(Report, ALedgerWithoutATotalIsSummedAndSaysSo) {
  NamedLedger named = MakeLedger(3);
  named.ledger.rows.pop_back();
  const std::string html = Html(named);
  EXPECT_THAT(html, HasSubstr("sum of the operations"));
  EXPECT_THAT(html, HasSubstr("60 ms"));
  EXPECT_THAT(html, HasSubstr("the ledger has no row for the whole pass"));
}

TEST(Report, HostileTextIsEscapedEverywhere) {
  const std::string hostile =
      "</script><script>alert(1)</script>\"'><img src=x onerror=alert(2)>&\n`|**[a](b) \u202e";
  NamedLedger named = MakeLedger(2);
  named.name = hostile;
  for (Record& row : named.ledger.rows) {
    row.run_id = row.model = row.matmul = row.attention = row.convention = hostile;
    row.flops_source = row.flops_note = row.bound = hostile;
    row.measured_flops.reset();
  }
  named.ledger.rows[0].op = named.ledger.rows[0].kind = hostile;
  Environment& environment = named.ledger.environment;
  environment.machine.cpu = environment.machine.governor = hostile;
  environment.build.commit = hostile + "-dirty";
  environment.build.compiler = environment.build.flags = hostile;
  environment.settings.model = nlohmann::json{{"name", hostile}}.dump();
  const std::vector<NamedLedger> two{named, MakeLedger(2)};
  for (const std::string& html : {Html(named), ToHtml(two)}) {
    EXPECT_EQ(CountOf(html, "<script"), 1U);
    EXPECT_EQ(CountOf(html, "</script"), 1U);
    EXPECT_EQ(CountOf(html, "<img"), 0U);
    EXPECT_THAT(html, Not(HasSubstr("\u202e")));
    EXPECT_THAT(html, HasSubstr("&lt;img src=x"));
    EXPECT_THAT(Unbalanced(html), IsEmpty());
  }
  const std::string markdown = Markdown(named);
  EXPECT_THAT(markdown, Not(HasSubstr("\u202e")));
  const auto outside_code = markdown.substr(0, markdown.find("<details>"));
  EXPECT_THAT(outside_code, Not(HasSubstr("<script")));
  EXPECT_THAT(outside_code, Not(HasSubstr("[a](b)")));
  // A commit that is no word of a shell's stays one argument of git's.
  EXPECT_THAT(markdown, HasSubstr("git checkout '</script>"));
}

TEST(Report, FiguresThatNoRunCanHaveAreNotDrawn) {
  NamedLedger named = MakeLedger(4);
  named.ledger.rows[0].time_s = 0;
  named.ledger.rows[1].time_s = -1;
  named.ledger.rows[2].bytes = 0;
  named.ledger.rows[3].time_s = 1e-320;
  const Roofline roofline = MakeRoofline(named.ledger);
  EXPECT_THAT(roofline.dots, IsEmpty());
  EXPECT_EQ(roofline.skipped.size(), 4U);
  EXPECT_THAT(Unbalanced(Html(named)), IsEmpty());
  EXPECT_THAT(Html(named), HasSubstr("Memory roof unavailable"));
}

TEST(Report, RefusesWhatHasNoOperationOrTwoRuns) {
  NamedLedger named = MakeLedger(1);
  named.ledger.rows.erase(named.ledger.rows.begin());
  EXPECT_THAT(Refusal([&] { Html(named); }), HasSubstr("tiny.json"));
  named.ledger.rows.clear();
  EXPECT_THAT(Refusal([&] { Markdown(named); }), HasSubstr("no operation"));
  EXPECT_THAT(Refusal([] { ToHtml({}); }), HasSubstr("no ledger"));
  NamedLedger mixed = MakeLedger(2);
  mixed.ledger.rows[1].run_id = "another";
  EXPECT_THAT(Refusal([&] { Html(mixed); }), HasSubstr("more than one run"));
}

TEST(Report, APartOfTheModelIsSaidToBeOne) {
  NamedLedger named = MakeLedger(2);
  for (Record& row : named.ledger.rows) row.layers_total = 48;
  Record whole = named.ledger.rows.back();
  whole.op = "total_extrapolated";
  whole.kind = "extrapolated";
  whole.time_s = 4.5;
  named.ledger.rows.push_back(whole);
  EXPECT_THAT(Html(named), HasSubstr("2 of 48 layers ran; the whole model would take 4.5 s"));
  EXPECT_THAT(Markdown(named), HasSubstr("extrapolated, not measured"));
}

TEST(Report, CommandsRepeatTheRun) {
  NamedLedger named = MakeLedger(1);
  for (Record& row : named.ledger.rows) row.model = "gpt2";
  named.ledger.environment.build.commit = "0123abc";
  named.ledger.environment.settings.seed = 7;
  EXPECT_THAT(ReportView(named).commands,
              ElementsAre("git checkout 0123abc",
                          "scripts/run --model gpt2 --context 64 --batch 1 --threads 2 --matmul "
                          "packed --attention fused --convention matmul --seed 7 --count full "
                          "--benchmark_repetitions=3"));
  named.ledger.environment.settings.model = R"({"name":"it's"})";  // called gpt2, and is another
  const NamedLedger& own = named;
  EXPECT_THAT(ReportView(own).commands[1],
              HasSubstr(R"(printf '%s' '{"name":"it'\''s"}' > model.json)"));
  EXPECT_THAT(ReportView(own).commands[2], HasSubstr("--model model.json"));
}

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

TEST(Report, ColoursOfOperationsAreTheSameOnEveryPage) {
  NamedLedger other = MakeLedger(3);
  other.ledger.rows[2].op = "ffn_up";  // elsewhere in the order
  NamedLedger one = MakeLedger(1);
  one.ledger.rows[0].op = "ffn_up";
  const std::vector<NamedLedger> both{other, one};
  for (const std::string& html : {Html(one), Html(other), ToHtml(both)}) {
    EXPECT_THAT(html, HasSubstr("<i class=\"mark c4\"></i>ffn_up"));
    EXPECT_THAT(html, Not(ContainsRegex("mark c[^4]\"></i>ffn_up")));
  }
}

TEST(Report, EveryLinkOfAHeadingLeadsToTheGlossary) {
  NamedLedger other = MakeLedger(3);
  for (Record& row : other.ledger.rows) row.context = 128;
  const std::vector<NamedLedger> both{MakeLedger(3), other};
  for (const std::string& html : {Html(Calibrated(MakeLedger(3))), ToHtml(both)}) {
    static const std::regex link("href=\"#([^\"]*)\"");
    std::size_t links = 0;
    for (std::sregex_iterator at(html.begin(), html.end(), link), end; at != end; ++at, ++links) {
      EXPECT_THAT(html, HasSubstr(fmt::format("<div id=\"{}\"><dt>", (*at)[1].str())));
    }
    EXPECT_EQ(links, CountOf(html, "<h2") - 1);  // the glossary's own has none
  }
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
              HasSubstr("repetition 2 (stolen time) was disturbed, and measured again"));
  EXPECT_THAT(Html(named), Not(HasSubstr("<path class=\"point doubtful\"")));
  EXPECT_THAT(Html(named), Not(HasSubstr("of another backend")));

  disturbances[0].replaced = false;
  named.ledger.rows.back().disturbed = "1 of 3 repetitions: stolen time";
  const std::string html = Html(named);
  EXPECT_EQ(CountOf(html, "<path class=\"point doubtful\""), 2U);
  EXPECT_THAT(html, HasSubstr("+10.0 % of the median; disturbed: stolen time"));
  EXPECT_THAT(html, HasSubstr("The run was disturbed"));
  EXPECT_THAT(html, Not(HasSubstr("checks passed")));
  EXPECT_THAT(Markdown(named), HasSubstr("**doubtful**: the pass: 1 of 3 repetitions"));
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
  const std::string html = Html(sweep);
  EXPECT_THAT(Unbalanced(html), IsEmpty());
  EXPECT_THAT(html, HasSubstr("6 points"));
  EXPECT_THAT(html, HasSubstr("Against context"));
  EXPECT_THAT(html, HasSubstr("</i>threads 1</li>"));
  EXPECT_THAT(html, HasSubstr("context 256, threads 2: 128 ms (0.128 s)"));
  EXPECT_THAT(html, HasSubstr("context 64, threads 1: 50 % of the FMA peak"));
  EXPECT_EQ(CountOf(html, "<circle class=\"point s2\""), 2U * 2 * 3);  // charts, widths, points
  EXPECT_THAT(html, HasSubstr("--context 64,128,256 --batch 1 --threads 1,2 --matmul"));
}

TEST(Report, SaysWhenInWordsAndShowsExactFiguresOnHover) {
  NamedLedger named = MakeLedger(2);
  for (Record& row : named.ledger.rows) row.run_id = "tiny-20261126T110551.123Z";
  EXPECT_THAT(Html(named), HasSubstr("26 November 2026, 11:05 UTC"));
  named.ledger.rows.back().time_s = 10.657218344;
  named.ledger.rows.back().predicted_flops = 3'507'000'123'456;
  EXPECT_THAT(Html(named), HasSubstr("<span title=\"10.6572183 s\">10.66 s</span>"));
  EXPECT_THAT(Html(named), HasSubstr("<span title=\"3,507,000,123,456\">3.507 TFLOP</span>"));
  EXPECT_THAT(Html(named), HasSubstr(">3,507,000,123,456</td>"));  // in the ledger
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

TEST(Report, CalibratedSecondsStandBesideTheMeasured) {
  NamedLedger named = MakeLedger(2);
  for (Record& row : named.ledger.rows) {
    row.predicted_time_s = *row.time_s / 1.25;
    row.time_ratio = 1.25;
    row.bound = "compute";
  }
  EXPECT_THAT(Html(named),
              HasSubstr("32 ms predicted from the calibration, 40 ms measured: +25.0 %"));
  EXPECT_THAT(Html(named), HasSubstr("<span title=\"0.016 s\">16 ms</span>"));
  EXPECT_THAT(Html(named), HasSubstr("All checks passed"));
  EXPECT_THAT(Markdown(named), HasSubstr("| compute |"));
  named.ledger.rows[0].predicted_time_s.reset();
  EXPECT_THAT(Html(named), HasSubstr("unavailable: not calibrated for it"));
}

TEST(Report, AnUnexplainedResidualOfAnExactCountIsAnError) {
  NamedLedger named = MakeLedger(1);
  named.ledger.rows.back().measured_flops = 1'000'000'001;
  EXPECT_THAT(Html(named), HasSubstr("A check failed"));
  named.ledger.rows.back().flops_source = "pmu";
  EXPECT_THAT(Html(named), HasSubstr("No check failed"));
}

TEST(Report, ADisturbedRunSaysSoFirstAndOneThatWasTimedAgainBeside) {
  NamedLedger named = MakeLedger(2);
  EXPECT_THAT(Html(named), HasSubstr("<section class=\"verdict\""));
  EXPECT_THAT(Html(named), Not(HasSubstr("Quiet machine")));
  named.ledger.environment.disturbances = {{"packed", 2, "other processes took 3.00 s", true}};
  EXPECT_THAT(Html(named), HasSubstr("<section class=\"verdict\""));
  EXPECT_THAT(Html(named), HasSubstr("1 repetition was disturbed, and timed again: other "));

  named.ledger.environment.disturbances.front().replaced = false;
  for (Record& row : named.ledger.rows) row.disturbed = "1 of 3 repetitions: other processes";
  EXPECT_THAT(Html(named), HasSubstr("<section class=\"verdict disturbed\""));
  EXPECT_THAT(Html(named), HasSubstr(">Disturbed: do not rely on these times</h2>"));
  EXPECT_THAT(Html(named), HasSubstr("<li class=\"disturbed\">"));
  EXPECT_THAT(Markdown(named), HasSubstr("⚠️ **Quiet machine** **disturbed**: 1 of 3 repetitions"));
  EXPECT_THAT(Markdown(named), Not(HasSubstr("All checks passed")));
}

TEST(Report, OpsThatDoNotBalanceAreAnErrorThoughTheirSumDoes) {
  NamedLedger named = MakeLedger(2);
  named.ledger.rows[0].measured_flops = 1'000'000'005;
  named.ledger.rows[1].measured_flops = 999'999'995;
  EXPECT_THAT(Html(named), HasSubstr("op0 and op1 did not execute what the formula says"));
  named = MakeLedger(1);
  named.ledger.rows[0].measured_flops.reset();
  named.ledger.rows[0].flops_note = "the executed formula missed 1 of 6 counted samples";
  EXPECT_THAT(Html(named), HasSubstr("A check failed"));
}

TEST(Markup, Shortens) {
  EXPECT_EQ(Shortened("abc", 3), "abc");
  EXPECT_EQ(Shortened("abcd", 3), "ab…");
  EXPECT_EQ(Shortened("ä€😀x", 3), "ä€…");
  EXPECT_EQ(EscapedMarkdown("ffn_up _a_ <b> http://x"), "ffn_up \\_a\\_ &lt;b&gt; http&#58;//x");
  EXPECT_EQ(EscapedHtml(std::string("a\0\x7f\u0085b", 6)),
            "a\ufffd\ufffd\ufffd"
            "b");
}

}  // namespace
}  // namespace flopledger
