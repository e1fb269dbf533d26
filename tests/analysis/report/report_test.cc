// What a page says of ledgers that were made for it: whole ones, poor ones, hostile ones.
#include "analysis/report/report.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <regex>

#include "analysis/text/markup.h"
#include "tests/analysis/report/made_ledgers.h"
#include "tests/support/refusal.h"

namespace flopledger {
namespace {

using ::testing::ContainsRegex;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

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
  EXPECT_THAT(Html(named), HasSubstr("<div class=\"verdict\""));
  EXPECT_THAT(Html(named), Not(HasSubstr("Quiet machine")));
  named.ledger.environment.disturbances = {{"packed", 2, "other processes took 3.00 s", true}};
  EXPECT_THAT(Html(named), HasSubstr("<div class=\"verdict\""));
  EXPECT_THAT(Html(named), HasSubstr("1 repetition was disturbed, and timed again: other "));

  named.ledger.environment.disturbances.front().replaced = false;
  for (Record& row : named.ledger.rows) row.disturbed = "1 of 3 repetitions: other processes";
  EXPECT_THAT(Html(named), HasSubstr("<div class=\"verdict disturbed\""));
  EXPECT_THAT(Html(named), HasSubstr(">Disturbed: do not rely on these times <a "));
  EXPECT_THAT(Html(named), HasSubstr("<li class=\"disturbed\">"));
  EXPECT_THAT(Markdown(named),
              HasSubstr("⚠️ **Quiet machine** **disturbed**: 1 of 3 repetitions"));
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
