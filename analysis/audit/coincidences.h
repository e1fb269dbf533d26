// Figures that another convention gives for a claim's quantity.
#pragma once

#include <vector>

#include "analysis/audit/audit.h"
#include "analysis/audit/quantities.h"

namespace flopledger {

/// The conventions, ours and other tools', and the lists of activations that give the claimed
/// figure, where the setting's own do not.
std::vector<Coincidence> CoincidencesOf(const Claim& claim, const Catalogue& catalogue);

}  // namespace flopledger
