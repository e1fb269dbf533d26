// A workload under Google Benchmark: shared weights, exported FLOPs, an interruption.
#include "bench/run/workload.h"

#include <benchmark/benchmark.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>

#include "bench/counting/counting.h"
#include "bench/machine/interrupt.h"
#include "bench/run/run.h"
#include "tests/support/small_run.h"

namespace flopledger {
namespace {

TEST(WeightStore, FillsEachLayoutOnce) {
  WeightStore store;
  std::ostream nowhere(nullptr);
  Progress silent(nowhere, false);
  RunSettings settings = SmallRun();
  settings.model.vocab_size = 100;
  const auto plain = store.Get(settings, 1, false, silent);
  EXPECT_EQ(store.Get(settings, 1, false, silent), plain);
  const auto packed = store.Get(settings, 1, true, silent);
  EXPECT_NE(packed, plain);
  EXPECT_EQ(store.Get(settings, 1, true, silent), packed);
  EXPECT_EQ(packed->layers[0].ffn_up.view()(3, 70), plain->layers[0].ffn_up.view()(3, 70));
  EXPECT_THROW(store.Get(settings, 2, true, silent), Fault);
}

TEST(RunUnderGoogleBenchmark, AnInterruptedRunKeepsTheRepetitionsThatFinished) {
  const InterruptGuard guard;
  RunSettings settings = SmallRun();
  settings.count = CountMode::kOff;
  std::ostream nowhere(nullptr);
  const auto results = RunUnderGoogleBenchmark(
      {{&settings, 1}, PlanMemory({&settings, 1}), {"--benchmark_min_time=0.001"}}, nowhere, false,
      [](const Ledger&) { std::raise(SIGINT); });
  EXPECT_TRUE(results.front().was_interrupted);
  EXPECT_EQ(results.front().trials.size(), 1);
  EXPECT_FALSE(results.front().ledger.rows.empty());
  interrupted = false;
}

TEST(Workload, ARepetitionIsTimedAgainAndWatched) {
  const InterruptGuard guard;
  RunSettings settings = SmallRun();
  WeightStore weights;
  std::ostream nowhere(nullptr);
  Progress progress(nowhere, false);
  Workload workload(settings, 1, weights, progress);
  const Trial trial = workload.TimeAgain(3, progress);
  EXPECT_EQ(trial.passes, 3);
  EXPECT_EQ(trial.op_s.size(), workload.forward().ops().size());
  EXPECT_GE(trial.activity.seconds, 3 * trial.pass_s);
  EXPECT_GT(trial.peak_after_flops_per_s, 0);
  interrupted = true;
  EXPECT_EQ(workload.TimeAgain(3, progress).passes, 0);
  interrupted = false;
}

/// Keeps what the benchmarks report.
class KeepingReporter : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override {
    all.insert(all.end(), runs.begin(), runs.end());
  }
  std::vector<Run> all;
};

TEST(Workload, ExportsTheFlopsThatAGateHoldsExact) {
  RunSettings settings = SmallRun();
  settings.threads = 1;
  WeightStore weights;
  std::ostream nowhere(nullptr);
  Progress silent(nowhere, false);
  Workload workload(settings, 1, weights, silent);
  const auto ops = workload.forward().ops();
  const Op& attention = *std::ranges::find(ops, OpId::kAttention, &Op::id);
  benchmark::ClearRegisteredBenchmarks();
  benchmark::RegisterBenchmark("attention",
                               [&](benchmark::State& state) { workload.TimeOp(state, attention); })
      ->Iterations(1)
      ->Repetitions(1)  // whatever flags another test has set
      ->UseManualTime();
  KeepingReporter reporter;
  benchmark::RunSpecifiedBenchmarks(&reporter, "attention");
  benchmark::ClearRegisteredBenchmarks();
  ASSERT_EQ(reporter.all.size(), 1);
  const auto& counters = reporter.all[0].counters;
  EXPECT_EQ(counters.at("predicted_flops"),
            OpFlops(settings.model, settings.OneLayer(), attention, Convention::kCausal));
  EXPECT_EQ(counters.at("executed_flops"), ExecutedFlops(settings.model, settings.OneLayer(),
                                                         attention, FactsOf(settings.kernels)));
  // The samples' shapes are fixed, so what is counted there depends on the kernels alone.
  const SampleResult samples = CountSamples({settings.model, 5, 1, settings.kernels});
  const auto counted =
      std::ranges::find(samples.counted, OpId::kAttention, &std::pair<OpId, int64_t>::first);
  EXPECT_EQ(counters.at("sample_counted_flops"), counted->second);
  EXPECT_GT(counted->second, 0);
}

/// The reference product with the last eight of its K inputs left out.
void WithoutTheLastInputs(const MatmulArgs<float>& args) {
  MatmulArgs<float> fewer = args;
  fewer.x = args.x.block(0, 0, args.x.rows, args.x.cols - 8);
  fewer.w.inputs -= 8;
  FindMatmul<float>("reference")->run(fewer);
}

/// The reference product with a weight that is read in the other of the two plain layouts.
void InTheOtherLayout(const MatmulArgs<float>& args) {
  MatmulArgs<float> other = args;
  const bool plain = args.w.layout == WeightLayout::kInputsByOutputs;
  other.w.layout = plain ? WeightLayout::kOutputsByInputs : WeightLayout::kInputsByOutputs;
  other.w.stride = plain ? args.w.inputs : args.w.outputs;
  FindMatmul<float>("reference")->run(other);
}

/// Whether timing the op with this product ended in an error.
bool IsRefused(OpId id, MatmulFn<float> run) {
  MatmulBackend<float> backend = *FindMatmul<float>("reference");
  backend.run = run;
  RunSettings settings = SmallRun();
  settings.context = 3;
  settings.model.vocab_size = 100;
  settings.kernels.matmul = &backend;
  WeightStore weights;
  std::ostream nowhere(nullptr);
  Progress silent(nowhere, false);
  Workload workload(settings, 1, weights, silent);
  const auto ops = workload.forward().ops();
  const Op& op = *std::ranges::find(ops, id, &Op::id);
  bool refused = false;
  benchmark::ClearRegisteredBenchmarks();
  benchmark::RegisterBenchmark("op",
                               [&](benchmark::State& state) {
                                 workload.TimeOp(state, op);
                                 refused = state.error_occurred();
                               })
      ->Iterations(1)
      ->Repetitions(1)  // whatever flags another test has set
      ->UseManualTime();
  KeepingReporter reporter;
  benchmark::RunSpecifiedBenchmarks(&reporter, "op");
  benchmark::ClearRegisteredBenchmarks();
  return refused;
}

TEST(Workload, TimesNoProductThatReadsItsWeightWrongly) {
  for (const OpId id :
       {OpId::kAttentionQkv, OpId::kAttentionOut, OpId::kFfnUp, OpId::kFfnDown, OpId::kLmHead}) {
    EXPECT_FALSE(IsRefused(id, FindMatmul<float>("reference")->run)) << static_cast<int>(id);
    EXPECT_TRUE(IsRefused(id, &WithoutTheLastInputs)) << static_cast<int>(id);
    EXPECT_TRUE(IsRefused(id, &InTheOtherLayout)) << static_cast<int>(id);
  }
}

}  // namespace
}  // namespace flopledger
