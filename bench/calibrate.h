// Measured ceilings of the machine.
#pragma once

#include <cstdint>

namespace flopledger {

/// The fp32 FMA peak in FLOP/s of `threads` OpenMP threads together, now: the median of several
/// short bursts of independent FMA chains, about 50 ms in all. On a virtual machine this moves from
/// one minute to the next, so it is measured right beside what it is compared with.
double MeasureFmaPeak(int threads);

}  // namespace flopledger
