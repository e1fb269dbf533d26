// Claims compared with the derivation: right, following from another wrong claim, or wrong, with
// the slip that explains the figure. Arithmetic only; what is compared is exact.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "analysis/audit/claims.h"
#include "analysis/audit/slips.h"

namespace flopledger {

/// kRightUnder: an elementwise quantity, which has a figure in the convention `all` alone.
enum class Verdict { kRight, kRightUnder, kFollows, kWrong, kUnreadable };
/// "right", "right under another convention", "follows", "wrong", "unreadable".
std::string_view NameOf(Verdict verdict);

/// Another convention that gives the claimed figure: worth a remark, no verdict.
struct Coincidence {
  std::string convention;
  std::string text;
};

struct Finding {
  Claim claim;
  Verdict verdict = Verdict::kWrong;
  Exact derived;
  std::string formula;
  // Ids of the claims to mend, where this one rests on wrong ones, and of those whose figures stand
  // in this one.
  std::vector<std::string> follows, via;
  std::vector<Cause> causes;  // at most four, the likeliest first; none: no slip that we know
  std::size_t more_causes = 0;
  std::vector<Coincidence> coincidences;
  std::vector<std::string> notes;  // on how the figure was derived

  /// The remark for people, one line.
  std::string Remark() const;
};

/// One finding for each claim, in their order.
std::vector<Finding> Audit(const std::vector<Claim>& claims);

}  // namespace flopledger
