// The forms of a gate's verdict.
#include "analysis/regression/gate_report.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace flopledger {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

RowReport Row(const std::string& name, Decision decision) {
  return {.name = name,
          .metric = {},
          .decision = decision,
          .reason = "",
          .sentence = fmt::format("{} {}: 5 %, <why>", NameOf(decision), name),
          .estimate =
              RatioEstimate{.blocks = 10, .ratio = 1.1, .lower = 1.0, .upper = 1.2, .sigma = 0.02},
          .confirmation = {},
          .baseline = 0.001,
          .candidate = 0.0011,
          .quantities = {{"ffn_up_s", 0.5, 0.6},
                         {"norm_s", 0.001, 0.002},
                         {"same_s", 1, 1.01},
                         {"ipc", 3, 2},
                         {"zero", 0, 1}}};
}

GateReport Report() {
  GateReport report;
  report.rows = {Row("fast", Decision::kPass), Row("noisy|row", Decision::kInconclusive),
                 Row("slow, \"it\"", Decision::kFail)};
  report.warnings = {"careful"};
  Conclude(report);
  return report;
}

TEST(GateReport, TheWorstRowDecides) {
  EXPECT_EQ(Report().decision, Decision::kFail);
  EXPECT_EQ(Report().headline, "3 rows: 1 FAIL, 1 INCONCLUSIVE, 1 PASS");
}

TEST(GateReport, MovedQuantitiesAreSecondsByWhatTheyAddThenTheOthers) {
  std::vector<std::string> names;
  for (const Quantities& moved : Moved(Row("row", Decision::kFail), 9)) names.push_back(moved.name);
  EXPECT_THAT(names, ::testing::ElementsAre("ffn_up_s", "norm_s", "ipc"));
  EXPECT_EQ(Moved(Row("row", Decision::kFail), 1).size(), 1);
}

TEST(GateReport, TextAndMarkdownBeginWithWhatNeedsAReader) {
  const std::string text = ToText(Report());
  EXPECT_THAT(text, StartsWith("FAIL slow"));
  EXPECT_THAT(text, HasSubstr("ffn_up_s"));
  EXPECT_THAT(text, HasSubstr("warning: careful\ngate: FAIL: 3 rows"));
  const std::string markdown = ToMarkdown(Report());
  EXPECT_LT(markdown.find("| slow"), markdown.find("| noisy\\|row"));
  EXPECT_LT(markdown.find("| noisy\\|row"), markdown.find("| fast"));
  EXPECT_THAT(markdown, HasSubstr("| 1.000 ms | 1.100 ms | 1.100 | 1.000 | 1.200 | 2.0 % | 10 |"));
}

TEST(GateReport, AnnotationsAreEscapedAndAtMostTenOfEachKind) {
  const std::string few = ToAnnotations(Report());
  EXPECT_THAT(few,
              HasSubstr("::error title=gate%3A slow%2C \"it\"::FAIL slow, \"it\": 5 %25, <why>\n"));
  EXPECT_THAT(few, HasSubstr("::warning title=gate%3A noisy|row::"));
  EXPECT_THAT(few, Not(HasSubstr("fast")));
  GateReport many;
  for (int i = 0; i < 23; ++i) many.rows.push_back(Row(fmt::format("r{}", i), Decision::kFail));
  Conclude(many);
  const std::string text = ToAnnotations(many);
  EXPECT_EQ(std::ranges::count(text, '\n'), 10);
  EXPECT_THAT(text, HasSubstr(" +13 more\n"));
}

TEST(GateReport, JUnitCountsAndEscapes) {
  const std::string xml = ToJUnit(Report());
  EXPECT_THAT(xml, HasSubstr("tests=\"3\" failures=\"1\" skipped=\"1\" errors=\"0\""));
  EXPECT_THAT(xml, HasSubstr("name=\"slow, &quot;it&quot;\"><failure message=\"FAIL slow, "
                             "&quot;it&quot;: 5 %, &lt;why&gt;\"/>"));
  EXPECT_THAT(xml, HasSubstr("<skipped message="));
  GateReport none;
  none.decision = Decision::kNotComparable;
  none.headline = "rows are missing\x01";
  EXPECT_THAT(ToJUnit(none), HasSubstr("<error message=\"rows are missing\\x01\"/>"));
  // A binary that fails when some rows are timed already: no row says so.
  GateReport cut;
  cut.rows = {Row("row", Decision::kInconclusive)};
  cut.decision = Decision::kNotComparable;
  cut.headline = "candidate was ended by signal 11";
  EXPECT_THAT(ToJUnit(cut), HasSubstr("tests=\"2\" failures=\"0\" skipped=\"1\" errors=\"1\""));
  EXPECT_THAT(ToAnnotations(cut), HasSubstr("candidate was ended by signal 11"));
}

TEST(GateReport, BencherTakesNanosecondsAndTheRatio) {
  const auto metrics = ToBencher(Report());
  EXPECT_NEAR(metrics["fast"]["latency"]["value"].get<double>(), 1.1e6, 1);
  EXPECT_EQ(metrics["fast"]["ratio"]["upper_value"], 1.2);
  EXPECT_THAT(ToBencher(GateReport{}), IsEmpty());
}

TEST(GateReport, JsonHoldsEverythingAndNullWhereNothingWasTimed) {
  GateReport report = Report();
  report.slots.push_back({{"block", 0}});
  report.rows[0].estimate.reset();
  const auto json = ToJson(report);
  EXPECT_EQ(json["verdict"], "FAIL");
  EXPECT_EQ(json["slots"].size(), 1);
  EXPECT_TRUE(json["rows"][0]["estimate"].is_null());
  EXPECT_EQ(json["rows"][1]["estimate"]["blocks"], 10);
  EXPECT_EQ(json["rows"][2]["quantities"]["ipc"]["candidate"], 2);
}

TEST(GateReport, RowsThatWereNotTimedStandWithTheirReason) {
  GateReport report;
  report.rows = {Row("runs", Decision::kPass), NotTimed("new", {Decision::kNew, "only in B"}),
                 NotTimed("gone", {Decision::kMissing, "only in A"}),
                 NotTimed("odd", {Decision::kSkipped, "in both: real_time is zero"})};
  Conclude(report);
  EXPECT_EQ(report.decision, Decision::kNotComparable);
  EXPECT_EQ(report.headline, "4 rows: 1 MISSING, 1 NEW, 1 SKIPPED, 1 PASS");
  EXPECT_THAT(ToText(report), StartsWith("MISSING gone: only in A.\nNEW new: only in B.\n"));
  const auto rows = ToJson(report)["rows"];
  EXPECT_EQ(rows[3]["verdict"], "SKIPPED");
  EXPECT_EQ(rows[3]["reason"], "in both: real_time is zero");
  EXPECT_THAT(ToJUnit(report), HasSubstr("failures=\"0\" skipped=\"2\" errors=\"1\""));
  EXPECT_THAT(ToAnnotations(report), HasSubstr("::error title=gate%3A gone::MISSING"));
  EXPECT_THAT(ToAnnotations(report), Not(HasSubstr("NEW")));

  report.allow_missing = true;
  Conclude(report);
  EXPECT_EQ(report.decision, Decision::kPass);
  EXPECT_THAT(ToAnnotations(report), IsEmpty());
}

TEST(GateReport, ControlCharactersInNamesAreWrittenOut) {
  GateReport report;
  report.rows = {NotTimed("a\nb\x1b[31m", {Decision::kNotComparable, "it said\r\nno"})};
  Conclude(report);
  for (const std::string& text :
       {ToText(report), ToMarkdown(report), ToJUnit(report), ToAnnotations(report)}) {
    EXPECT_THAT(text, HasSubstr("a\\nb\\x1b[31m"));
    EXPECT_THAT(text, Not(HasSubstr("\x1b")));
    EXPECT_THAT(text, Not(HasSubstr("\r")));
  }
  EXPECT_THAT(ToJson(report).dump(), HasSubstr(R"(a\nb\u001b[31m)"));
}

TEST(GateReport, AnotherMetricIsNamedAndKeepsItsUnit) {
  GateReport report;
  report.rows = {Row("row", Decision::kFail)};
  report.rows[0].metric = {.name = "items_per_second", .higher_is_better = true};
  report.rows[0].candidate = 1200;
  Conclude(report);
  EXPECT_THAT(ToMarkdown(report), HasSubstr("| row (items_per_second) | FAIL | 0.001 | 1200 |"));
  EXPECT_EQ(ToJson(report)["rows"][0]["metric"], "items_per_second");
  EXPECT_EQ(ToBencher(report)["row (items_per_second)"]["items_per_second"]["value"], 1200);
}

}  // namespace
}  // namespace flopledger
