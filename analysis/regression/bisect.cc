#include "analysis/regression/bisect.h"

#include <algorithm>
#include <bit>
#include <stdexcept>

namespace flopledger {

Bisection::Bisection(std::size_t commits)
    : verdicts_(commits, CommitVerdict::kUnknown), last_(commits - 1) {
  if (commits == 0) throw std::logic_error("a bisection of no commits");
  verdicts_.back() = CommitVerdict::kSlow;
}

std::optional<std::size_t> Bisection::Next() const {
  std::optional<std::size_t> nearest;
  const auto middle = first_ + (last_ - first_) / 2;
  const auto distance = [&](std::size_t i) { return i > middle ? i - middle : middle - i; };
  for (std::size_t i = first_; i < last_; ++i) {
    if (verdicts_[i] != CommitVerdict::kUnknown) continue;
    if (!nearest || distance(i) < distance(*nearest)) nearest = i;
  }
  return nearest;
}

void Bisection::Note(std::size_t commit, CommitVerdict verdict) {
  if (commit < first_ || commit >= last_) throw std::logic_error("not a commit in question");
  verdicts_[commit] = verdict;
  if (verdict == CommitVerdict::kFast) first_ = commit + 1;
  if (verdict == CommitVerdict::kSlow) last_ = commit;
}

int Bisection::StepsLeft() const {
  const auto unknown =
      std::ranges::count(verdicts_.begin() + static_cast<long>(first_),
                         verdicts_.begin() + static_cast<long>(last_), CommitVerdict::kUnknown);
  return static_cast<int>(std::bit_width(static_cast<std::size_t>(unknown)));
}

}  // namespace flopledger
