// Verify, then time, then make records: a forward pass under Google Benchmark.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "analysis/accounting/accounting.h"
#include "analysis/ledger/record.h"
#include "analysis/prediction/predict.h"
#include "analysis/text/stats.h"
#include "bench/calibration/speed.h"
#include "bench/counting/counting.h"
#include "bench/machine/progress.h"
#include "bench/run/trace.h"
#include "bench/run/verify.h"
#include "model/forward.h"

namespace benchmark {
class State;
}

namespace flopledger {

struct DecodeResult;  // bench/run/decode.h

/// What to run and how.
struct RunSettings {
  ModelConfig model;
  int64_t context = 1;
  int64_t batch = 1;
  std::optional<int64_t> layers;  // absent: all, or as many as fit in memory
  int threads = 1;
  std::string matmul = "packed";
  std::string attention = "fused";
  Convention convention = Convention::kMatmul;
  CountMode count = CountMode::kSample;
  bool counters = true;  // hardware counters, where there are any
  bool trace = false;    // one more pass, traced
  int64_t decode = 0;    // tokens to decode after the prompt, beside the pass
  uint64_t seed = 1;
  std::optional<int64_t> max_memory_bytes;         // absent: what the machine has available
  std::shared_ptr<const Calibration> calibration;  // null: seconds are not predicted

  RunShape Shape(int64_t num_layers) const {
    return WithKernels({.context = context, .batch = batch, .num_layers = num_layers}, matmul,
                       attention);
  }
  RunShape OneLayer() const { return Shape(1); }
};

/// How many layers will run, and why not all of them.
struct LayerPlan {
  int64_t layers = 0;
  int64_t needed_bytes = 0;                // for that many
  int64_t whole_bytes = 0;                 // for all
  std::optional<int64_t> available_bytes;  // absent where it could not be read
  bool cut_by_memory = false;
};

/// Plans before any memory is taken. Throws CannotMeasure where not even one layer fits, and where
/// the layers that were asked for do not. Several settings (which differ in their matmul alone) are
/// planned to stand in memory together.
LayerPlan PlanLayers(std::span<const RunSettings> side_by_side);
inline LayerPlan PlanLayers(const RunSettings& settings) { return PlanLayers({&settings, 1}); }

/// One accepted trial of Google Benchmark, per pass.
struct Trial {
  int64_t passes = 0;
  double pass_s = 0;         // wall-clock of a whole pass
  std::vector<double> op_s;  // by index into Forward::ops()
  double peak_before_flops_per_s = 0;
  double peak_after_flops_per_s = 0;
  // Means of before and after; measured where seconds are predicted.
  std::optional<double> product_flops_per_s, read_bytes_per_s;

  double peak() const { return (peak_before_flops_per_s + peak_after_flops_per_s) / 2; }
};

/// Seeded weights, filled when they are first asked for, once for each layout: workloads that run
/// side by side share them.
class WeightStore {
 public:
  std::shared_ptr<const Weights<float>> Get(const RunSettings& settings, int64_t layers,
                                            bool packed);

 private:
  std::shared_ptr<const Weights<float>> plain_, packed_;
};

/// A model with seeded weights, its buffers and random tokens, ready to run: all memory is taken in
/// the constructor.
class Workload {
 public:
  Workload(const RunSettings& settings, int64_t layers, WeightStore& weights);

  Forward<float>& forward() { return *forward_; }
  const RunSettings& settings() const { return settings_; }
  const Weights<float>& weights() const { return *weights_; }

  /// One untimed pass (which is also the warm-up) whose every op is checked at sampled outputs.
  Verification Verify(Progress& progress);

  /// The body of the Google Benchmark: measures the peak, times passes, measures the peak again.
  /// Marks the state as failed when interrupted.
  Trial Time(benchmark::State& state, Progress& progress);

  /// One pass with the counters read around each op, after what is timed.
  CounterEvidence Count(Counters& counters, Progress& progress);

  /// One pass that is traced, after what is timed; empty where it was interrupted.
  std::vector<Slice> Trace(Progress& progress);

  /// Times one op of layer 0 alone; operands that it overwrites in place are restored outside the
  /// timed region. FLOP/s, bytes/s, the share of the FMA peak and what ExportFlops says become
  /// counters.
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
  RunSettings settings_;
  std::shared_ptr<const Weights<float>> weights_;
  std::vector<int32_t> tokens_;
  std::unique_ptr<Forward<float>> forward_;
  std::unique_ptr<SpeedProbe> speed_;  // where seconds are predicted
  std::unique_ptr<Counters> counters_;
  std::optional<SampleResult> samples_;  // counted at the first ExportFlops
};

/// Instructions, instructions a cycle and last-level misses as counters, where they were counted.
void ExportCounters(benchmark::State& state, const CounterFigures& figures);

/// Seconds that timing one op costs by itself: the observer around an empty op.
double MeasureObserverSeconds();

/// The ledger's rows from trials: one for each op, the total, and the extrapolated total where not
/// all layers ran. `evidence` fills the columns of measured FLOPs.
std::vector<Record> MakeRecords(const RunSettings& settings, int64_t layers_run,
                                std::span<const Op> ops, std::span<const Trial> trials,
                                const std::string& run_id, const FlopsEvidence& evidence = {});

/// What a pass of all layers would take, from trials of some of them.
struct Extrapolation {
  double seconds = 0;  // the median over the trials: one that was disturbed moves it little
  double lower = 0;    // one more pass lies between these two; `seconds` where there is one trial
  double upper = 0;
};
inline constexpr double kExtrapolationConfidence = 0.95;

/// Passes some minutes apart differ by so much of their time, at that confidence, although their
/// FMA peaks are the same: trials of half a minute do not show it (docs/prediction.md).
inline constexpr double kDriftBetweenRuns = 0.03;

/// From trials of `layers_run` layers: for each, scaled to the median FMA peak, its ops outside the
/// layers once and those of a layer as often as the model has layers. The interval is Student's,
/// and in quadrature the drift between runs.
Extrapolation ExtrapolatePass(const ModelConfig& model, int64_t layers_run, std::span<const Op> ops,
                              std::span<const Trial> trials);

/// What a whole `run` gives for one backend.
struct RunResult {
  LayerPlan plan;
  Verification verification;
  FlopsEvidence evidence;
  std::vector<Trial> trials;
  std::optional<Extrapolation> extrapolated;  // where not all layers ran
  std::string unpredicted_because;            // why rows lack a predicted time; empty: none does
  Ledger ledger;
  double start_up_s = 0;      // taking the memory, filling and packing the weights
  double observer_s = 0;      // of one op
  std::vector<Slice> trace;   // empty where none was asked for, or it was interrupted
  std::string counters_line;  // what hardware counters there are, or why not
  std::shared_ptr<const DecodeResult> decode;  // null where none was asked for, or none finished
  bool was_interrupted = false;
};

/// The rows of all results, in order, and the environment, which they share.
Ledger MergedLedger(std::span<const RunResult> results);

/// Plans, fills, verifies and times under Google Benchmark with the given --benchmark_ flags: one
/// result for each of the settings, which differ in their matmul alone. The repetitions of several
/// are interleaved in random order, so that a machine that changes favours none.
/// `on_trial` is called with the ledger so far after each trial. Throws InputError for a flag that
/// Google Benchmark does not know, CannotMeasure where memory does not suffice.
std::vector<RunResult> RunUnderGoogleBenchmark(std::span<const RunSettings> side_by_side,
                                               const std::vector<std::string>& benchmark_flags,
                                               std::ostream& log, bool on_terminal,
                                               const std::function<void(const Ledger&)>& on_trial);

}  // namespace flopledger
