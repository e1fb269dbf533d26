// How one claim follows from others: the figure that a quantity takes when wrong figures of its
// parts stand in its formula.
#pragma once

#include <vector>

#include "analysis/audit/audit.h"
#include "analysis/audit/quantities.h"

namespace flopledger {

/// A figure that a quantity may have had in its author's hands, and the claims that it rests on.
struct Option {
  Exact value, low, high;                // low and high differ where a claim is rounded
  std::vector<std::size_t> claims;       // whose figures stand in it
  std::vector<std::size_t> elementwise;  // that are added though they are no matrix product

  bool Meets(const Figure& figure) const { return low <= figure.high && figure.low <= high; }
};

/// Which claims may stand in another.
enum class Sources { kWrong, kRightButRounded };

/// Every option for the claim `self`, those of the fewest claims first. `catalogues[i]` is that of
/// claim i.
std::vector<Option> OptionsOf(std::size_t self, const std::vector<Finding>& findings,
                              const std::vector<const Catalogue*>& catalogues, Sources sources);

}  // namespace flopledger
