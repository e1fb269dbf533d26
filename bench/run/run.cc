#include "bench/run/run.h"

#include <benchmark/benchmark.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>

#include "analysis/ledger/disturbance.h"
#include "analysis/ledger/rows.h"
#include "analysis/prediction/predict.h"
#include "analysis/text/table.h"
#include "bench/counting/counting.h"
#include "bench/machine/interrupt.h"
#include "bench/machine/machine.h"
#include "bench/machine/stopwatch.h"
#include "bench/machine/threads.h"
#include "bench/run/decode.h"
#include "bench/run/google_benchmark.h"
#include "bench/run/predictions.h"
#include "bench/run/ranks.h"
#include "bench/run/workload.h"
#include "kernels/matmul_library.h"

namespace flopledger {
namespace {

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

/// The libraries among the backends of a run, each with its version and its file.
std::vector<LibraryFacts> LibrariesOf(std::span<const RunSettings> side_by_side) {
  std::vector<LibraryFacts> libraries;
  for (const RunSettings& settings : side_by_side) {
    for (const MatmulLibrary& library : MatmulLibraries()) {
      if (library.backend.name != settings.kernels.matmul->name) continue;
      libraries.push_back({.matmul = std::string(library.backend.name),
                           .version = library.load().version,
                           .path = library.load().path,
                           .reason = ""});
    }
  }
  return libraries;
}

/// One backend of a run, as far as it has come.
struct BackendRun {
  RunSettings settings;
  std::unique_ptr<Workload> workload;
  std::vector<Trial> trials;  // those too in which Google Benchmark looks for its iterations
  int64_t told = 0;           // repetitions that the progress line counts as done
  RunResult result;
};

CountRequest CountRequestOf(const RunSettings& settings) {
  return {settings.model, settings.context, settings.batch, settings.kernels, settings.shard()};
}

/// How FLOPs are measured. Where that is for us to say: by a trusted hardware counter, besides
/// samples; else by the count that `budget_s` seconds allow.
CountMode CountModeOf(const RunSettings& settings, double budget_s, std::ostream& log) {
  if (settings.count != CountMode::kAuto) return settings.count;
  if (settings.counters) {
    Counters counters(settings.threads);
    if (counters.Has(CounterQuantity::kFlops) && CheckCounters(counters).passed()) {
      return CountMode::kSample;
    }
  }
  return AffordableCount(CountRequestOf(settings), budget_s, log);
}

/// What a run of one or several backends shares.
struct RunSession {
  std::string run_id;
  int64_t repetitions;
  WeightStore weights;
  std::vector<BackendRun> runs;
  std::ostream& log;
  Progress& progress;
  const std::function<void(const Ledger&)>& on_trial;
  Leader* leader = nullptr;  // at the first of several ranks
};

/// Passes of all points together, weighed by their FLOPs: what the time left is told by.
double WorkOfRun(const RunSession& session) {
  double flops = 0;
  for (const BackendRun& run : session.runs) {
    const RunSettings& settings = run.settings;
    const RunShape shape = settings.Shape(run.result.plan.layers);
    const ModelConfig own = settings.OwnModel();
    const PassWork work = WorkOf(own, shape, ForwardOps(own, shape));
    flops += work.pass *
             static_cast<double>(settings.warm_up + session.repetitions + (settings.trace ? 1 : 0));
  }
  return flops;
}

/// Passes that are not timed, the first of them verified.
void WarmUp(BackendRun& run, RunSession& session) {
  WorkLeft& left = session.progress.left;
  if (!left.started()) left.Start(WorkOfRun(session));
  run.result.verification = Together(run.settings.team, run.workload->Verify(session.progress));
  left.Add(run.workload->work().pass);
  if (!run.result.verification.ok()) return;
  for (int64_t i = 1; i < run.settings.warm_up; ++i) {
    run.workload->WarmUp(session.progress);
    left.Add(run.workload->work().pass);
  }
}

/// Counts, takes the memory, fills it and warms up.
void Prepare(BackendRun& run, RunSession& session, CountMode count_mode) {
  const RunSettings& settings = run.settings;
  RunResult& result = run.result;
  const CountRequest request = CountRequestOf(settings);
  result.evidence =
      Together(settings.team, GatherEvidence(count_mode, request, session.log, session.progress));
  const auto start = Clock::now();
  run.workload =
      std::make_unique<Workload>(settings, result.plan.layers, session.weights, session.progress);
  result.start_up_s = SecondsSince(start);
  result.ledger.environment.settings.start_up_s = result.start_up_s;
  result.observer_s = MeasureObserverSeconds();
  result.ledger.environment.settings.observer_ns_per_op = result.observer_s * 1e9;
  result.ledger.environment.settings.warm_up_passes = settings.warm_up;
  WarmUp(run, session);
}

/// Leaves the extrapolation's interval in the ledger, where it has one.
void DescribeExtrapolation(const ModelConfig& model, const std::optional<double>& drift,
                           RunResult& result) {
  if (result.trials.size() < 2) return;
  result.ledger.environment.extrapolation = {.layers_run = result.plan.layers,
                                             .layers_total = model.num_layers,
                                             .pass = *result.extrapolated,
                                             .drift = drift};
}

/// Fills the predicted columns, and leaves in the ledger what they stand on.
void Predict(const RunSettings& settings, const MeasuredRun& measured, RunResult& result) {
  const Calibration& calibration = *settings.calibration;
  const MachineSpeed speed = SpeedAround(result.trials, calibration, settings.threads);
  result.unpredicted_because = SetPredictions(result.ledger.rows, measured, calibration, speed);
  result.ledger.environment.calibration = {.taken = calibration.taken,
                                           .ceilings = calibration.ceilings,
                                           .scaled_to = speed,
                                           .total_by_the_peak_alone_s = PredictedByPeakAlone(
                                               measured, calibration, speed.peak_flops_per_s)};
}

void MakeRows(BackendRun& run, const std::string& run_id) {
  RunResult& result = run.result;
  result.trials = Accepted(run.trials);
  MarkDisturbed(result.trials, TeamOf(run.settings));
  result.ledger.environment.disturbances =
      DisturbancesOf(result.trials, std::string(run.settings.kernels.matmul->name));
  const MeasuredRun measured = run.settings.Measured(result.plan.layers, run_id);
  result.ledger.rows = MakeRecords(measured, result.trials, result.evidence);
  const ModelConfig& model = run.settings.model;
  if (result.plan.layers < model.num_layers) {
    const auto& calibration = run.settings.calibration;
    const auto drift =
        calibration ? CalibratedDrift(*calibration, run.settings.threads) : std::nullopt;
    result.extrapolated = ExtrapolatePass(measured, result.trials, drift);
    DescribeExtrapolation(model, drift, result);
  }
  if (run.settings.calibration) Predict(run.settings, measured, result);
}

std::vector<RunResult> ResultsOf(const std::vector<BackendRun>& runs) {
  std::vector<RunResult> results;
  for (const BackendRun& run : runs) results.push_back(run.result);
  return results;
}

/// Settings that hold for all backends of a run.
Environment SharedEnvironment(std::span<const RunSettings> side_by_side,
                              const std::string& run_id) {
  const RunSettings& first = side_by_side.front();
  Environment environment = DescribeMachine();
  environment.settings.model = ToJson(first.model).dump();
  environment.settings.seed = first.seed;
  environment.settings.run_id = run_id;
  environment.libraries = LibrariesOf(side_by_side);
  return environment;
}

/// "repetition 2 of 3", and of which point, where there are several. Google Benchmark begins a
/// repetition anew, with more passes, while it looks for how many are long enough.
std::string RepetitionText(const RunSession& session, const BackendRun& run,
                           const benchmark::State& state) {
  int64_t done = 0;
  for (const Trial& trial : run.trials) done += trial.passes == state.max_iterations ? 1 : 0;
  const std::string text = fmt::format("repetition {} of {}", done + 1, session.repetitions);
  if (session.runs.size() == 1) return text;
  return fmt::format("point {} of {}, {}", &run - session.runs.data() + 1, session.runs.size(),
                     text);
}

/// Has the other ranks do `kind` while this one does `work`.
template <class Work>
auto WithAllRanks(RunSession& session, const BackendRun& run, Order order, const Work& work) {
  if (session.leader == nullptr) return work();
  order.run = &run - session.runs.data();
  session.leader->Send(order);
  session.leader->BeginWork();
  if constexpr (std::is_void_v<decltype(work())>) {
    work();
    session.leader->EndWork();
  } else {
    auto result = work();
    session.leader->EndWork();
    return result;
  }
}

/// One repetition. Where there are other ranks, they are told of each pass.
Trial TimeRepetition(RunSession& session, BackendRun& run, benchmark::State& state) {
  const std::string stage = RepetitionText(session, run, state);
  if (session.leader == nullptr) return run.workload->Time(state, session.progress, stage);
  const auto again = [&] {
    TakeWaitingInterrupt();
    const bool more = !interrupted && state.KeepRunning();
    session.leader->Send({.kind = more ? Order::Kind::kPass : Order::Kind::kStop});
    return more;
  };
  const Trial trial = WithAllRanks(session, run, {.kind = Order::Kind::kTime}, [&] {
    return Together(run.settings.team, run.workload->Time(again, session.progress, stage));
  });
  if (interrupted) state.SkipWithError("interrupted");
  return trial;
}

/// One repetition of a backend; the first takes the memory, and only if the filter selects this
/// benchmark at all.
void Repeat(RunSession& session, BackendRun& run, benchmark::State& state) {
  if (interrupted) return state.SkipWithError("interrupted");
  try {
    if (!run.workload) {
      constexpr double kSecondsToCount = 60;  // all points together
      const CountMode mode = CountModeOf(
          run.settings, kSecondsToCount / static_cast<double>(session.runs.size()), session.log);
      WithAllRanks(session, run,
                   {.kind = Order::Kind::kPrepare, .argument = static_cast<int64_t>(mode)},
                   [&] { Prepare(run, session, mode); });
    }
  } catch (const Interrupted&) {
    return state.SkipWithError("interrupted");
  }
  const Verification& verification = run.result.verification;
  if (!verification.ok()) return state.SkipWithError(verification.first_failure.c_str());
  UseThreads(run.settings.threads);
  const Trial trial = TimeRepetition(session, run, state);
  if (interrupted || trial.passes == 0) return;
  run.trials.push_back(trial);
  if (std::ssize(Accepted(run.trials)) > run.told) {
    ++run.told;
    session.progress.left.Add(run.workload->work().pass);
  }
  MakeRows(run, session.run_id);
  session.on_trial(MergedLedger(ResultsOf(session.runs)));
}

// --- After what is timed -------------------------------------------------------------------------

/// One more pass, with the hardware counters read around each op; `environment` says what they are.
void CountByHardware(RunSession& session, BackendRun& run) {
  if (!run.settings.counters || run.result.trials.empty() || interrupted) return;
  Counters counters(run.settings.threads);
  RunResult& result = run.result;
  result.ledger.environment.counters = Describe(counters);
  if (!counters.Has(CounterQuantity::kInstructions) && !counters.Has(CounterQuantity::kFlops))
    return;
  try {
    FlopsEvidence own;
    WithAllRanks(session, run, {.kind = Order::Kind::kCount}, [&] {
      own.counters = run.workload->Count(counters, session.progress);
      result.evidence.counters = Together(run.settings.team, own).counters;
    });
    MakeRows(run, session.run_id);
  } catch (const Interrupted&) {  // the ledger stands without them
  }
}

/// One more pass, traced.
void Trace(RunSession& session, BackendRun& run) {
  if (!run.settings.trace || run.result.trials.empty() || interrupted) return;
  run.result.trace = WithAllRanks(session, run, {.kind = Order::Kind::kTrace}, [&] {
    return Together(run.settings.team, run.workload->Trace(session.progress));
  });
}

/// One more pass that tells the ranks' waiting for one another from the sums over them.
void TimeWaiting(RunSession& session, BackendRun& run) {
  if (session.leader == nullptr || run.result.trials.empty() || interrupted) return;
  run.result.ledger.environment.ranks->collectives =
      WithAllRanks(session, run, {.kind = Order::Kind::kWait},
                   [&] { return Together(run.settings.team, run.workload->TimeWaiting()); });
}

DecodeResult DecodeTogether(BackendRun& run, int64_t repetitions, Progress& progress) {
  DecodeResult result = Decode(run.settings, run.result.plan.layers, run.workload->weights(),
                               static_cast<int>(repetitions), progress);
  result.figures = Together(run.settings.team, result.figures);
  return result;
}

/// Decodes, where that is asked for, as often as passes were timed.
void DecodeAfter(RunSession& session, BackendRun& run) {
  RunResult& result = run.result;
  if (run.settings.decode == 0 || result.trials.empty() || interrupted) return;
  const auto repetitions = static_cast<int64_t>(result.trials.size());
  const auto decode = std::make_shared<const DecodeResult>(
      WithAllRanks(session, run, {.kind = Order::Kind::kDecode, .argument = repetitions},
                   [&] { return DecodeTogether(run, repetitions, session.progress); }));
  if (!decode->verification.ok()) result.decode_failure = decode->verification.first_failure;
  if (decode->figures.total.seconds.empty()) return;
  result.decode = decode;
  result.ledger.environment.decode = decode->figures;
}

// --- The other ranks -----------------------------------------------------------------------------

/// Does what the first rank orders, until it orders no more.
void Follow(RunSession& session, Team& team) {
  while (true) {
    const Order order = NextOrder(team.link);
    if (order.kind == Order::Kind::kEnd) return;
    BackendRun& run = session.runs[static_cast<std::size_t>(order.run)];
    UseThreads(run.settings.threads);
    switch (order.kind) {
      case Order::Kind::kPrepare:
        Prepare(run, session, static_cast<CountMode>(order.argument));
        break;
      case Order::Kind::kTimeAgain:
        Together(&team, run.workload->TimeAgain(order.argument, session.progress));
        break;
      case Order::Kind::kTime:
        Together(&team,
                 run.workload->Time([&] { return NextOrder(team.link).kind == Order::Kind::kPass; },
                                    session.progress));
        break;
      case Order::Kind::kCount: {
        Counters counters(run.settings.threads);
        FlopsEvidence own;
        own.counters = run.workload->Count(counters, session.progress);
        Together(&team, own);
        break;
      }
      case Order::Kind::kWait: Together(&team, run.workload->TimeWaiting()); break;
      case Order::Kind::kTrace: Together(&team, run.workload->Trace(session.progress)); break;
      case Order::Kind::kDecode: DecodeTogether(run, order.argument, session.progress); break;
      case Order::Kind::kPass:
      case Order::Kind::kStop:
      case Order::Kind::kEnd: FL_CHECK(false, static_cast<int>(order.kind));
    }
  }
}

/// Registers a benchmark for each backend and runs those that the filter selects.
void TimeAll(RunSession& session) {
  benchmark::ClearRegisteredBenchmarks();
  for (BackendRun& run : session.runs) {
    const RunSettings& settings = run.settings;
    const std::string name =
        fmt::format("forward/{}/{}/context:{}/batch:{}/layers:{}/threads:{}", settings.model.name,
                    settings.kernels.matmul->name, settings.context, settings.batch,
                    run.result.plan.layers, settings.threads);
    benchmark::RegisterBenchmark(name.c_str(),
                                 [&](benchmark::State& state) { Repeat(session, run, state); })
        ->UseRealTime()
        ->Unit(benchmark::kMillisecond);
  }
  RunSilently();
}

/// Times each repetition that was disturbed once more; the fresh one takes its place.
void ReplaceDisturbed(RunSession& session) {
  for (BackendRun& run : session.runs) {
    if (run.result.trials.empty() || interrupted) continue;
    UseThreads(run.settings.threads);
    run.trials = run.result.trials;
    for (Trial& trial : run.trials) {
      if (trial.disturbed.empty()) continue;
      TakeWaitingInterrupt();
      Trial fresh = WithAllRanks(
          session, run, {.kind = Order::Kind::kTimeAgain, .argument = trial.passes}, [&] {
            return Together(run.settings.team,
                            run.workload->TimeAgain(trial.passes, session.progress));
          });
      if (fresh.passes == 0) return;
      fresh.replaces = trial.disturbed;
      trial = std::move(fresh);
    }
    MakeRows(run, session.run_id);
    session.on_trial(MergedLedger(ResultsOf(session.runs)));
  }
}

/// What is timed, and then what is not.
void MeasureAll(RunSession& session) {
  const auto steal_before = StealSeconds();
  TimeAll(session);
  ReplaceDisturbed(session);
  for (BackendRun& run : session.runs) {
    TakeWaitingInterrupt();
    UseThreads(run.settings.threads);
    CountByHardware(session, run);
    TimeWaiting(session, run);
    Trace(session, run);
    DecodeAfter(session, run);
    RunResult& result = run.result;
    result.was_interrupted = interrupted;
    if (const auto steal = StealSeconds(); steal && steal_before) {
      result.ledger.environment.steal_s = *steal - *steal_before;
    }
  }
}

}  // namespace

Ledger MergedLedger(std::span<const RunResult> results) {
  Ledger merged = results.front().ledger;
  std::vector<Disturbance>& disturbances = merged.environment.disturbances;
  for (const RunResult& result : results.subspan(1)) {
    const Ledger& ledger = result.ledger;
    merged.rows.insert(merged.rows.end(), ledger.rows.begin(), ledger.rows.end());
    disturbances.insert(disturbances.end(), ledger.environment.disturbances.begin(),
                        ledger.environment.disturbances.end());
  }
  return merged;
}

std::vector<RunResult> RunUnderGoogleBenchmark(const RunRequest& request, std::ostream& log,
                                               bool on_terminal,
                                               const std::function<void(const Ledger&)>& on_trial) {
  InitializeGoogleBenchmark(request.benchmark_flags);
  const RunSettings& first = request.settings.front();
  UseThreads(first.threads);
  Progress progress(log, on_terminal);
  RunSession session{.run_id = NewRunId(first.model),
                     .repetitions = request.repetitions,
                     .weights = {},
                     .runs = {},
                     .log = log,
                     .progress = progress,
                     .on_trial = on_trial};
  std::optional<Leader> leader;
  const Environment environment = SharedEnvironment(request.settings, session.run_id);
  for (const RunSettings& settings : request.settings) {
    session.runs.push_back(
        {.settings = settings, .workload = {}, .trials = {}, .told = 0, .result = {}});
    session.runs.back().result.plan = request.plan;
    session.runs.back().result.ledger.environment = environment;
  }
  if (first.team != nullptr) {
    const RankFacts ranks = DescribeRanks(*first.team);
    for (BackendRun& run : session.runs) run.result.ledger.environment.ranks = ranks;
    interrupts_wait = true;
    if (!first.team->leads()) {
      Follow(session, *first.team);
      return {};
    }
    session.leader = &leader.emplace(first.team->link);
  }
  MeasureAll(session);
  return ResultsOf(session.runs);
}

}  // namespace flopledger
