// That the ranks of a run do the same work: each reads defaults of its own host.
#pragma once

#include <span>

#include "bench/run/settings.h"

namespace flopledger {

/// Every rank of a team calls this with its points. Throws InputError at all of them where one
/// differs from the first rank's in what a pass does, naming that rank, the setting and both
/// values. Does nothing of one process.
void CheckSameSettings(std::span<const RunSettings> points);

}  // namespace flopledger
