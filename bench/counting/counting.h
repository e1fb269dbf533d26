// The exact counting run: the same kernels on Counted<float>, untimed. Its tallies are measurements
// (they come from execution), and they are never timed.
#pragma once

#include <ostream>
#include <string_view>
#include <vector>

#include "analysis/ledger/flops_evidence.h"
#include "bench/counting/kernel_choice.h"
#include "bench/machine/progress.h"
#include "kernels/tally.h"
#include "model/config.h"
#include "model/ops.h"

namespace flopledger {

/// "auto", "off", "sample" or "full". Throws InputError, with a suggestion, for another name.
CountMode ParseCountMode(std::string_view name);

/// What is counted: a model at a shape, and its kernels.
struct CountRequest {
  ModelConfig model;
  int64_t context = 1;
  int64_t batch = 1;
  KernelChoice kernels;
  Shard shard = {};  // what one rank executes of it is counted, without the others
};

/// False for a library, which the counting run cannot see into.
bool IsCountable(const KernelChoice& kernels);

/// One op's tally in one execution (layers execute the same operations, so one layer is counted).
struct OpCount {
  OpId id;
  Tally tally;
};

/// Counts one layer, and what stands around the layers, at the requested shape.
std::vector<OpCount> CountOneLayer(const CountRequest& request, Progress& progress);

/// The same for long counts. Counts one layer, and what stands around the layers, at the requested
/// shape with all threads. Says on `log` beforehand how long it will take, if that is over a
/// second. Finished counts are kept in the user's cache under the identity of this executable and
/// the request, and found there the next time. Throws CannotMeasure where memory does not suffice.
std::vector<OpCount> CountFully(const CountRequest& request, std::ostream& log, Progress& progress);

/// Counts several small models of the request's family, features and kernels.
SampleResult CountSamples(const CountRequest& request);

/// kFull where its counts are kept, or take no longer than `budget_s` and the memory that there is;
/// else kSample, saying on `log` why.
CountMode AffordableCount(const CountRequest& request, double budget_s, std::ostream& log);

/// Counts as `mode` (not kAuto) asks. A backend that does not run on Counted<float> (an external
/// library) is no error: the evidence says why there is none.
FlopsEvidence GatherEvidence(CountMode mode, const CountRequest& request, std::ostream& log,
                             Progress& progress);

}  // namespace flopledger
