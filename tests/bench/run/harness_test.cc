// The harness: verification that catches, plans that fit, rows that say what was measured.
#include "bench/run/harness.h"

#include <benchmark/benchmark.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <omp.h>

#include <algorithm>
#include <csignal>

#include "bench/calibration/calibrate.h"
#include "bench/machine/files.h"
#include "bench/machine/interrupt.h"
#include "bench/machine/machine.h"
#include "model/input_error.h"
#include "tests/support/random_model.h"
#include "tests/support/temporary_folder.h"

namespace flopledger {
namespace {

using ::testing::HasSubstr;

RunSettings SmallRun() {
  RunSettings settings;
  settings.model = LoadModel("gpt2");
  settings.model.num_layers = 4;
  settings.context = 16;
  return settings;
}

/// Hands each op to a verifier, after spoiling one element of one op's output.
struct Spoiler {
  OpVerifier& verifier;
  const Op* spoil;

  void Before(const Op& op, int64_t layer, const Operands<float>& o) {
    verifier.Before(op, layer, o);
  }
  void After(const Op& op, int64_t layer, const Operands<float>& o) {
    // A whole row, as a kernel that is wrong spoils it: the verifier samples.
    if (spoil != nullptr && op.id == spoil->id) {
      for (int64_t r = 0; r < o.y.rows; ++r) {
        for (int64_t c = 0; c < o.y.cols; ++c) o.y(r, c) += 0.01f;
      }
    }
    verifier.After(op, layer, o);
  }
};

TEST(OpVerifier, AcceptsWhatIsRightAndCatchesEveryOpThatIsWrong) {
  std::mt19937 random(3);
  omp_set_num_threads(2);
  for (int i = 0; i < 18; ++i) {
    const ModelConfig config = RandomModel(random);
    static constexpr const char* kBackends[] = {"packed", "eigen", "packed-fused"};
    const auto& matmul = *FindMatmul<float>(kBackends[i % 3]);
    const auto weights = SeededWeights<float>(config, config.num_layers, 1, matmul.packs_weights);
    const RunShape shape{.context = 9,
                         .batch = 2,
                         .num_layers = config.num_layers,
                         .fused_attention = i % 2 == 0,
                         .fused_epilogues = matmul.fuses_epilogues};
    const std::vector<int32_t> tokens(18, 0);
    const auto verify = [&](const Op* spoil) {
      Forward<float> forward(config, weights, shape, matmul);
      OpVerifier verifier(forward, tokens);
      Spoiler observer{verifier, spoil};
      forward.Run(tokens, observer);
      return verifier.result();
    };
    const Verification right = verify(nullptr);
    EXPECT_TRUE(right.ok()) << right.first_failure << ToJson(config);
    EXPECT_GT(right.checked, 0);
    EXPECT_LE(right.worst_ratio, 1);
    for (const Op& op : ForwardOps(config, shape)) {
      const Verification wrong = verify(&op);
      EXPECT_FALSE(wrong.ok()) << op.name() << ToJson(config);
      EXPECT_THAT(wrong.first_failure, HasSubstr(std::string(op.name())));
    }
  }
}

TEST(PlanLayers, RunsAsManyLayersAsFit) {
  RunSettings settings = SmallRun();
  settings.model.num_layers = 1'000'000'000;
  settings.max_memory_bytes = int64_t{1} << 30;
  const LayerPlan plan = PlanLayers(settings);
  EXPECT_TRUE(plan.cut_by_memory);
  EXPECT_LE(plan.needed_bytes, *settings.max_memory_bytes);
  EXPECT_GT(plan.whole_bytes, *settings.max_memory_bytes);
  settings.layers = plan.layers + 1;
  EXPECT_THROW(PlanLayers(settings), CannotMeasure);
  settings.layers = plan.layers;
  EXPECT_FALSE(PlanLayers(settings).cut_by_memory);
  settings.layers.reset();
  settings.max_memory_bytes = 1 << 20;
  EXPECT_THROW(PlanLayers(settings), CannotMeasure);
}

TEST(PlanLayers, CountsWeightsOnceForEachLayoutAndBuffersForEachBackend) {
  const RunSettings packed = SmallRun();
  RunSettings plain = packed;
  plain.matmul = "eigen";
  const auto bytes = [](const std::vector<RunSettings>& side_by_side) {
    return PlanLayers(side_by_side).needed_bytes;
  };
  const int64_t weights = CountMemory(packed.model, packed.Shape(4)).weights_bytes;
  const int64_t buffers = bytes({packed}) - weights;
  EXPECT_EQ(bytes({packed, plain}), 2 * weights + 2 * buffers);
  EXPECT_EQ(bytes({plain, packed, plain, plain}), 2 * weights + 4 * buffers);
  EXPECT_EQ(bytes({plain, plain}), weights + 2 * buffers);
}

TEST(WeightStore, FillsEachLayoutOnce) {
  WeightStore store;
  RunSettings settings = SmallRun();
  settings.model.vocab_size = 100;
  const auto plain = store.Get(settings, 1, false);
  EXPECT_EQ(store.Get(settings, 1, false), plain);
  const auto packed = store.Get(settings, 1, true);
  EXPECT_NE(packed, plain);
  EXPECT_EQ(store.Get(settings, 1, true), packed);
  EXPECT_EQ(packed->layers[0].ffn_up.view()(3, 70), plain->layers[0].ffn_up.view()(3, 70));
  EXPECT_THROW(store.Get(settings, 2, true), Fault);
}

TEST(MakeRecords, MediansSharesAndTheExtrapolatedRow) {
  const RunSettings settings = SmallRun();
  const auto ops = ForwardOps(settings.model, settings.Shape(2));
  std::vector<Trial> trials;
  for (const double slower : {1.0, 3.0, 2.0}) {
    Trial trial;
    trial.passes = 1;
    trial.peak_before_flops_per_s = 1e9;
    trial.peak_after_flops_per_s = 3e9;
    for (std::size_t i = 0; i < ops.size(); ++i) {
      trial.op_s.push_back(slower * static_cast<double>(i + 1));
      trial.pass_s += trial.op_s.back();
    }
    trials.push_back(trial);
  }
  const auto rows = MakeRecords(settings, 2, ops, trials, "id");
  ASSERT_EQ(rows.size(), ops.size() + 2);
  int64_t flops = 0;
  double layers_s = 0;
  for (std::size_t i = 0; i < ops.size(); ++i) {
    EXPECT_EQ(rows[i].op, ops[i].name());
    EXPECT_EQ(rows[i].time_s, 2.0 * static_cast<double>(i + 1));
    EXPECT_EQ(rows[i].time_mad_s, 1.0 * static_cast<double>(i + 1));
    EXPECT_EQ(rows[i].peak_gflops, 2);
    EXPECT_EQ(rows[i].repetitions, 3);
    flops += *rows[i].predicted_flops;
    if (ops[i].per_layer) layers_s += *rows[i].time_s;
  }
  const Record& total = rows[ops.size()];
  EXPECT_EQ(total.op, "total");
  EXPECT_EQ(total.predicted_flops, flops);
  EXPECT_NEAR(*total.gflops, static_cast<double>(flops) / *total.time_s / 1e9,
              1e-12 * *total.gflops);
  EXPECT_NEAR(*total.pct_peak, 100 * *total.gflops / 2, 1e-9);
  const Record& whole = rows.back();
  EXPECT_EQ(whole.op, "total_extrapolated");
  EXPECT_NEAR(*whole.time_s, *total.time_s + layers_s, 1e-9);
  EXPECT_EQ(whole.repetitions, 0);
  EXPECT_FALSE(whole.measured_flops.has_value());
}

/// A trial of four layers' first two in which each op takes a second times `slower`.
Trial MadeTrial(std::size_t ops, double slower, double peak) {
  Trial trial;
  trial.passes = 1;
  trial.peak_before_flops_per_s = trial.peak_after_flops_per_s = peak;
  trial.op_s.assign(ops, slower);
  trial.pass_s = slower * static_cast<double>(ops);
  return trial;
}

TEST(ExtrapolatePass, ScalesEachTrialToTheMedianPeak) {
  const RunSettings settings = SmallRun();
  const auto ops = ForwardOps(settings.model, settings.Shape(2));
  const double of_layers = static_cast<double>(std::ranges::count(ops, true, &Op::per_layer));
  const double whole = static_cast<double>(ops.size()) + of_layers;  // two layers more than ran
  const std::vector<Trial> trials{MadeTrial(ops.size(), 1, 2e9), MadeTrial(ops.size(), 2, 1e9)};
  const Extrapolation whole_pass = ExtrapolatePass(settings.model, 2, ops, trials);
  EXPECT_NEAR(whole_pass.seconds, whole * 2 / 1.5, 1e-9);  // both, at the median of their peaks
  EXPECT_NEAR(whole_pass.lower, whole_pass.seconds * (1 - kDriftBetweenRuns), 1e-6);
  EXPECT_NEAR(whole_pass.upper, whole_pass.seconds * (1 + kDriftBetweenRuns), 1e-6);
}

TEST(ExtrapolatePass, IsNeverBelowThePartThatRan) {
  const RunSettings settings = SmallRun();
  const auto ops = ForwardOps(settings.model, settings.Shape(2));
  const std::vector<Trial> trials{MadeTrial(ops.size(), 1, 1e9), MadeTrial(ops.size(), 3, 1e9)};
  const Extrapolation whole_pass = ExtrapolatePass(settings.model, 2, ops, trials);
  EXPECT_EQ(whole_pass.lower, trials[0].pass_s);
  EXPECT_GT(whole_pass.upper, whole_pass.seconds);
}

TEST(ExtrapolatePass, OneDisturbedTrialMovesTheIntervalAndNotTheEstimate) {
  const RunSettings settings = SmallRun();
  const auto ops = ForwardOps(settings.model, settings.Shape(2));
  std::vector<Trial> trials(5, MadeTrial(ops.size(), 1, 1e9));
  const double calm = ExtrapolatePass(settings.model, 2, ops, trials).seconds;
  trials[3] = MadeTrial(ops.size(), 3, 1e9);
  const Extrapolation disturbed = ExtrapolatePass(settings.model, 2, ops, trials);
  EXPECT_EQ(disturbed.seconds, calm);
  EXPECT_GT(disturbed.upper, 2 * calm);
}

TEST(RunUnderGoogleBenchmark, AnInterruptedRunKeepsTheRepetitionsThatFinished) {
  const InterruptGuard guard;
  RunSettings settings = SmallRun();
  settings.count = CountMode::kOff;
  std::ostream nowhere(nullptr);
  const auto results =
      RunUnderGoogleBenchmark({&settings, 1}, {"--benchmark_min_time=0.001"}, nowhere, false,
                              [](const Ledger&) { std::raise(SIGINT); });
  EXPECT_TRUE(results.front().was_interrupted);
  EXPECT_EQ(results.front().trials.size(), 1);
  EXPECT_FALSE(results.front().ledger.rows.empty());
  interrupted = false;
}

TEST(Files, StandWholeOrNotAtAll) {
  const TemporaryFolder folder;
  const std::string path = folder.path("out.csv");
  CheckWritable(path);
  EXPECT_TRUE(folder.Files().empty());
  WriteWhole(path, "first");
  WriteWhole(path, "second");
  EXPECT_EQ(ReadFile(path), "second");
  CheckWritable(path);
  EXPECT_EQ(ReadFile(path), "second");
  EXPECT_EQ(folder.Files().size(), 1);
  EXPECT_THROW(WriteWhole(folder.path("no/such/out.csv"), "x"), InputError);
  EXPECT_THROW(CheckWritable(folder.path()), InputError);
}

TEST(Machine, SaysWhatItIs) {
  EXPECT_GE(AvailableCores(), 1);
  EXPECT_LE(AvailableCores(), AvailableProcessors());
  EXPECT_GE(AvailableProcessors(), 1);
  const auto memory = AvailableMemoryBytes();
  ASSERT_TRUE(memory.has_value());
  EXPECT_GT(*memory, 1 << 20);
  const nlohmann::json environment = DescribeEnvironment();
  EXPECT_FALSE(environment["compiler"].is_null());
  EXPECT_FALSE(EnvironmentLine(environment).empty());
}

TEST(MeasureFmaPeak, IsARateThatAProcessorCanHave) {
  const double peak = MeasureFmaPeak(1);
  EXPECT_GT(peak, 1e8);
  EXPECT_LT(peak, 1e13);
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
  Workload workload(settings, 1, weights);
  const auto ops = workload.forward().ops();
  const Op& attention = *std::ranges::find(ops, OpId::kAttention, &Op::id);
  benchmark::ClearRegisteredBenchmarks();
  benchmark::RegisterBenchmark("attention",
                               [&](benchmark::State& state) { workload.TimeOp(state, attention); })
      ->Iterations(1)
      ->UseManualTime();
  KeepingReporter reporter;
  benchmark::RunSpecifiedBenchmarks(&reporter, "attention");
  benchmark::ClearRegisteredBenchmarks();
  ASSERT_EQ(reporter.all.size(), 1);
  const auto& counters = reporter.all[0].counters;
  EXPECT_EQ(counters.at("predicted_flops"),
            OpFlops(settings.model, settings.OneLayer(), attention, Convention::kCausal));
  EXPECT_EQ(counters.at("executed_flops"),
            ExecutedFlops(settings.model, settings.OneLayer(), attention,
                          FactsOf(settings.matmul, settings.attention)));
  // The samples' shapes are fixed, so what is counted there depends on the kernels alone.
  const SampleResult samples = CountSamples({settings.model, 5, 1, "packed", "fused"});
  const auto counted =
      std::ranges::find(samples.counted, OpId::kAttention, &std::pair<OpId, int64_t>::first);
  EXPECT_EQ(counters.at("sample_counted_flops"), counted->second);
  EXPECT_GT(counted->second, 0);
}

}  // namespace
}  // namespace flopledger
