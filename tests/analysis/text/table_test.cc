#include "analysis/text/table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "analysis/text/markup.h"
#include "analysis/text/wrap.h"

namespace flopledger {
namespace {

using testing::HasSubstr;
using testing::Not;

std::size_t LongestLine(const std::string& text) {
  std::istringstream lines(text);
  std::size_t longest = 0;
  for (std::string line; std::getline(lines, line);) longest = std::max(longest, LengthOf(line));
  return longest;
}

const Table kTable{{{"operation", false},
                    {"m", true, 2},
                    {"seconds that were predicted"},
                    {"absent"},
                    {"why it differs", false}},
                   {{"attention_qkv", "1,024", "12.345", "", "the tiles at the edge are padded"},
                    {"ffn_up", "4,096", "1.234", "", "as above"}}};

TEST(Table, ShowsEveryColumnWhereNoWidthIsAsked) {
  EXPECT_EQ(kTable.ToText(),
            "operation          m  seconds that were predicted  absent  why it differs\n"
            "-------------  -----  ---------------------------  ------  "
            "--------------------------------\n"
            "attention_qkv  1,024                       12.345          the tiles at the edge are "
            "padded\n"
            "ffn_up         4,096                        1.234          as above\n");
}

TEST(Table, NamesTheColumnsThatHoldNothing) {
  const std::string text = kTable.ToText(200);
  EXPECT_THAT(text, HasSubstr("\nno figures in: absent\n"));
  EXPECT_THAT(text.substr(0, text.find('\n')), Not(HasSubstr("absent")));
}

TEST(Table, BreaksHeadingsThenLeavesOutDetailThenBreaksText) {
  const std::string broken = kTable.ToText(80);
  EXPECT_LE(LongestLine(broken), 80U) << broken;
  EXPECT_THAT(broken, HasSubstr("1,024"));
  const std::string detail = kTable.ToText(62);
  EXPECT_LE(LongestLine(detail), 62U) << detail;
  EXPECT_THAT(detail, Not(HasSubstr("1,024")));
  EXPECT_THAT(detail, HasSubstr("m (--wide shows all)"));
  EXPECT_THAT(detail, HasSubstr("the tiles at the edge are padded"));
  const std::string text = kTable.ToText(50);
  EXPECT_LE(LongestLine(text), 50U) << text;
  EXPECT_THAT(text, HasSubstr("12.345"));
}

TEST(Table, MarkdownEscapesWhatEndsACell) {
  const Table table{{{"a|b", false}, {"n"}}, {{"x|y", "1"}}};
  EXPECT_EQ(table.ToMarkdown(), "| a\\|b | n |\n| --- | ---: |\n| x\\|y | 1 |\n");
}

TEST(WrappedLines, BreakAtBlanksAndCutWhatIsLonger) {
  EXPECT_EQ(WrappedLines("one two three", 7), (std::vector<std::string>{"one two", "three"}));
  EXPECT_EQ(WrappedLines("µµµµµ", 2), (std::vector<std::string>{"µµ", "µµ", "µ"}));
  EXPECT_EQ(WrappedLines("params.attention_qkv.block", 20),
            (std::vector<std::string>{"params.attention_", "qkv.block"}));
  EXPECT_EQ(WrappedLines("", 5), std::vector<std::string>{""});
}

TEST(Wrapped, IndentsWhatGoesOnAndKeepsLongWordsWhole) {
  EXPECT_EQ(Wrapped("note: one two three", 12, 2), "note: one\n  two three\n");
  EXPECT_EQ(Wrapped("see /a/very/long/path now", 8, 2), "see\n  /a/very/long/path\n  now\n");
  EXPECT_EQ(Wrapped("a\nb", 8), "a\nb\n");
}

}  // namespace
}  // namespace flopledger
