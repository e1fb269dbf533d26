#include "bench/run/workload.h"

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <ostream>
#include <utility>

#include "analysis/ledger/disturbance.h"
#include "analysis/ledger/rows.h"
#include "bench/calibration/calibrate.h"
#include "bench/counting/counting.h"
#include "bench/machine/activity.h"
#include "bench/machine/interrupt.h"
#include "bench/machine/limits.h"
#include "bench/machine/op_meter.h"
#include "bench/machine/stopwatch.h"
#include "bench/machine/threads.h"
#include "model/spread_tokens.h"

namespace flopledger {
namespace {

/// Checks each op and shows how far the pass is.
class VerifyingObserver {
 public:
  VerifyingObserver(OpVerifier& verifier, PassProgress progress)
      : verifier_(verifier), progress_(std::move(progress)) {}

  void Before(const Op& op, int64_t layer, const Operands<float>& operands) {
    progress_.Show(op, layer);
    verifier_.Before(op, layer, operands);
  }
  void After(const Op& op, int64_t layer, const Operands<float>& operands) {
    verifier_.After(op, layer, operands);
    ThrowIfInterrupted();
  }

 private:
  OpVerifier& verifier_;
  PassProgress progress_;
};

/// Whether the matrix holds two different numbers.
bool HasDifferentNumbers(ConstMatrixView<float> matrix) {
  for (int64_t r = 0; r < matrix.rows; ++r) {
    for (int64_t c = 0; c < matrix.cols; ++c) {
      if (matrix(r, c) != matrix(0, 0)) return true;
    }
  }
  return false;
}

/// Fails where an input holds one number only, such as the zeros of fresh memory: a kernel that
/// reads them is neither verified nor timed as it is used.
void CheckOperands(const Operands<float>& operands) {
  if (operands.a.data != nullptr) FL_CHECK(HasDifferentNumbers(operands.a));
  const bool has_weight = operands.w.data != nullptr;
  if (!has_weight) return;
  FL_CHECK(operands.w(0, 0) != operands.w(0, operands.w.outputs - 1) ||
           operands.w(0, 0) != operands.w(operands.w.inputs - 1, 0));
}

}  // namespace

std::shared_ptr<const Weights<float>> WeightStore::Get(const RunSettings& settings, int64_t layers,
                                                       bool packed, Progress& progress) {
  std::shared_ptr<const Weights<float>>& weights = packed ? packed_ : plain_;
  if (!weights) {
    weights = std::make_shared<const Weights<float>>(
        SeededWeights<float>(settings.model, layers, settings.seed, packed,
                             {.shard = settings.shard(),
                              .after_tensor = FillingProgress(progress, "filling the weights")}));
  }
  FL_CHECK(static_cast<int64_t>(weights->layers.size()) == layers, layers);
  return weights;
}

Workload::Workload(const RunSettings& settings, int64_t layers, WeightStore& weights,
                   Progress& progress)
    : settings_(settings), own_(settings.OwnModel()) {
  UseThreads(settings.threads);
  CheckTeamSize(settings.threads);
  const MatmulBackend<float>& matmul = *settings.kernels.matmul;
  weights_ = weights.Get(settings, layers, matmul.packs_weights, progress);
  tokens_ = SpreadTokens(settings.batch * settings.context, settings.model.vocab_size);
  forward_ = std::make_unique<Forward<float>>(own_, *weights_, settings.Shape(layers), matmul);
  if (settings.team != nullptr) forward_->Connect(settings.team->link);
  work_ = WorkOf(own_, forward_->shape(), forward_->ops());
  if (settings.calibration) speed_ = std::make_unique<SpeedProbe>(settings.threads);
}

Verification Workload::Verify(Progress& progress) {
  UseThreads(settings_.threads);
  OpVerifier verifier(*forward_, tokens_);
  VerifyingObserver observer(
      verifier, {progress, "warm-up and verification", forward_->shape().num_layers, work_});
  forward_->Run(tokens_, observer);
  progress.Clear();
  return verifier.result();
}

void Workload::WarmUp(Progress& progress) {
  PassProgress pass_progress(progress, "warm-up", forward_->shape().num_layers, work_);
  OpTimer untimed({}, &pass_progress);
  forward_->Run(tokens_, untimed);
  progress.Clear();
}

Trial Workload::Time(const std::function<bool()>& again, Progress& progress,
                     const std::string& stage) {
  Trial trial;
  UseThreads(settings_.threads);
  PassProgress pass_progress(progress, stage, forward_->shape().num_layers, work_);
  OpTimer timer({}, &pass_progress);
  double seconds = 0;
  const ActivityWatch watch;
  const auto before = speed_ ? speed_->Measure() : SpeedProbe::Rates{};
  trial.peak_before_flops_per_s = MeasureFmaPeak(settings_.threads);
  try {
    while (again()) {
      const auto start = Clock::now();
      forward_->Run(tokens_, timer);
      seconds += SecondsSince(start);
      ++trial.passes;
    }
  } catch (const Interrupted&) {
    progress.Clear();
    return {};
  }
  if (trial.passes == 0) return {};
  benchmark::DoNotOptimize(forward_->logits().data);
  trial.peak_after_flops_per_s = MeasureFmaPeak(settings_.threads);
  if (speed_) {
    const auto after = speed_->Measure();
    trial.read_bytes_per_s = (before.read_bytes_per_s + after.read_bytes_per_s) / 2;
    trial.product_flops_per_s = (before.product_flops_per_s + after.product_flops_per_s) / 2;
  }
  trial.activity = watch.Stop();
  progress.Clear();
  const auto passes = static_cast<double>(trial.passes);
  trial.pass_s = seconds / passes;
  for (const Op& op : forward_->ops()) trial.op_s.push_back(timer.of(op.id) / passes);
  return trial;
}

Trial Workload::Time(benchmark::State& state, Progress& progress, const std::string& stage) {
  Trial trial = Time([&state] { return state.KeepRunning(); }, progress, stage);
  if (trial.passes == 0) state.SkipWithError("interrupted");
  return trial;
}

Trial Workload::TimeAgain(int64_t passes, Progress& progress) {
  return Time([&passes] { return passes-- > 0; }, progress, "timing again");
}

namespace {

/// Times the barrier before each sum over ranks, and the sum.
class WaitingMeter {
 public:
  explicit WaitingMeter(Link& link) : link_(link) {}

  void Before(const Op& op, int64_t, const Operands<float>&) {
    if (op.kind != OpKind::kAllReduce) return;
    watch_.Start();
    Barrier(link_);
    Of(op).waiting_s += watch_.Stop();
    watch_.Start();
  }
  void After(const Op& op, int64_t, const Operands<float>&) {
    if (op.kind == OpKind::kAllReduce) Of(op).transfer_s += watch_.Stop();
  }
  const std::vector<CollectiveSplit>& splits() const { return splits_; }

 private:
  CollectiveSplit& Of(const Op& op) {
    const auto found = std::ranges::find(splits_, op.name(), &CollectiveSplit::op);
    return found != splits_.end()
               ? *found
               : splits_.emplace_back(CollectiveSplit{.op = std::string(op.name())});
  }

  Link& link_;
  Stopwatch watch_;
  std::vector<CollectiveSplit> splits_;
};

}  // namespace

std::vector<CollectiveSplit> Workload::TimeWaiting() {
  WaitingMeter meter(forward_->link());
  forward_->Run(tokens_, meter);
  return meter.splits();
}

CounterEvidence Workload::Count(Counters& counters, Progress& progress) {
  CounterEvidence evidence;
  if (counters.Has(CounterQuantity::kFlops)) evidence.check = CheckCounters(counters);
  PassProgress pass_progress(progress, "hardware counters", forward_->shape().num_layers);
  OpMeter<Counters&> meter(counters, &pass_progress);
  forward_->Run(tokens_, meter);
  progress.Clear();
  for (const Op& op : forward_->ops()) evidence.by_op.push_back(meter.of(op.id));
  return evidence;
}

PassTrace Workload::Trace(Progress& progress) {
  PassTrace trace;
  const double peak_before = MeasureFmaPeak(settings_.threads);
  try {
    TraceObserver observer(settings_.threads,
                           {progress, "trace", forward_->shape().num_layers, work_});
    forward_->Run(tokens_, observer);
    trace.slices = observer.Finish();
  } catch (const Interrupted&) {
    progress.Clear();
    return {};
  }
  progress.Clear();
  trace.peaks_flops_per_s = {(peak_before + MeasureFmaPeak(settings_.threads)) / 2};
  const RunShape& shape = forward_->shape();
  const KernelFacts kernels = FactsOf(settings_.kernels);
  SetFlops(trace.slices, [&](const Op& op) {
    return FlopsExecuted(own_, shape, op, kernels) / Executions(op, shape);
  });
  return trace;
}

void Workload::RunUpTo(const Op& op) {
  for (const Op& before : forward_->ops()) {
    if (before.id == op.id) return;
    forward_->Execute(before, forward_->Bind(before, before.per_layer ? 0 : -1), tokens_);
  }
}

void Workload::TimeOp(benchmark::State& state, const Op& op) {
  UseThreads(settings_.threads);
  const int64_t layer = op.per_layer ? 0 : -1;
  const Operands<float> operands = forward_->Bind(op, layer);
  RunUpTo(op);
  CheckOperands(operands);
  const bool in_place = operands.a.data == operands.y.data;
  const auto bytes = static_cast<std::size_t>(operands.y.rows * operands.y.stride) * sizeof(float);
  std::vector<float> input;
  if (in_place) input.assign(operands.y.data, operands.y.data + bytes / sizeof(float));

  OpVerifier verifier(*forward_, tokens_);
  verifier.Before(op, layer, operands);
  forward_->Execute(op, operands, tokens_);
  verifier.After(op, layer, operands);
  if (!verifier.result().ok()) {
    state.SkipWithError(verifier.result().first_failure.c_str());
    return;
  }
  Trial trial;
  const ActivityWatch watch;
  trial.peak_before_flops_per_s = MeasureFmaPeak(settings_.threads);
  double seconds = 0;
  for (auto _ : state) {
    if (in_place) std::memcpy(operands.y.data, input.data(), bytes);
    const auto start = Clock::now();
    forward_->Execute(op, operands, tokens_);
    const double elapsed = SecondsSince(start);
    state.SetIterationTime(elapsed);
    seconds += elapsed;
    benchmark::ClobberMemory();
  }
  trial.peak_after_flops_per_s = MeasureFmaPeak(settings_.threads);
  trial.activity = watch.Stop();
  MarkDisturbed({&trial, 1}, TeamOf(settings_));
  if (!trial.disturbed.empty()) state.SetLabel("disturbed: " + trial.disturbed);
  if (counters().Has(CounterQuantity::kInstructions)) {
    counters().Start();
    forward_->Execute(op, operands, tokens_);
    ExportCounters(state, counters().Stop());
  }
  if (in_place) std::memcpy(operands.y.data, input.data(), bytes);

  // Products count what the mask keeps; what is no product has FLOPs only under `all`.
  using benchmark::Counter;
  const RunShape one_layer = settings_.OneLayer();
  const auto causal = OpFlops(settings_.model, one_layer, op, Convention::kCausal);
  const Convention convention = causal > 0 ? Convention::kCausal : Convention::kAll;
  ExportFlops(state, {&op, 1}, one_layer, convention);
  const double flops = state.counters["predicted_flops"];
  const auto traffic = static_cast<double>(OpBytes(settings_.model, one_layer, op));
  state.counters["FLOP/s"] = Counter(flops, Counter::kIsIterationInvariantRate);
  state.counters["bytes/s"] = Counter(traffic, Counter::kIsIterationInvariantRate);
  const auto executed = state.counters.find("executed_flops");
  state.counters["of_peak"] = (executed == state.counters.end() ? flops : executed->second.value) *
                              static_cast<double>(state.iterations()) / seconds / trial.peak();
}

void Workload::ExportFlops(benchmark::State& state, std::span<const Op> ops, const RunShape& shape,
                           Convention convention) {
  if (!samples_) {
    const CountRequest request{settings_.model, settings_.context, settings_.batch,
                               settings_.kernels};
    samples_ = IsCountable(settings_.kernels) ? CountSamples(request) : SampleResult{};
    UseThreads(settings_.threads);
  }
  const KernelFacts facts = FactsOf(settings_.kernels);
  int64_t predicted = 0, executed = 0, counted = 0;
  bool has_executed = true;
  for (const Op& op : ops) {
    predicted += OpFlops(settings_.model, shape, op, convention);
    const auto formula = ExecutedFlops(settings_.model, shape, op, facts);
    has_executed = has_executed && formula.has_value();
    executed += formula.value_or(0);
    for (const auto& [id, flops] : samples_->counted) counted += id == op.id ? flops : 0;
  }
  state.counters["predicted_flops"] = static_cast<double>(predicted);
  if (has_executed) state.counters["executed_flops"] = static_cast<double>(executed);
  if (samples_->samples > 0) {
    state.counters["sample_counted_flops"] = static_cast<double>(counted);
  }
}

Counters& Workload::counters() {
  if (!counters_) counters_ = std::make_unique<Counters>(settings_.threads);
  return *counters_;
}

void ExportCounters(benchmark::State& state, const CounterFigures& figures) {
  if (figures.instructions) state.counters["instructions"] = *figures.instructions;
  if (figures.instructions && figures.cycles.value_or(0) > 0) {
    state.counters["ipc"] = *figures.instructions / *figures.cycles;
  }
  if (figures.cache_misses) state.counters["llc_misses"] = *figures.cache_misses;
}

TeamFacts TeamOf(const RunSettings& settings) {
  TeamFacts team{.threads = settings.threads,
                 .processors = static_cast<int64_t>(InitialAffinity().size()),
                 .calibrated_flops_per_s = {}};
  if (!settings.calibration) return team;
  // The ranks of a host share its clock: what as many threads reach there together.
  const int64_t ranks_here = settings.team != nullptr ? settings.team->ranks_here : 1;
  const Ceilings* ceilings =
      FindCeilings(settings.calibration->ceilings, settings.threads * ranks_here);
  if (ceilings != nullptr) {
    team.calibrated_flops_per_s = ceilings->peak_flops_per_s() *
                                  static_cast<double>(settings.shard().ranks) /
                                  static_cast<double>(ranks_here);
  }
  return team;
}

double MeasureObserverSeconds() {
  const std::vector<Op> ops =
      ForwardOps(Presets().front(), {.context = 1, .batch = 1, .num_layers = 1});
  std::ostream nowhere(nullptr);
  Progress progress(nowhere, false);
  PassProgress pass_progress(progress, "", 1);
  OpTimer timer({}, &pass_progress);
  const Operands<float> operands;
  constexpr int kCalls = 100'000;
  const auto start = Clock::now();
  for (int i = 0; i < kCalls; ++i) {
    const Op& op = ops[static_cast<std::size_t>(i) % ops.size()];
    timer.Before(op, 0, operands);
    timer.After(op, 0, operands);
  }
  return SecondsSince(start) / kCalls;
}

}  // namespace flopledger
