// Bandwidths: each thread of a team streams through a part of its own share of a buffer.
#pragma once

#include <cstdint>

#include "bench/calibration/team_buffer.h"

namespace flopledger {

/// Bytes a second that the threads together read, each going through the first `floats` of its
/// share again and again, for `seconds` and at least once. `floats`: a multiple of kStreamStep.
double ReadRate(TeamBuffer& buffer, int64_t floats, double seconds);

/// The same for a = b + s·c, each a third of those floats; 12 bytes an element. `floats` at least
/// 3·kStreamStep.
double TriadRate(TeamBuffer& buffer, int64_t floats, double seconds);

}  // namespace flopledger
