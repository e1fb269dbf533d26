// What is known of the FLOPs that a run executed, however it was found: plain figures, which the
// ledger's rows are made of. What counts and reads them is in bench/counting and bench/counters.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "model/ops.h"

namespace flopledger {

/// How FLOPs are measured where no hardware counter gives them.
enum class CountMode {
  kOff,
  kSample,  // count small models; confirm the `executed` formulas, measure nothing at this shape
  kFull,    // count at the very shape that is run
  kAuto,    // the one of these that the machine and a minute allow; evidence has another
};

/// Hardware counts of a region, all threads together. A quantity without a counter is absent.
struct CounterFigures {
  std::optional<double> flops, instructions, cycles, cache_misses, task_clock_ns, page_faults,
      context_switches;
  double scale = 1;  // the largest time enabled / time running; 1 where nothing was multiplexed

  CounterFigures& operator+=(const CounterFigures& other);
};

/// A kernel of known FLOPs under the counters: they are not believed blindly.
struct TrustCheck {
  int64_t executed = 0;
  double counted = 0;

  /// Whether they agree within 1 %.
  bool passed() const;
  bool operator==(const TrustCheck&) const = default;
};

/// What hardware counters read over one whole pass, in a pass of its own after those that were
/// timed.
struct CounterEvidence {
  std::vector<CounterFigures> by_op;  // in the order of ForwardOps
  TrustCheck check;                   // executed 0: no FLOPs were counted
};

/// Several small models of the run's family, features and kernels, counted.
struct SampleResult {
  int64_t samples = 0;
  /// For each op of the run: how many samples met the `executed` formula exactly.
  std::vector<std::pair<OpId, int64_t>> met;
  /// FLOPs that each op executed in all samples together: exact, and the same until a kernel
  /// changes.
  std::vector<std::pair<OpId, int64_t>> counted;
};

struct FlopsEvidence {
  CountMode mode = CountMode::kOff;
  std::vector<std::pair<OpId, int64_t>> counted;  // kFull: FLOPs of one execution of each op
  SampleResult sampled;                           // kSample
  std::string none_because;                       // why nothing could be counted; empty otherwise
  std::optional<CounterEvidence> counters;
};

}  // namespace flopledger
