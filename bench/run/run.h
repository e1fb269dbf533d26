// Verify, then time, then make records: a forward pass under Google Benchmark.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <span>
#include <string>
#include <vector>

#include "analysis/ledger/extrapolation.h"
#include "analysis/ledger/flops_evidence.h"
#include "analysis/ledger/record.h"
#include "analysis/ledger/trial.h"
#include "bench/run/memory_plan.h"
#include "bench/run/settings.h"
#include "bench/run/trace.h"
#include "bench/run/verify.h"

namespace flopledger {

struct DecodeResult;  // bench/run/decode.h

/// What a whole `run` gives for one of its settings.
struct RunResult {
  MemoryPlan plan;
  Verification verification;
  std::string decode_failure;  // the first wrong op of decoding, which was then not timed
  FlopsEvidence evidence;
  std::vector<Trial> trials;
  std::optional<Extrapolation> extrapolated;  // where not all layers ran
  std::string unpredicted_because;            // why rows lack a predicted time; empty: none does
  Ledger ledger;
  double start_up_s = 0;  // taking the memory, filling and packing the weights
  double observer_s = 0;  // of one op
  PassTrace trace;        // empty where none was asked for, or it was interrupted
  std::shared_ptr<const DecodeResult> decode;  // null where none was asked for, or none finished
  bool was_interrupted = false;
};

/// The rows of all results, in order, and the environment, which they share.
Ledger MergedLedger(std::span<const RunResult> results);

/// What is run side by side.
struct RunRequest {
  std::span<const RunSettings> settings;  // of one model; they differ in kernels, shape or threads
  MemoryPlan plan;                        // for all of them
  std::vector<std::string> benchmark_flags;
  int64_t repetitions = 3;  // that the flags ask for; how far the run is, is told by it
};

/// Fills, verifies and times under Google Benchmark: one result for each of the settings. The
/// repetitions of several are interleaved in random order, so that a machine that changes favours
/// none. `on_trial` is called with the ledger so far after each trial. Every rank of a team calls
/// this: the first has the results, the others follow it and return none. Throws InputError for a
/// flag that Google Benchmark does not know.
std::vector<RunResult> RunUnderGoogleBenchmark(const RunRequest& request, std::ostream& log,
                                               bool on_terminal,
                                               const std::function<void(const Ledger&)>& on_trial);

}  // namespace flopledger
