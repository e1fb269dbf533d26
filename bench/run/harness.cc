#include "bench/run/harness.h"

#include <benchmark/benchmark.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <omp.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <utility>

#include "analysis/text/stats.h"
#include "analysis/text/table.h"
#include "bench/calibration/calibrate.h"
#include "bench/machine/interrupt.h"
#include "bench/machine/machine.h"
#include "bench/machine/stopwatch.h"
#include "bench/run/decode.h"
#include "bench/run/predictions.h"
#include "kernels/matmul_library.h"
#include "model/checked.h"
#include "model/input_error.h"
#include "model/spread_tokens.h"

namespace flopledger {

namespace {

struct Interrupted {};

/// Adds up each op's seconds over the passes of a trial, and shows how far the pass is.
class OpTimer {
 public:
  OpTimer(std::span<const Op> ops, int64_t num_layers, Progress& progress, std::string label)
      : ops_(ops),
        num_layers_(num_layers),
        progress_(progress),
        label_(std::move(label)),
        seconds_(ops.size(), 0.0) {}

  void BeginPass() { pass_start_ = Clock::now(); }

  void Before(const Op&, int64_t, const Operands<float>&) { op_start_ = Clock::now(); }

  void After(const Op& op, int64_t layer, const Operands<float>&) {
    seconds_[static_cast<std::size_t>(&op - ops_.data())] += SecondsSince(op_start_);
    if (interrupted) throw Interrupted{};
    if (op.id == OpId::kFfnResidual) ShowLayer(layer + 1);
  }

  const std::vector<double>& seconds() const { return seconds_; }

 private:
  void ShowLayer(int64_t done) {
    if (!progress_.Due()) return;
    const double left = SecondsSince(pass_start_) * static_cast<double>(num_layers_ - done) /
                        static_cast<double>(done);
    progress_.Show(fmt::format("{}: layer {} of {}, about {:.0f} s left in the layers", label_,
                               done, num_layers_, left));
  }

  std::span<const Op> ops_;
  int64_t num_layers_;
  Progress& progress_;
  std::string label_;
  std::vector<double> seconds_;
  Clock::time_point pass_start_{}, op_start_{};
};

/// Checks each op and shows how far the pass is.
class VerifyingObserver {
 public:
  VerifyingObserver(OpVerifier& verifier, int64_t num_layers, Progress& progress)
      : verifier_(verifier), num_layers_(num_layers), progress_(progress) {}

  void Before(const Op& op, int64_t layer, const Operands<float>& operands) {
    verifier_.Before(op, layer, operands);
  }
  void After(const Op& op, int64_t layer, const Operands<float>& operands) {
    verifier_.After(op, layer, operands);
    if (interrupted) throw Interrupted{};
    if (layer >= 0) {
      progress_.Show(
          fmt::format("warm-up and verification: layer {} of {}", layer + 1, num_layers_));
    }
  }

 private:
  OpVerifier& verifier_;
  int64_t num_layers_;
  Progress& progress_;
};

/// Adds up each op's counters over one pass.
class CountingObserver {
 public:
  CountingObserver(std::span<const Op> ops, Counters& counters, Progress& progress)
      : ops_(ops), counters_(counters), progress_(progress), figures_(ops.size()) {}

  void Before(const Op&, int64_t, const Operands<float>&) { counters_.Start(); }
  void After(const Op& op, int64_t layer, const Operands<float>&) {
    figures_[static_cast<std::size_t>(&op - ops_.data())] += counters_.Stop();
    if (interrupted) throw Interrupted{};
    if (layer >= 0) progress_.Show(fmt::format("hardware counters: layer {}", layer + 1));
  }

  std::vector<CounterFigures>& figures() { return figures_; }

 private:
  std::span<const Op> ops_;
  Counters& counters_;
  Progress& progress_;
  std::vector<CounterFigures> figures_;
};

/// Keeps Google Benchmark's own table and remarks off the terminal.
class SilentReporter : public benchmark::BenchmarkReporter {
 public:
  SilentReporter() {
    SetOutputStream(&nowhere_);
    SetErrorStream(&nowhere_);
  }
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>&) override {}

 private:
  std::ostream nowhere_{nullptr};
};

/// The kernels' own working memory: attention's tiles, and what pads the rows of activations.
int64_t ScratchBytes(const RunSettings& settings) {
  const ModelConfig& model = settings.model;
  const AttentionShape attention{settings.batch, settings.context, model.num_heads,
                                 model.num_kv_heads, model.head_size()};
  constexpr int64_t kPadding = 6 * 31;  // floats a row, of six activations at most
  const int64_t floats = settings.batch * settings.context * kPadding +
                         settings.threads * FusedScratch<float>::Size(attention);
  return floats * static_cast<int64_t>(sizeof(float));
}

int64_t NeededBytes(std::span<const RunSettings> side_by_side, int64_t layers) {
  // The program itself, thread stacks and the kernels' packing buffers.
  constexpr int64_t kOverhead = int64_t{128} << 20;
  int64_t bytes = 0;
  bool has_layout[2] = {false, false};  // plain, packed: filled once for all that read it
  for (const RunSettings& settings : side_by_side) {
    const MemoryFigures memory = CountMemory(settings.model, settings.Shape(layers));
    bytes += memory.activation_bytes + ScratchBytes(settings) + kOverhead;
    if (settings.decode > 0) bytes += DecodeBytes(settings, layers) + SpeedProbe::Bytes({});
    bool& has = has_layout[FindMatmul<float>(settings.matmul)->packs_weights ? 1 : 0];
    if (!std::exchange(has, true)) bytes += memory.weights_bytes;
    if (settings.calibration) bytes += SpeedProbe::Bytes({});
  }
  return bytes;
}

/// Google Benchmark runs trials to find its number of iterations, then those that count: they are
/// the ones with as many passes as the last.
std::vector<Trial> Accepted(const std::vector<Trial>& trials) {
  std::vector<Trial> accepted;
  for (const Trial& trial : trials) {
    if (trial.passes == trials.back().passes) accepted.push_back(trial);
  }
  return accepted;
}

std::string NewRunId(const ModelConfig& model) {
  const auto now =
      std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
  return fmt::format("{}-{:%Y%m%dT%H%M}{:%S}Z", model.name,
                     fmt::gmtime(std::chrono::system_clock::to_time_t(now)),
                     now.time_since_epoch());
}

/// Hands `flags` to Google Benchmark. Throws InputError for one that it does not take.
void InitializeGoogleBenchmark(const std::vector<std::string>& flags) {
  std::vector<std::string> words = {"flopledger", "--benchmark_repetitions=3",
                                    "--benchmark_enable_random_interleaving=true"};
  words.insert(words.end(), flags.begin(), flags.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  int argc = static_cast<int>(argv.size());
  benchmark::Initialize(&argc, argv.data());
  if (argc > 1) {
    throw InputError(
        fmt::format("'{}' is no flag, or no value of one, that Google Benchmark takes", argv[1]));
  }
}

Record BaseRecord(const RunSettings& settings, int64_t layers_run, const std::string& run_id,
                  std::span<const Trial> trials) {
  Record record;
  record.run_id = run_id;
  record.model = settings.model.name;
  record.context = settings.context;
  record.batch = settings.batch;
  record.layers_run = layers_run;
  record.layers_total = settings.model.num_layers;
  record.threads = settings.threads;
  record.matmul = settings.matmul;
  record.attention = settings.attention;
  record.convention = InfoOf(settings.convention).name;
  record.repetitions = static_cast<int64_t>(trials.size());
  std::vector<double> peaks;
  for (const Trial& trial : trials) peaks.push_back(trial.peak() / 1e9);
  record.peak_gflops = Median(peaks);
  return record;
}

/// Times, rates and shares from a row's samples; `samples[i]` belongs to trials[i].
void SetTimes(Record& record, std::vector<double> samples, std::span<const Trial> trials) {
  record.time_s = Median(samples);
  record.time_mad_s = MedianAbsoluteDeviation(samples);
  const auto flops = static_cast<double>(record.predicted_flops.value_or(0));
  if (flops > 0) {
    std::vector<double> shares;
    for (std::size_t i = 0; i < samples.size(); ++i) {
      shares.push_back(100 * flops / samples[i] / trials[i].peak());
    }
    record.gflops = flops / *record.time_s / 1e9;
    record.pct_peak = Median(shares);
  }
  record.samples_s = std::move(samples);
}

void SetBytes(Record& record, int64_t bytes) {
  record.bytes = bytes;
  if (bytes > 0 && record.predicted_flops.value_or(0) > 0) {
    record.intensity = static_cast<double>(*record.predicted_flops) / static_cast<double>(bytes);
  }
}

/// measured / predicted, where both are known and the prediction is not nothing.
void SetRatio(Record& record) {
  if (record.measured_flops && record.predicted_flops.value_or(0) > 0) {
    record.flops_ratio =
        static_cast<double>(*record.measured_flops) / static_cast<double>(*record.predicted_flops);
  }
}

/// Instructions, cycles and memory traffic of one op's counters.
void SetCounters(Record& row, const CounterFigures& figures) {
  constexpr double kLineBytes = 64;
  row.instructions = figures.instructions;
  row.cycles = figures.cycles;
  row.llc_misses = figures.cache_misses;
  if (figures.instructions && figures.cycles.value_or(0) > 0) {
    row.ipc = *figures.instructions / *figures.cycles;
  }
  if (figures.cache_misses) row.memory_bytes = kLineBytes * *figures.cache_misses;
  row.counter_scale = figures.scale;
}

/// Fills the measured columns of an op that executes `executions` times in a pass. Counters that
/// can be trusted come first, then the exact count, then counters that cannot, marked as such.
void SetMeasuredFlops(Record& row, OpId id, int64_t executions, const CounterFigures* figures,
                      const FlopsEvidence& evidence) {
  const bool has_pmu = figures != nullptr && figures->flops.has_value();
  const bool trusted = has_pmu && evidence.counters->check.passed();
  if (trusted || (has_pmu && evidence.mode != CountMode::kFull)) {
    row.measured_flops = std::llround(*figures->flops);
    row.flops_source = trusted ? "pmu" : "untrusted";
    if (!trusted) {
      row.flops_note = fmt::format(
          "the counters read {:.0f} FLOPs of a kernel that executes {}: do not rely on them",
          evidence.counters->check.counted, evidence.counters->check.executed);
    }
  } else if (evidence.mode == CountMode::kFull) {
    const auto count = std::ranges::find(evidence.counts, id, &OpCount::id);
    row.measured_flops = count->tally.flops() * executions;
    row.flops_source = "counted";
    row.executions_per_count = executions;
  } else if (evidence.mode == CountMode::kSample) {
    const auto met = std::ranges::find(evidence.sampled.met, id, &std::pair<OpId, int64_t>::first);
    const int64_t samples = evidence.sampled.samples;
    if (met->second == samples) {
      row.flops_source = "confirmed";
      row.confirmed_samples = samples;
      row.flops_note = fmt::format(
          "not counted at this shape; the executed formula met {} counted "
          "samples at small shapes",
          samples);
    } else {
      row.flops_note = fmt::format("{} {} of {} counted samples", kFormulaMissed,
                                   samples - met->second, samples);
    }
  } else {
    row.flops_note = evidence.none_because;
  }
  SetRatio(row);
}

/// The total's FLOPs are the sum of its rows', where every row has them from the same source.
void SetTotalFlops(Record& total, std::span<const Record> rows) {
  const Record& first = rows.front();
  const auto same_source = [&](const Record& row) {
    return row.flops_source == first.flops_source;
  };
  const bool all_measured =
      std::ranges::all_of(rows, [](const Record& row) { return row.measured_flops.has_value(); });
  const bool all_executed =
      std::ranges::all_of(rows, [](const Record& row) { return row.executed_flops.has_value(); });
  if (all_executed) {
    total.executed_flops = 0;
    for (const Record& row : rows) *total.executed_flops += *row.executed_flops;
  }
  if (all_measured) {
    total.measured_flops = 0;
    for (const Record& row : rows) *total.measured_flops += *row.measured_flops;
  }
  if (std::ranges::all_of(rows, same_source)) {
    total.flops_source = first.flops_source;
    total.confirmed_samples = first.confirmed_samples;
    total.flops_note = first.flops_note;
  } else {
    total.flops_note = "the operations' sources differ";
  }
  SetRatio(total);
}

}  // namespace

LayerPlan PlanLayers(std::span<const RunSettings> side_by_side) {
  const RunSettings& settings = side_by_side.front();
  LayerPlan plan;
  plan.available_bytes =
      settings.max_memory_bytes ? settings.max_memory_bytes : AvailableMemoryBytes();
  plan.whole_bytes = NeededBytes(side_by_side, settings.model.num_layers);
  plan.layers = settings.layers.value_or(settings.model.num_layers);
  const auto fits = [&](int64_t layers) {
    return !plan.available_bytes || NeededBytes(side_by_side, layers) <= *plan.available_bytes;
  };
  if (!fits(plan.layers)) {
    const int64_t least = settings.layers.value_or(1);
    if (!fits(least)) {
      throw CannotMeasure(fmt::format(
          "{} layer{} of {} at context {}, batch {} need{} {}, and {} can be had; use a shorter "
          "--context or a smaller model",
          least, least == 1 ? "" : "s", settings.model.name, settings.context, settings.batch,
          least == 1 ? "s" : "", HumanBytes(NeededBytes(side_by_side, least)),
          HumanBytes(*plan.available_bytes)));
    }
    plan.cut_by_memory = true;
    int64_t fitting = least, too_many = plan.layers;
    while (too_many - fitting > 1) {
      const int64_t middle = fitting + (too_many - fitting) / 2;
      (fits(middle) ? fitting : too_many) = middle;
    }
    plan.layers = fitting;
  }
  plan.needed_bytes = NeededBytes(side_by_side, plan.layers);
  return plan;
}

std::shared_ptr<const Weights<float>> WeightStore::Get(const RunSettings& settings, int64_t layers,
                                                       bool packed) {
  std::shared_ptr<const Weights<float>>& weights = packed ? packed_ : plain_;
  if (!weights) {
    weights = std::make_shared<const Weights<float>>(
        SeededWeights<float>(settings.model, layers, settings.seed, packed));
  }
  FL_CHECK(static_cast<int64_t>(weights->layers.size()) == layers, layers);
  return weights;
}

Workload::Workload(const RunSettings& settings, int64_t layers, WeightStore& weights)
    : settings_(settings) {
  omp_set_num_threads(settings.threads);
  const MatmulBackend<float>& matmul = *FindMatmul<float>(settings.matmul);
  weights_ = weights.Get(settings, layers, matmul.packs_weights);
  tokens_ = SpreadTokens(settings.batch * settings.context, settings.model.vocab_size);
  forward_ =
      std::make_unique<Forward<float>>(settings_.model, *weights_, settings.Shape(layers), matmul);
  if (settings.calibration) {
    const Weight<float>& table = weights_->Unembedding();
    speed_ = std::make_unique<SpeedProbe>(
        std::span(table.data(), static_cast<std::size_t>(table.stored_size())));
  }
}

Verification Workload::Verify(Progress& progress) {
  OpVerifier verifier(*forward_, tokens_);
  VerifyingObserver observer(verifier, forward_->shape().num_layers, progress);
  forward_->Run(tokens_, observer);
  progress.Clear();
  return verifier.result();
}

Trial Workload::Time(benchmark::State& state, Progress& progress) {
  Trial trial;
  const int64_t layers = forward_->shape().num_layers;
  OpTimer timer(forward_->ops(), layers, progress, "timing");
  double seconds = 0;
  const auto before = speed_ ? speed_->Measure(settings_.threads) : SpeedProbe::Rates{};
  trial.peak_before_flops_per_s = MeasureFmaPeak(settings_.threads);
  for (auto _ : state) {
    const auto start = Clock::now();
    timer.BeginPass();
    try {
      forward_->Run(tokens_, timer);
    } catch (const Interrupted&) {
      state.SkipWithError("interrupted");
      break;
    }
    seconds += SecondsSince(start);
    ++trial.passes;
  }
  benchmark::DoNotOptimize(forward_->logits().data);
  trial.peak_after_flops_per_s = MeasureFmaPeak(settings_.threads);
  if (speed_) {
    const auto after = speed_->Measure(settings_.threads);
    trial.read_bytes_per_s = (before.read_bytes_per_s + after.read_bytes_per_s) / 2;
    trial.product_flops_per_s = (before.product_flops_per_s + after.product_flops_per_s) / 2;
  }
  progress.Clear();
  if (trial.passes == 0) return trial;
  const auto passes = static_cast<double>(trial.passes);
  trial.pass_s = seconds / passes;
  for (const double op_seconds : timer.seconds()) trial.op_s.push_back(op_seconds / passes);
  return trial;
}

CounterEvidence Workload::Count(Counters& counters, Progress& progress) {
  CounterEvidence evidence;
  if (counters.Has(Quantity::kFlops)) evidence.check = CheckCounters(counters);
  CountingObserver observer(forward_->ops(), counters, progress);
  forward_->Run(tokens_, observer);
  progress.Clear();
  evidence.by_op = std::move(observer.figures());
  return evidence;
}

std::vector<Slice> Workload::Trace(Progress& progress) {
  TraceObserver observer(settings_.threads, progress);
  try {
    forward_->Run(tokens_, observer);
  } catch (const TraceObserver::Interrupted&) {
    progress.Clear();
    return {};
  }
  return observer.Finish();
}

void Workload::TimeOp(benchmark::State& state, const Op& op) {
  const int64_t layer = op.per_layer ? 0 : -1;
  const Operands<float> operands = forward_->Bind(op, layer);
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
  const double peak_before = MeasureFmaPeak(settings_.threads);
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
  const double peak = (peak_before + MeasureFmaPeak(settings_.threads)) / 2;
  if (counters().Has(Quantity::kInstructions)) {
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
  state.counters["of_peak"] = flops * static_cast<double>(state.iterations()) / seconds / peak;
}

void Workload::ExportFlops(benchmark::State& state, std::span<const Op> ops, const RunShape& shape,
                           Convention convention) {
  if (!samples_) {
    const bool countable = FindMatmul<Counted<float>>(settings_.matmul) != nullptr;
    samples_ = countable ? CountSamples({settings_.model, settings_.context, settings_.batch,
                                         settings_.matmul, settings_.attention})
                         : SampleResult{};
    omp_set_num_threads(settings_.threads);
  }
  const KernelFacts facts = FactsOf(settings_.matmul, settings_.attention);
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

double MeasureObserverSeconds() {
  const ModelConfig& model = Presets().front();
  const std::vector<Op> ops = ForwardOps(model, {.context = 1, .batch = 1, .num_layers = 1});
  std::ostream nowhere(nullptr);
  Progress progress(nowhere, false);
  OpTimer timer(ops, 1, progress, "");
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

std::vector<Record> MakeRecords(const RunSettings& settings, int64_t layers_run,
                                std::span<const Op> ops, std::span<const Trial> trials,
                                const std::string& run_id, const FlopsEvidence& evidence) {
  const RunShape shape = settings.Shape(layers_run);
  const ModelConfig& model = settings.model;
  const Record base = BaseRecord(settings, layers_run, run_id, trials);
  std::vector<Record> rows;
  Record total = base;
  total.op = total.kind = "total";
  total.predicted_flops = 0;
  int64_t total_bytes = 0;
  for (std::size_t i = 0; i < ops.size(); ++i) {
    const Op& op = ops[i];
    Record row = base;
    row.op = op.name();
    row.kind = KindName(op.kind);
    row.m = op.m;
    row.n = op.n;
    if (op.k > 0) row.k = op.k;
    row.count = TotalCount(op, shape);
    row.predicted_flops = OpFlops(model, shape, op, settings.convention);
    row.executed_flops =
        ExecutedFlops(model, shape, op, FactsOf(settings.matmul, settings.attention));
    const CounterFigures* figures = evidence.counters ? &evidence.counters->by_op[i] : nullptr;
    if (figures != nullptr) SetCounters(row, *figures);
    SetMeasuredFlops(row, op.id, *row.count / op.products, figures, evidence);
    SetBytes(row, OpBytes(model, shape, op));
    std::vector<double> samples;
    for (const Trial& trial : trials) samples.push_back(trial.op_s[i]);
    SetTimes(row, std::move(samples), trials);
    total.predicted_flops = CheckedAdd(*total.predicted_flops, *row.predicted_flops);
    total_bytes = CheckedAdd(total_bytes, *row.bytes);
    rows.push_back(std::move(row));
  }
  SetTotalFlops(total, rows);
  SetBytes(total, total_bytes);
  std::vector<double> passes;
  for (const Trial& trial : trials) passes.push_back(trial.pass_s);
  SetTimes(total, std::move(passes), trials);
  rows.push_back(total);
  if (layers_run == model.num_layers) return rows;

  // What the whole model would take if its other layers ran like those that did. Its time is an
  // extrapolation, in a row of its own: it has no repetitions and no spread.
  Record whole = base;
  whole.op = "total_extrapolated";
  whole.kind = "extrapolated";
  whole.repetitions = 0;
  whole.predicted_flops =
      CountFlops(model, settings.Shape(model.num_layers), settings.convention).total;
  whole.time_s = ExtrapolatePass(model, layers_run, ops, trials).seconds;
  whole.gflops = static_cast<double>(*whole.predicted_flops) / *whole.time_s / 1e9;
  whole.pct_peak = 100 * *whole.gflops / *whole.peak_gflops;
  whole.flops_note = "extrapolated from the layers that ran, not measured";
  rows.push_back(std::move(whole));
  return rows;
}

Extrapolation ExtrapolatePass(const ModelConfig& model, int64_t layers_run, std::span<const Op> ops,
                              std::span<const Trial> trials) {
  std::vector<double> peaks, passes;
  for (const Trial& trial : trials) peaks.push_back(trial.peak());
  const double peak = Median(peaks);
  const double part_s = std::ranges::min_element(trials, {}, &Trial::pass_s)->pass_s;
  for (const Trial& trial : trials) {
    double layer_s = 0;
    for (std::size_t i = 0; i < ops.size(); ++i) {
      if (ops[i].per_layer) layer_s += trial.op_s[i] / static_cast<double>(layers_run);
    }
    const auto missing = static_cast<double>(model.num_layers - layers_run);
    passes.push_back((trial.pass_s + missing * layer_s) * trial.peak() / peak);
  }
  if (passes.size() == 1) return {passes[0], passes[0], passes[0]};
  const Interval next = PredictionInterval(passes, kExtrapolationConfidence);
  const double seconds = Median(passes);
  const double half = std::hypot(next.upper - next.mean, kDriftBetweenRuns * seconds);
  // No pass is shorter than a part of it.
  return {
      .seconds = seconds, .lower = std::max(next.mean - half, part_s), .upper = next.mean + half};
}

Ledger MergedLedger(std::span<const RunResult> results) {
  Ledger merged = results.front().ledger;
  for (const RunResult& result : results.subspan(1)) {
    merged.rows.insert(merged.rows.end(), result.ledger.rows.begin(), result.ledger.rows.end());
  }
  return merged;
}

namespace {

/// The libraries among the backends of a run, each with its version and its file.
nlohmann::json LibrariesOf(std::span<const RunSettings> side_by_side) {
  nlohmann::json versions = nlohmann::json::object();
  for (const RunSettings& settings : side_by_side) {
    for (const MatmulLibrary& library : MatmulLibraries()) {
      if (library.backend.name != settings.matmul) continue;
      versions[settings.matmul] =
          fmt::format("{}, {}", library.load().version, library.load().path);
    }
  }
  return versions;
}

/// One backend of a run, as far as it has come.
struct BackendRun {
  RunSettings settings;
  std::unique_ptr<Workload> workload;
  std::vector<Trial> trials;  // those too in which Google Benchmark looks for its iterations
  RunResult result;
};

/// Takes the memory, fills it and verifies a pass.
void Prepare(BackendRun& run, WeightStore& weights, std::ostream& log, Progress& progress) {
  const RunSettings& settings = run.settings;
  RunResult& result = run.result;
  result.evidence = GatherEvidence(
      settings.count,
      {settings.model, settings.context, settings.batch, settings.matmul, settings.attention}, log,
      progress);
  progress.Show(fmt::format("filling {} of weights", HumanBytes(result.plan.needed_bytes)));
  const auto start = Clock::now();
  run.workload = std::make_unique<Workload>(settings, result.plan.layers, weights);
  result.start_up_s = SecondsSince(start);
  result.ledger.environment["start_up_s"] = result.start_up_s;
  result.observer_s = MeasureObserverSeconds();
  result.ledger.environment["observer_ns_per_op"] = result.observer_s * 1e9;
  result.verification = run.workload->Verify(progress);
}

/// Leaves the extrapolation's interval in the ledger, where it has one.
void DescribeExtrapolation(const ModelConfig& model, RunResult& result) {
  if (result.trials.size() < 2) return;
  result.ledger.environment["extrapolation"] = {
      {"layers_run", result.plan.layers},        {"layers_total", model.num_layers},
      {"seconds", result.extrapolated->seconds}, {"low_s", result.extrapolated->lower},
      {"high_s", result.extrapolated->upper},    {"confidence", kExtrapolationConfidence}};
}

/// Fills the predicted columns, and leaves in the ledger what they stand on.
void Predict(const RunSettings& settings, RunResult& result) {
  const Calibration& calibration = *settings.calibration;
  const MachineSpeed speed = SpeedAround(result.trials, calibration, settings.threads);
  result.unpredicted_because =
      SetPredictions(result.ledger.rows, settings, result.plan.layers, calibration, speed);
  result.ledger.environment["calibration"] = {
      {"taken", calibration.taken},
      {"ceilings", CeilingsToJson(calibration)},
      {"scaled_to",
       {{"peak_flops_per_s", speed.peak_flops_per_s},
        {"product_flops_per_s", speed.product_flops_per_s},
        {"read_bytes_per_s", speed.read_bytes_per_s}}},
      {"total_by_the_peak_alone_s",
       PredictedByPeakAlone(settings, result.plan.layers, calibration, speed.peak_flops_per_s)}};
}

void MakeRows(BackendRun& run, const std::string& run_id) {
  RunResult& result = run.result;
  result.trials = Accepted(run.trials);
  result.ledger.rows = MakeRecords(run.settings, result.plan.layers, run.workload->forward().ops(),
                                   result.trials, run_id, result.evidence);
  const std::span<const Op> ops = run.workload->forward().ops();
  const ModelConfig& model = run.settings.model;
  if (result.plan.layers < model.num_layers) {
    result.extrapolated = ExtrapolatePass(model, result.plan.layers, ops, result.trials);
    DescribeExtrapolation(model, result);
  }
  if (run.settings.calibration) Predict(run.settings, result);
}

/// One more pass, with the hardware counters read around each op; `environment` says what they are.
void CountByHardware(BackendRun& run, const std::string& run_id, Progress& progress) {
  if (!run.settings.counters || run.result.trials.empty() || interrupted) return;
  Counters counters(run.settings.threads);
  RunResult& result = run.result;
  result.counters_line =
      counters.Has(Quantity::kInstructions)
          ? fmt::format(
                "hardware counters: {}{}{}", fmt::join(counters.available(), ", "),
                counters.Has(Quantity::kFlops) ? "" : "; no FLOPs: ", counters.no_flops_because())
          : "hardware counters: unavailable: " + counters.unavailable().front().reason;
  result.ledger.environment["counters"] = result.counters_line;
  if (!counters.Has(Quantity::kInstructions) && !counters.Has(Quantity::kFlops)) return;
  try {
    result.evidence.counters = run.workload->Count(counters, progress);
    MakeRows(run, run_id);
  } catch (const Interrupted&) {  // the ledger stands without them
  }
}

/// Decodes, where that is asked for, as often as passes were timed.
void DecodeAfter(BackendRun& run, Progress& progress) {
  RunResult& result = run.result;
  if (run.settings.decode == 0 || result.trials.empty() || interrupted) return;
  const auto decode = std::make_shared<const DecodeResult>(
      Decode(run.settings, result.plan.layers, run.workload->weights(),
             static_cast<int>(result.trials.size()), progress));
  if (!decode->verification.ok()) result.verification = decode->verification;
  if (decode->total.seconds.empty()) return;
  result.decode = decode;
  result.ledger.environment["decode"] = ToJson(*decode);
}

std::vector<RunResult> ResultsOf(const std::vector<BackendRun>& runs) {
  std::vector<RunResult> results;
  for (const BackendRun& run : runs) results.push_back(run.result);
  return results;
}

}  // namespace

std::vector<RunResult> RunUnderGoogleBenchmark(std::span<const RunSettings> side_by_side,
                                               const std::vector<std::string>& benchmark_flags,
                                               std::ostream& log, bool on_terminal,
                                               const std::function<void(const Ledger&)>& on_trial) {
  InitializeGoogleBenchmark(benchmark_flags);
  const RunSettings& first = side_by_side.front();
  const LayerPlan plan = PlanLayers(side_by_side);
  const std::string run_id = NewRunId(first.model);
  Progress progress(log, on_terminal);
  omp_set_num_threads(first.threads);

  nlohmann::json environment = DescribeEnvironment();
  environment["model"] = ToJson(first.model);
  environment["seed"] = first.seed;
  environment["run_id"] = run_id;
  environment["matmul_libraries"] = LibrariesOf(side_by_side);
  const auto steal_before = StealSeconds();

  WeightStore weights;
  std::vector<BackendRun> runs;
  for (const RunSettings& settings : side_by_side) {
    runs.push_back({.settings = settings, .workload = {}, .trials = {}, .result = {}});
    runs.back().result.plan = plan;
    runs.back().result.ledger.environment = environment;
  }

  benchmark::ClearRegisteredBenchmarks();
  for (BackendRun& run : runs) {
    const auto repeat = [&](benchmark::State& state) {
      const Verification& verification = run.result.verification;
      try {  // once, and only if the filter selects this benchmark at all
        if (!run.workload) Prepare(run, weights, log, progress);
      } catch (const Interrupted&) {
        return state.SkipWithError("interrupted");
      }
      if (!verification.ok()) return state.SkipWithError(verification.first_failure.c_str());
      const Trial trial = run.workload->Time(state, progress);
      if (interrupted || trial.passes == 0) return;
      run.trials.push_back(trial);
      MakeRows(run, run_id);
      on_trial(MergedLedger(ResultsOf(runs)));
    };
    const RunSettings& settings = run.settings;
    const std::string name = fmt::format("forward/{}/{}/context:{}/batch:{}/layers:{}/threads:{}",
                                         settings.model.name, settings.matmul, settings.context,
                                         settings.batch, plan.layers, settings.threads);
    benchmark::RegisterBenchmark(name.c_str(), repeat)
        ->UseRealTime()
        ->Unit(benchmark::kMillisecond);
  }
  SilentReporter reporter;
  benchmark::RunSpecifiedBenchmarks(&reporter);
  benchmark::ClearRegisteredBenchmarks();

  for (BackendRun& run : runs) {
    CountByHardware(run, run_id, progress);
    RunResult& result = run.result;
    if (run.settings.trace && !result.trials.empty() && !interrupted) {
      result.trace = run.workload->Trace(progress);
    }
    DecodeAfter(run, progress);
    result.was_interrupted = interrupted;
    if (steal_before) result.ledger.environment["steal_s"] = *StealSeconds() - *steal_before;
  }
  return ResultsOf(runs);
}

}  // namespace flopledger
