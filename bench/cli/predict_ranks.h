// `predict --ranks`: a pass by more and more ranks.
#pragma once

#include <ostream>

#include "bench/cli/commands.h"

namespace flopledger {

int RunPredictRanks(const PredictOptions& options, std::ostream& out);

}  // namespace flopledger
