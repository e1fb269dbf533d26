// Samples of real ops for the calibration: small models whose shapes lie around those of the GPT-2
// and Llama families run whole passes, so that each op meets the caches as it does in a real pass.
#pragma once

#include <vector>

#include "analysis/prediction/predict.h"
#include "bench/calibration/calibrate.h"
#include "bench/machine/progress.h"
#include "model/config.h"

namespace flopledger {

struct ProbeModel {
  ModelConfig model;
  int64_t longest_context = 1;
  bool by_others = false;  // also by the other backends and libraries, under reference attention
};

struct ProbePlan {
  std::vector<ProbeModel> models;
  std::vector<int64_t> contexts;  // rising
  double seconds = 0;             // none is begun after that, but the first round is finished
};
/// About 100 seconds in all; quick: 30, with fewer contexts.
ProbePlan DefaultPlan(bool quick);

/// The numbers of threads that are calibrated: 1, 2, 3, 4, then powers of two, and all processors.
std::vector<int> CalibratedThreads(int processors);

/// Runs the probe models round by round, each pass between measurements of the FMA peak and of
/// memory's bandwidth, one round of `ceilings` in each. Throws CannotMeasure where memory does not
/// suffice, or when interrupted.
std::vector<OpSample> SampleOps(const ProbePlan& plan, const std::vector<int>& threads,
                                CeilingProbe& ceilings, Progress& progress);

}  // namespace flopledger
