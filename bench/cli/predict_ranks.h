// `predict --ranks`: a pass by more and more ranks.
#pragma once

#include <ostream>

#include "bench/cli/commands.h"
#include "bench/run/settings.h"

namespace flopledger {

/// `settings` are those of `options`.
int RunPredictRanks(const PredictOptions& options, const RunSettings& settings, std::ostream& out);

}  // namespace flopledger
