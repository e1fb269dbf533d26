// Samples of real ops for the calibration: small models whose shapes lie around those of the GPT-2
// and Llama families run whole passes, so that each op meets the caches as it does in a real pass.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
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
  double seconds = 0;             // none is begun after that but the essential ones,
  double give_up_s = std::numeric_limits<double>::infinity();  // and after that none at all
};
/// About 100 seconds in all; quick: 25, with fewer contexts. The essential passes of many `teams`
/// (numbers of threads) may take longer.
ProbePlan DefaultPlan(bool quick, std::size_t teams);

/// Which of so many contexts are sampled even where the time is up: the first and the middle one;
/// by other backends than the main one the first two, for the plain reference is slow. On a machine
/// that is too slow, or too busy, for the plan, the others have fewer samples, or none.
std::vector<std::size_t> EssentialContexts(std::size_t contexts, bool is_main);

struct Sampling {
  std::vector<OpSample> samples;
  std::map<int64_t, std::optional<double>> drift;  // Ceilings::product_drift, by threads
  int64_t passes_planned = 0, passes_sampled = 0;  // by model, context and threads
  bool gave_up = false;                            // not even all the essential ones
};

/// The numbers of threads that are calibrated: 1, 2, 3, 4, then powers of two, the default number,
/// and all processors.
std::vector<int> CalibratedThreads(int default_threads, int processors);

/// Runs the probe models round by round, each pass between measurements of the FMA peak and of
/// memory's bandwidth, one round of `ceilings` in each. Throws CannotMeasure where memory does not
/// suffice, or when interrupted.
Sampling SampleOps(const ProbePlan& plan, const std::vector<int>& threads, CeilingProbe& ceilings,
                   Progress& progress);

}  // namespace flopledger
