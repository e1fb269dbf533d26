// The search for the commit that made a row slower, as a pure state machine: which commit to gate
// next, and what the answers leave. Halves the range; a commit without an answer is passed over.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

namespace flopledger {

enum class CommitVerdict { kUnknown, kFast, kSlow, kSkipped };

/// Over `commits` commits in their order, after one that is known to be fast; the last of them is
/// known to be slow.
class Bisection {
 public:
  /// At least one commit.
  explicit Bisection(std::size_t commits);

  /// The commit to gate next: the one nearest to the middle of what is left, among those without a
  /// verdict; absent where none is left.
  std::optional<std::size_t> Next() const;
  void Note(std::size_t commit, CommitVerdict verdict);

  /// The commit that made it slower is one of [first(), last()], which are one where it was found.
  std::size_t first() const { return first_; }
  std::size_t last() const { return last_; }

  /// About how many gates are left.
  int StepsLeft() const;

 private:
  std::vector<CommitVerdict> verdicts_;
  std::size_t first_ = 0, last_;
};

}  // namespace flopledger
