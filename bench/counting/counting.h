// The exact counting run: the same kernels on Counted<float>, untimed. Its tallies are measurements
// (they come from execution), and they are never timed.
#pragma once

#include <optional>
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "analysis/accounting/executed.h"
#include "bench/counters/counters.h"
#include "bench/machine/progress.h"
#include "kernels/counted.h"
#include "model/config.h"
#include "model/ops.h"

namespace flopledger {

/// How FLOPs are measured where no hardware counter gives them.
enum class CountMode {
  kOff,
  kSample,  // count small models; confirm the `executed` formulas, measure nothing at this shape
  kFull,    // count at the very shape that is run
};
/// "off", "sample" or "full". Throws InputError, with a suggestion, for another name.
CountMode ParseCountMode(std::string_view name);

/// What is counted: a model at a shape, and the kernels that are chosen by name.
struct CountRequest {
  ModelConfig model;
  int64_t context = 1;
  int64_t batch = 1;
  std::string matmul = "packed";
  std::string attention = "fused";
};

/// `shape` with what kernels of these names make of the list of operations.
RunShape WithKernels(RunShape shape, const std::string& matmul, const std::string& attention);

/// What the `executed` formulas must know of the kernels of this build.
KernelFacts FactsOf(const std::string& matmul, const std::string& attention);

/// One op's tally in one execution (layers execute the same operations, so one layer is counted).
struct OpCount {
  OpId id;
  Tally tally;
};

/// Counts one layer, and what stands around the layers, at the requested shape.
std::vector<OpCount> CountOneLayer(const CountRequest& request, Progress& progress);

/// The same for long counts. Counts one layer, and what stands around the layers, at the requested
/// shape with all threads. Says on `log` beforehand how long it will take. Finished counts are
/// kept in the user's cache under the identity of this executable and the request, and found there
/// the next time. Throws CannotMeasure where memory does not suffice.
std::vector<OpCount> CountFully(const CountRequest& request, std::ostream& log, Progress& progress);

/// Counts several small models of the request's family, features and kernels.
struct SampleResult {
  int64_t samples = 0;
  /// For each op of the request: how many samples met the `executed` formula exactly.
  std::vector<std::pair<OpId, int64_t>> met;
  /// FLOPs that each op executed in all samples together: exact, and the same until a kernel
  /// changes.
  std::vector<std::pair<OpId, int64_t>> counted;
};
SampleResult CountSamples(const CountRequest& request);

/// What hardware counters read over one whole pass, in a pass of its own after those that were
/// timed.
struct CounterEvidence {
  std::vector<CounterFigures> by_op;  // by index into Forward::ops()
  TrustCheck check;                   // the kernel of known FLOPs; executed 0: no FLOPs counted
};

/// What is known of the FLOPs that a run executes, however it was found.
struct FlopsEvidence {
  CountMode mode = CountMode::kOff;
  std::vector<OpCount> counts;  // kFull
  SampleResult sampled;         // kSample
  std::string none_because;     // why nothing could be counted; empty otherwise
  std::optional<CounterEvidence> counters;
};

/// Counts as `mode` asks. A backend that does not run on Counted<float> (an external library) is
/// no error: the evidence says why there is none.
FlopsEvidence GatherEvidence(CountMode mode, const CountRequest& request, std::ostream& log,
                             Progress& progress);

}  // namespace flopledger
