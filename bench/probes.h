// Samples of real ops for the calibration: small models whose shapes lie around those of the GPT-2
// and Llama families run whole passes, so that each op meets the caches as it does in a real pass.
#pragma once

#include <vector>

#include "analysis/predict.h"
#include "bench/calibrate.h"
#include "bench/progress.h"

namespace flopledger {

struct ProbeSettings {
  double seconds = 90;  // no round is begun after that; the first round is always finished
  bool quick = false;   // fewer lengths
};

/// The numbers of threads that are calibrated: 1, 2, 3, 4, then powers of two, and all processors.
std::vector<int> CalibratedThreads(int processors);

/// Runs the probe models round by round, each pass between measurements of the FMA peak and of
/// memory's bandwidth, one round of `ceilings` in each. Throws CannotMeasure where memory does not
/// suffice, or when interrupted.
std::vector<OpSample> SampleOps(const ProbeSettings& settings, const std::vector<int>& threads,
                                CeilingProbe& ceilings, Progress& progress);

}  // namespace flopledger
