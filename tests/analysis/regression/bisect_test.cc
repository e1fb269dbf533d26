// The search for a commit, on made answers.
#include "analysis/regression/bisect.h"

#include <gtest/gtest.h>

#include <set>

namespace flopledger {
namespace {

/// Searches `commits` commits of which `slow_from` and later are slow; returns how many were asked.
int Search(Bisection& bisection, std::size_t slow_from, const std::set<std::size_t>& skipped = {}) {
  int asked = 0;
  while (const auto next = bisection.Next()) {
    ++asked;
    bisection.Note(*next, skipped.contains(*next) ? CommitVerdict::kSkipped
                          : *next >= slow_from    ? CommitVerdict::kSlow
                                                  : CommitVerdict::kFast);
  }
  return asked;
}

TEST(Bisection, FindsEveryCommitByHalving) {
  for (std::size_t slow_from = 0; slow_from < 16; ++slow_from) {
    Bisection bisection(16);
    EXPECT_LE(Search(bisection, slow_from), 4);
    EXPECT_EQ(bisection.first(), slow_from);
    EXPECT_EQ(bisection.last(), slow_from);
  }
}

TEST(Bisection, OneCommitNeedsNoQuestion) {
  Bisection bisection(1);
  EXPECT_FALSE(bisection.Next().has_value());
  EXPECT_EQ(bisection.last(), 0);
  EXPECT_THROW(Bisection(0), std::logic_error);
  EXPECT_THROW(bisection.Note(0, CommitVerdict::kFast), std::logic_error);
}

TEST(Bisection, PassesOverCommitsWithoutAnAnswer) {
  for (std::size_t skipped = 0; skipped < 15; ++skipped) {
    Bisection bisection(16);
    Search(bisection, 9, {skipped});
    const bool beside = skipped == 8 || skipped == 9;  // then one of two commits it is
    EXPECT_EQ(bisection.first(), skipped == 8 ? 8 : 9) << skipped;
    EXPECT_EQ(bisection.last(), skipped == 9 ? 10 : 9) << skipped;
    EXPECT_EQ(bisection.first() != bisection.last(), beside);
  }
}

TEST(Bisection, SaysHowManyGatesAreLeft) {
  Bisection bisection(16);
  EXPECT_EQ(bisection.StepsLeft(), 4);  // 15 to ask about
  bisection.Note(7, CommitVerdict::kFast);
  EXPECT_EQ(bisection.StepsLeft(), 3);
}

}  // namespace
}  // namespace flopledger
