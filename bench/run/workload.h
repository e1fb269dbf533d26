// A model with its weights and buffers, ready to be verified, timed, counted and traced.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "analysis/ledger/disturbance.h"
#include "analysis/ledger/environment.h"
#include "analysis/ledger/flops_evidence.h"
#include "analysis/ledger/trial.h"
#include "bench/calibration/speed.h"
#include "bench/counters/counters.h"
#include "bench/machine/pass_progress.h"
#include "bench/machine/progress.h"
#include "bench/run/settings.h"
#include "bench/run/trace.h"
#include "bench/run/verify.h"
#include "model/forward.h"

namespace benchmark {
class State;
}

namespace flopledger {

/// Seeded weights, filled when they are first asked for, once for each layout: workloads that run
/// side by side share them.
class WeightStore {
 public:
  /// Shows on `progress` how much is filled. Throws Interrupted.
  std::shared_ptr<const Weights<float>> Get(const RunSettings& settings, int64_t layers,
                                            bool packed, Progress& progress);

 private:
  std::shared_ptr<const Weights<float>> plain_, packed_;
};

/// A model with seeded weights, its buffers and random tokens, ready to run: all memory is taken in
/// the constructor, which throws Interrupted.
class Workload {
 public:
  Workload(const RunSettings& settings, int64_t layers, WeightStore& weights, Progress& progress);

  Forward<float>& forward() { return *forward_; }
  const RunSettings& settings() const { return settings_; }
  const Weights<float>& weights() const { return *weights_; }
  const PassWork& work() const { return work_; }

  /// One untimed pass (the first warm-up) whose every op is checked at sampled outputs.
  Verification Verify(Progress& progress);

  /// One more pass that is not timed. Throws Interrupted.
  void WarmUp(Progress& progress);

  /// The body of the Google Benchmark: measures the peak, times passes, measures the peak again,
  /// and watches what else the system does. Marks the state as failed when interrupted. `stage` is
  /// what the progress line says of it.
  Trial Time(benchmark::State& state, Progress& progress, const std::string& stage = "timing");

  /// The same of as many passes as again() asks for.
  Trial Time(const std::function<bool()>& again, Progress& progress,
             const std::string& stage = "timing");

  /// The same of `passes` passes, without Google Benchmark; no passes where it was interrupted.
  Trial TimeAgain(int64_t passes, Progress& progress);

  /// One pass with a barrier of all ranks before each sum over them, after what is timed: this
  /// rank's seconds at the barriers, and in the sums, of each op that is one.
  std::vector<CollectiveSplit> TimeWaiting();

  /// One pass with the counters read around each op, after what is timed.
  CounterEvidence Count(Counters& counters, Progress& progress);

  /// One pass that is traced, after what is timed, between two measurements of the peak.
  PassTrace Trace(Progress& progress);

  /// Times one op of layer 0 alone, on what the ops before it left it; operands that it overwrites
  /// in place are restored outside the timed region. FLOP/s, bytes/s, the share of the FMA peak and
  /// what ExportFlops says become counters; what disturbed it is its label.
  void TimeOp(benchmark::State& state, const Op& op);

  /// What the gate holds to be exact, of these ops in one pass of `shape`: predicted_flops under
  /// `convention`; executed_flops where there is a formula; sample_counted_flops, which counting
  /// runs at small fixed shapes executed, where the kernels can be counted. As counters of the
  /// state.
  void ExportFlops(benchmark::State& state, std::span<const Op> ops, const RunShape& shape,
                   Convention convention);

  /// The hardware counters of all threads, opened at the first call.
  Counters& counters();

 private:
  /// Runs what comes before `op` in a pass through one layer.
  void RunUpTo(const Op& op);

  RunSettings settings_;
  ModelConfig own_;  // that this rank computes
  std::shared_ptr<const Weights<float>> weights_;
  std::vector<int32_t> tokens_;
  std::unique_ptr<Forward<float>> forward_;
  PassWork work_;
  std::unique_ptr<SpeedProbe> speed_;  // where seconds are predicted
  std::unique_ptr<Counters> counters_;
  std::optional<SampleResult> samples_;  // counted at the first ExportFlops
};

/// Instructions, instructions a cycle and last-level misses as counters, where they were counted.
void ExportCounters(benchmark::State& state, const CounterFigures& figures);

/// What decides whether a repetition of these settings was disturbed.
TeamFacts TeamOf(const RunSettings& settings);

/// Seconds that timing one op costs by itself: the observer around an empty op.
double MeasureObserverSeconds();

}  // namespace flopledger
