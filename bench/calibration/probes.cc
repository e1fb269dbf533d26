#include "bench/calibration/probes.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <set>
#include <tuple>
#include <utility>

#include "analysis/accounting/accounting.h"
#include "analysis/prediction/contradictions.h"
#include "analysis/text/stats.h"
#include "analysis/text/table.h"
#include "bench/machine/interrupt.h"
#include "bench/machine/machine.h"
#include "bench/machine/op_meter.h"
#include "bench/machine/stopwatch.h"
#include "bench/machine/threads.h"
#include "kernels/matmul_library.h"
#include "model/forward.h"
#include "model/input_error.h"
#include "model/spread_tokens.h"

namespace flopledger {
namespace {

// Weights of a pass come from memory in a model of real size; a probe's layers are as many as make
// so, for few positions. For many, two layers do: what lies between pushes the weights out.
constexpr int64_t kStreamedBytes = int64_t{96} << 20;
constexpr int64_t kMostLayers = 8, kLayersOfLong = 2;
constexpr int64_t kLongContext = 512;
// Longer passes (all threads) are not sampled: beyond them a product's cost is taken as constant.
// With fewer threads those are left out that would take longer than so.
constexpr double kLongestPass = 1, kLongestOfFewThreads = 4;
// A visit repeats a short pass for at least that long.
constexpr double kVisitSeconds = 0.04;
constexpr int64_t kMostPasses = 40;
// Other backends than the first, and reference attention, are visited once in so many rounds.
constexpr int64_t kRoundsAVisitOfOthers = 3;
constexpr int64_t kLongestOfOthers = 512;  // their longest context
// Ceilings are measured that often, but where many threads or a busy machine make a round long, so
// many times its length apart.
constexpr double kSecondsBetweenCeilings = 5, kTimesACeilingsRound = 4;
// Within this share of the time models are filled for every context, after it for the essential
// ones.
constexpr double kShareForFilling = 0.4;

struct ProbeRow {
  int64_t d_model, heads, kv_heads, d_ff, vocab;
  Ffn ffn;
  Norm norm;
  Position position;
  int64_t longest_context;
  bool by_others;
};
// Sizes lie around those of GPT-2 (768, 1,024, 1,280, 1,600) and Llama, and are none of them.
constexpr ProbeRow kProbes[] = {
    {512, 8, 8, 2048, 4096, Ffn::kGeluTanh, Norm::kLayerNorm, Position::kLearned, 4096, false},
    {640, 5, 5, 2560, 32000, Ffn::kSwiglu, Norm::kRmsNorm, Position::kRope, 1024, true},
    {960, 15, 15, 3840, 4096, Ffn::kGeluTanh, Norm::kLayerNorm, Position::kLearned, 1024, true},
    {1344, 14, 2, 3584, 8192, Ffn::kSwiglu, Norm::kRmsNorm, Position::kRope, 1024, false},
    {1536, 24, 24, 6144, 4096, Ffn::kGeluTanh, Norm::kLayerNorm, Position::kLearned, 1024, false},
    {448, 7, 7, 1792, 2048, Ffn::kGeluErf, Norm::kRmsNorm, Position::kNone, 1024, false},
    {448, 7, 7, 1792, 2048, Ffn::kRelu, Norm::kLayerNorm, Position::kNone, 1024, false},
};

ProbeModel MakeProbe(const ProbeRow& row) {
  ProbeModel probe;
  probe.longest_context = row.longest_context;
  probe.by_others = row.by_others;
  ModelConfig& model = probe.model;
  model.name = fmt::format("probe-{}", row.d_model);
  model.vocab_size = row.vocab;
  model.context_length = row.longest_context;
  model.num_layers = kMostLayers;
  model.d_model = row.d_model;
  model.num_heads = row.heads;
  model.num_kv_heads = row.kv_heads;
  model.d_ff = row.d_ff;
  model.ffn = row.ffn;
  model.norm = row.norm;
  model.position = row.position;
  model.biases = Biases::OfBlock(row.norm == Norm::kLayerNorm, row.norm);
  return probe;
}

/// Layers whose weights are kStreamedBytes or more, if the model has so many.
int64_t StreamedLayers(const ModelConfig& model) {
  const auto weights = [&](int64_t layers) {
    return CountMemory(model, {.num_layers = layers}).weights_bytes;
  };
  const int64_t layer = weights(2) - weights(1);
  return std::min(model.num_layers, std::max(kLayersOfLong, (kStreamedBytes + layer - 1) / layer));
}

/// One model with its weights and the buffers of each context.
struct Probe {
  ModelConfig model;
  std::string matmul;
  bool is_main = true;  // the first backend, fused attention
  std::shared_ptr<const Weights<float>> weights;
  struct Pass {
    std::unique_ptr<Forward<float>> forward;
    double seconds;  // of the first, by all threads
    bool essential;  // sampled even where the time is up
  };
  std::vector<Pass> passes;
};

using SampleId = std::tuple<std::string, std::string, int64_t, int64_t, int64_t, int64_t>;
/// One visit to an op at one shape.
struct VisitCost {
  double seconds;     // per unit of work
  std::size_t speed;  // the measurement of speed just after it, by index
  int64_t passes;
};

class Prober {
 public:
  Prober(const ProbePlan& plan, std::vector<int> threads, CeilingProbe& ceilings,
         Progress& progress)
      : plan_(plan),
        threads_(std::move(threads)),
        ceilings_(ceilings),
        progress_(progress),
        start_(Clock::now()) {
    UseThreads(threads_.back());
    const auto backends = MatmulBackends<float>();
    for (const ProbeModel& model : plan.models) {
      if (!GivesUp()) Fill(model, backends.front(), /*is_main=*/true);
    }
    for (const ProbeModel& model : plan.models) {
      if (!model.by_others || GivesUp()) continue;
      for (const MatmulBackend<float>& backend : backends) {
        if (!backend.fuses_epilogues) Fill(model, backend, false);  // its products are "packed"
      }
      for (const MatmulLibrary& library : MatmulLibraries()) {
        if (library.load().usable()) Fill(model, library.backend, false);
      }
      shared_weights_ = {};
    }
  }

  /// Whether not even the essential passes are to be finished.
  bool GivesUp() {
    gave_up_ = gave_up_ || SecondsSince(start_) > plan_.give_up_s;
    return gave_up_;
  }
  bool TimeIsUp() const { return SecondsSince(start_) > plan_.seconds; }

  /// In the first round the essential passes come first; whatever else is left out once the time is
  /// up.
  void Round() {
    ++round_;
    round_start_ = Clock::now();
    done_of_round_ = 0;
    for (const bool essential : {true, false}) {
      for (const int threads : threads_) {
        UseThreads(threads);
        Measure(threads);
        for (const auto& probe : probes_) {
          done_of_round_ += 0.5 / static_cast<double>(threads_.size() * probes_.size());
          if (!probe->is_main && round_ % kRoundsAVisitOfOthers != 1) continue;
          for (const auto& pass : probe->passes) {
            if (pass.essential != essential) continue;
            const bool must = round_ == 1 && essential;
            if (must ? GivesUp() : TimeIsUp()) return;
            Visit(*probe, pass, threads);
          }
        }
      }
    }
  }

  Sampling Result() const {
    Sampling result;
    result.gave_up = gave_up_;
    std::vector<OpSample>& samples = result.samples;
    for (const auto& [id, visits] : visits_) {
      const auto& [matmul, op, threads, n, k, m] = id;
      OpSample sample{.matmul = matmul, .op = op, .threads = threads, .m = m, .n = n, .k = k};
      std::vector<double> peak_flops, product_flops, read_bytes;
      for (const VisitCost& visit : Calm(visits, speeds_.at(threads))) {
        const MachineSpeed speed = SpeedAt(visit, speeds_.at(threads));
        peak_flops.push_back(visit.seconds * speed.peak_flops_per_s);
        product_flops.push_back(visit.seconds * speed.product_flops_per_s);
        read_bytes.push_back(visit.seconds * speed.read_bytes_per_s);
        sample.repetitions += visit.passes;
      }
      sample.peak_flops = Median(peak_flops);
      sample.product_flops = Median(product_flops);
      sample.read_bytes = Median(read_bytes);
      sample.spread = MedianAbsoluteDeviation(peak_flops) / sample.peak_flops;
      samples.push_back(std::move(sample));
    }
    for (const auto& [threads, speeds] : speeds_) result.drift[threads] = DriftOf(speeds);
    for (const int threads : threads_) {
      result.passes_planned += passes_not_filled_;
      for (const auto& probe : probes_) {
        for (const auto& pass : probe->passes) {
          ++result.passes_planned;
          result.passes_sampled += visited_.contains({&pass, threads}) ? 1 : 0;
        }
      }
    }
    return result;
  }

 private:
  using Speeds = std::vector<MachineSpeed>;

  /// The medians of the two measurements before a visit and the two after it: one alone is as noisy
  /// as what it is to mend.
  static MachineSpeed SpeedAt(const VisitCost& visit, const Speeds& speeds) {
    const std::size_t begin = visit.speed < 2 ? 0 : visit.speed - 2;
    const std::size_t end = std::min(speeds.size(), visit.speed + 2);
    const auto median = [&](double MachineSpeed::*rate) {
      std::vector<double> values;
      for (std::size_t i = begin; i < end; ++i) values.push_back(speeds[i].*rate);
      return Median(std::move(values));
    };
    return {.peak_flops_per_s = median(&MachineSpeed::peak_flops_per_s),
            .product_flops_per_s = median(&MachineSpeed::product_flops_per_s),
            .read_bytes_per_s = median(&MachineSpeed::read_bytes_per_s)};
  }

  /// Those visits just around which the peak was near the best of the session, if there are any.
  static std::vector<VisitCost> Calm(const std::vector<VisitCost>& visits, const Speeds& speeds) {
    const double best =
        std::ranges::max_element(speeds, {}, &MachineSpeed::peak_flops_per_s)->peak_flops_per_s;
    std::vector<VisitCost> calm;
    for (const VisitCost& visit : visits) {
      const double lower =
          std::min(speeds[visit.speed - 1].peak_flops_per_s, speeds[visit.speed].peak_flops_per_s);
      if (lower >= kCalmPeak * best) calm.push_back(visit);
    }
    return calm.empty() ? visits : calm;
  }

  /// Fills the weights, and goes through the contexts until a pass takes too long.
  void Fill(const ProbeModel& row, const MatmulBackend<float>& backend, bool is_main) {
    Probe& probe = *probes_.emplace_back(std::make_unique<Probe>());
    probe.model = row.model;
    probe.matmul = backend.name;
    probe.is_main = is_main;
    const int64_t layers =
        is_main ? StreamedLayers(probe.model) : std::min(kLayersOfLong, probe.model.num_layers);
    CheckMemory(probe, layers);
    probe.weights = WeightsOf(probe, layers, backend.packs_weights);
    const std::vector<std::size_t> essential = EssentialContexts(plan_.contexts.size(), is_main);
    for (std::size_t i = 0; i < plan_.contexts.size(); ++i) {
      const int64_t context = plan_.contexts[i];
      const bool is_essential = std::ranges::find(essential, i) != essential.end();
      if (context > std::min(row.longest_context, is_main ? INT64_MAX : kLongestOfOthers)) break;
      const RunShape shape{
          .context = context,
          .num_layers = context < kLongContext ? layers : std::min(kLayersOfLong, layers),
          .fused_attention = is_main};
      if (!is_essential && SecondsSince(start_) > kShareForFilling * plan_.seconds) {
        ++passes_not_filled_;
        continue;
      }
      auto forward = std::make_unique<Forward<float>>(probe.model, *probe.weights, shape, backend);
      const auto start = Clock::now();
      OpTimer untimed;
      Run(*forward, untimed);  // the warm-up: pages are touched
      const double seconds = SecondsSince(start);
      if (seconds > kLongestPass && i > 0) break;
      probe.passes.push_back({std::move(forward), seconds, is_essential});
    }
  }

  /// The other backends share their weights.
  std::shared_ptr<const Weights<float>> WeightsOf(const Probe& probe, int64_t layers, bool packed) {
    const auto fill = [&] {
      return std::make_shared<const Weights<float>>(SeededWeights<float>(
          probe.model, layers, /*seed=*/1, packed,
          {.after_tensor =
               FillingProgress(progress_, fmt::format("filling a model of d_model "
                                                      "{} for {}",
                                                      probe.model.d_model, probe.matmul))}));
    };
    if (probe.is_main) return fill();
    auto& shared = shared_weights_[packed ? 1 : 0];
    if (!shared) shared = fill();
    return shared;
  }

  static void CheckMemory(const Probe& probe, int64_t layers) {
    const MemoryFigures memory =
        CountMemory(probe.model, {.context = kLongContext, .num_layers = layers});
    const auto available = AvailableMemoryBytes();
    const int64_t needed = 2 * (memory.weights_bytes + memory.activation_bytes);
    if (available && needed > *available) {
      throw CannotMeasure(fmt::format("calibrating needs {} more, and {} is available",
                                      HumanBytes(needed), HumanBytes(*available)));
    }
  }

  void Run(Forward<float>& forward, OpTimer& timer) {
    const RunShape& shape = forward.shape();
    tokens_ = SpreadTokens(shape.batch * shape.context, forward.config().vocab_size);
    forward.Run(tokens_, timer);
  }

  void Measure(int threads) {
    MachineSpeed speed;
    speed.peak_flops_per_s = MeasureFmaPeakQuickly(threads);
    speed.read_bytes_per_s = ceilings_.speed(threads).MeasureRead();
    speed.product_flops_per_s = ceilings_.speed(threads).MeasureProduct();
    speeds_[threads].push_back(speed);
  }

  /// Until the time is up, and the first round through.
  double SecondsLeft() const {
    const double of_plan = std::max(0.0, plan_.seconds - SecondsSince(start_));
    if (round_ > 1) return of_plan;
    return std::max(of_plan, SecondsSince(round_start_) * (1 - done_of_round_) / done_of_round_);
  }

  /// Runs passes; a measurement of the machine's speed stands before, and one follows.
  void Visit(const Probe& probe, const Probe::Pass& pass, int threads) {
    const bool essential = pass.essential && round_ == 1;
    if (!essential && pass.seconds * threads_.back() / threads > kLongestOfFewThreads) return;
    if (SecondsSince(last_ceilings_) > seconds_between_ceilings_) {
      const auto before = Clock::now();
      ceilings_.Round();
      last_ceilings_ = Clock::now();
      seconds_between_ceilings_ =
          std::max(kSecondsBetweenCeilings, kTimesACeilingsRound * SecondsSince(before));
      Measure(threads);
    }
    visited_.insert({&pass, threads});
    Forward<float>& forward = *pass.forward;
    progress_.Show(
        fmt::format("calibrating: about {} left; round {}: {}, d_model {}, context {}, {} thread{}",
                    RoughSeconds(SecondsLeft()), round_, probe.matmul, probe.model.d_model,
                    forward.shape().context, threads, Plural(threads)));
    SpeedProbe& speed = ceilings_.speed(threads);
    const int64_t weights =
        CountMemory(probe.model, {.num_layers = forward.shape().num_layers}).weights_bytes;
    const bool caches_hold_it = weights < speed.dram_buffer().cache_bytes();
    OpTimer timer;
    int64_t passes = 0;
    for (const auto start = Clock::now();
         passes == 0 || (passes < kMostPasses && SecondsSince(start) < kVisitSeconds); ++passes) {
      if (caches_hold_it) speed.MeasureRead();  // a larger model's weights come from memory
      Run(forward, timer);
    }
    Measure(threads);
    for (const Op& op : forward.ops()) {
      const int64_t executions = passes * (op.per_layer ? forward.shape().num_layers : 1);
      const double seconds = timer.of(op.id) / static_cast<double>(executions) / WorkOf(op);
      const SamplePosition at = PositionOf(op);
      visits_[{SampleBackend(probe.matmul, op), SampleKey(probe.model, op), threads, at.n, at.k,
               at.m}]
          .push_back({.seconds = seconds, .speed = speeds_[threads].size() - 1, .passes = passes});
    }
  }

  const ProbePlan& plan_;
  const std::vector<int> threads_;
  CeilingProbe& ceilings_;
  Progress& progress_;
  const Clock::time_point start_;
  Clock::time_point last_ceilings_{};  // none yet
  double seconds_between_ceilings_ = kSecondsBetweenCeilings;
  int64_t round_ = 0, passes_not_filled_ = 0;
  bool gave_up_ = false;
  Clock::time_point round_start_{};
  double done_of_round_ = 0;  // share of its models, the present one included
  std::vector<std::unique_ptr<Probe>> probes_;
  std::array<std::shared_ptr<const Weights<float>>, 2> shared_weights_;  // plain, packed
  std::vector<int32_t> tokens_;
  std::map<int64_t, Speeds> speeds_;  // by threads, in order
  std::map<SampleId, std::vector<VisitCost>> visits_;
  std::set<std::pair<const Probe::Pass*, int>> visited_;  // by that many threads
};

}  // namespace

ProbePlan DefaultPlan(bool quick, std::size_t teams) {
  constexpr double kSecondsATeam = 8;
  ProbePlan plan;
  plan.seconds = quick ? 25 : 100;
  plan.give_up_s = 1.4 * plan.seconds + kSecondsATeam * static_cast<double>(teams);
  plan.contexts = quick ? std::vector<int64_t>{1, 16, 64, 256, 1024}
                        : std::vector<int64_t>{1, 8, 32, 64, 128, 256, 512, 1024, 2048, 4096};
  for (const ProbeRow& row : kProbes) plan.models.push_back(MakeProbe(row));
  return plan;
}

std::vector<std::size_t> EssentialContexts(std::size_t contexts, bool is_main) {
  if (contexts < 2) return std::vector<std::size_t>(contexts, 0);
  return {0, is_main ? contexts / 2 : 1};
}

std::vector<int> CalibratedThreads(int default_threads, int processors) {
  std::vector<int> threads;
  for (int t = 1; t < default_threads; t = t < 4 ? t + 1 : 2 * t) threads.push_back(t);
  threads.push_back(default_threads);
  if (processors > default_threads) threads.push_back(processors);
  return threads;
}

Sampling SampleOps(const ProbePlan& plan, const std::vector<int>& threads, CeilingProbe& ceilings,
                   Progress& progress) {
  try {
    Prober prober(plan, threads, ceilings, progress);
    do {
      prober.Round();
    } while (!prober.TimeIsUp() && !prober.GivesUp());
    progress.Clear();
    return prober.Result();
  } catch (const Interrupted&) {
    throw CannotMeasure("interrupted: nothing was calibrated");
  }
}

}  // namespace flopledger
