// Rows that say what was measured, and what is extrapolated from them.
#include "analysis/ledger/rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "analysis/ledger/extrapolation.h"

namespace flopledger {
namespace {

using ::testing::HasSubstr;

MeasuredRun TwoOfFourLayers() {
  MeasuredRun run;
  run.model = LoadModel("gpt2");
  run.model.num_layers = 4;
  run.shape = {.context = 16, .num_layers = 2, .fused_attention = true};
  run.kernels = {.matmul = "packed",
                 .attention = "fused",
                 .panel = 32,
                 .queries = 32,
                 .keys = 64,
                 .tile_m = 64,
                 .tile_n = 64,
                 .k_block = 256};
  return run;
}

TEST(MakeRecords, MediansSharesAndTheExtrapolatedRow) {
  const MeasuredRun run = TwoOfFourLayers();
  const auto ops = ForwardOps(run.model, run.shape);
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
  const auto rows = MakeRecords(run, trials);
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
  EXPECT_NEAR(*total.mfu_pct, 100 * *total.gflops / 2, 1e-9 * *total.mfu_pct);
  EXPECT_NEAR(*total.pct_peak / *total.mfu_pct,
              static_cast<double>(*total.executed_flops) / static_cast<double>(flops), 1e-9);
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
  const MeasuredRun run = TwoOfFourLayers();
  const auto ops = ForwardOps(run.model, run.shape);
  const double of_layers = static_cast<double>(std::ranges::count(ops, true, &Op::per_layer));
  const double whole = static_cast<double>(ops.size()) + of_layers;  // two layers more than ran
  const std::vector<Trial> trials{MadeTrial(ops.size(), 1, 2e9), MadeTrial(ops.size(), 2, 1e9)};
  const Extrapolation whole_pass = ExtrapolatePass(run, trials, 0.03);
  EXPECT_NEAR(whole_pass.seconds, whole * 2 / 1.5, 1e-9);  // both, at the median of their peaks
  EXPECT_NEAR(whole_pass.lower, whole_pass.seconds * (1 - 0.03), 1e-6);
  EXPECT_NEAR(whole_pass.upper, whole_pass.seconds * (1 + 0.03), 1e-6);
}

TEST(ExtrapolatePass, WaitingForOtherRanksIsNoWorkOfTheLayers) {
  const MeasuredRun run = TwoOfFourLayers();
  const auto ops = ForwardOps(run.model, run.shape);
  Trial trial = MadeTrial(ops.size(), 1, 2e9);
  const double alone = ExtrapolatePass(run, {&trial, 1}, std::nullopt).seconds;
  for (double& seconds : trial.op_s) seconds *= 1.5;  // sums of slowest ranks; the pass is as long
  EXPECT_NEAR(ExtrapolatePass(run, {&trial, 1}, std::nullopt).seconds, alone, 1e-9);
}

TEST(ExtrapolatePass, IsNeverBelowThePartThatRan) {
  const MeasuredRun run = TwoOfFourLayers();
  const auto ops = ForwardOps(run.model, run.shape);
  const std::vector<Trial> trials{MadeTrial(ops.size(), 1, 1e9), MadeTrial(ops.size(), 3, 1e9)};
  const Extrapolation whole_pass = ExtrapolatePass(run, trials, std::nullopt);
  EXPECT_EQ(whole_pass.lower, trials[0].pass_s);
  EXPECT_GT(whole_pass.upper, whole_pass.seconds);
}

TEST(ExtrapolatePass, OneDisturbedTrialMovesTheIntervalAndNotTheEstimate) {
  const MeasuredRun run = TwoOfFourLayers();
  const auto ops = ForwardOps(run.model, run.shape);
  std::vector<Trial> trials(5, MadeTrial(ops.size(), 1, 1e9));
  const double calm = ExtrapolatePass(run, trials, std::nullopt).seconds;
  trials[3] = MadeTrial(ops.size(), 3, 1e9);
  const Extrapolation disturbed = ExtrapolatePass(run, trials, std::nullopt);
  EXPECT_EQ(disturbed.seconds, calm);
  EXPECT_GT(disturbed.upper, 2 * calm);
}

/// Each op takes a second, at a peak of that many FLOPs a second.
std::vector<Trial> SecondsEach(std::size_t ops, const std::vector<double>& peaks) {
  std::vector<Trial> trials;
  for (const double peak : peaks) trials.push_back(MadeTrial(ops, 1, peak));
  return trials;
}

TEST(MakeRecords, TheTotalHasThePeakAroundEachRepetition) {
  const MeasuredRun run = TwoOfFourLayers();
  const auto ops = ForwardOps(run.model, run.shape);
  const auto rows = MakeRecords(run, SecondsEach(ops.size(), {2e12, 1e12}));
  const auto total = std::ranges::find(rows, "total", &Record::op);
  EXPECT_EQ(total->peak_samples_gflops, (std::vector<double>{2000, 1000}));
  EXPECT_EQ(total->samples_s.size(), 2U);
}

TEST(MakeRecords, TheShareOfThePeakIsOfExecutedFlopsAndMfuOfPredictedOnes) {
  MeasuredRun run = TwoOfFourLayers();
  const auto ops = ForwardOps(run.model, run.shape);
  for (const bool library : {false, true}) {
    if (library) run.kernels.matmul = "openblas";
    for (const Convention convention : {Convention::kMatmul, Convention::kCausal}) {
      run.convention = convention;
      const auto rows = MakeRecords(run, SecondsEach(ops.size(), {1e12}));
      for (std::size_t i = 0; i < ops.size(); ++i) {
        const int64_t executed = rows[i].executed_flops.value_or(
            OpFlops(run.model, run.shape, ops[i], Convention::kCausal));
        EXPECT_EQ(rows[i].executed_flops.has_value(), !library || ops[i].kind != OpKind::kMatmul);
        EXPECT_NEAR(rows[i].pct_peak.value_or(0), 100 * static_cast<double>(executed) / 1e12, 1e-9);
        EXPECT_NEAR(rows[i].mfu_pct.value_or(0),
                    100 * static_cast<double>(*rows[i].predicted_flops) / 1e12, 1e-9);
        EXPECT_EQ(rows[i].dtype, "f32");
        EXPECT_EQ(rows[i].ranks, 1);
        EXPECT_EQ(rows[i].disturbed, "");
      }
    }
  }
}

TEST(MakeRecords, ALibrarysAttentionIsNotCreditedWithWhatTheMaskHides) {
  MeasuredRun run = TwoOfFourLayers();
  run.kernels.matmul = "openblas";
  run.kernels.attention = "reference";
  run.shape.fused_attention = false;
  const auto ops = ForwardOps(run.model, run.shape);
  const auto rows = MakeRecords(run, SecondsEach(ops.size(), {1e12}));
  for (std::size_t i = 0; i < ops.size(); ++i) {
    if (ops[i].kind != OpKind::kAttentionScores) continue;
    EXPECT_EQ(rows[i].executed_flops, std::nullopt);
    const int64_t kept = OpFlops(run.model, run.shape, ops[i], Convention::kCausal);
    ASSERT_LT(kept, *rows[i].predicted_flops);
    EXPECT_NEAR(*rows[i].pct_peak, 100 * static_cast<double>(kept) / 1e12, 1e-9);
    return;
  }
  FAIL() << "no scores";
}

// Times of 1, 2 and 4 s at peaks of 4, 1 and 2 TFLOP/s: room for 4, 2 and 8 TFLOP, 4 in the middle.
TEST(MakeRecords, EachRepetitionIsHeldAgainstItsOwnPeak) {
  const MeasuredRun run = TwoOfFourLayers();
  const auto ops = ForwardOps(run.model, run.shape);
  const std::vector<Trial> trials{MadeTrial(ops.size(), 1, 4e12), MadeTrial(ops.size(), 2, 1e12),
                                  MadeTrial(ops.size(), 4, 2e12)};
  const auto rows = MakeRecords(run, trials);
  const auto up = std::ranges::find(rows, "ffn_up", &Record::op);
  // Two layers of 16·768·3072 multiply-adds, in panels that 3,072 columns fill.
  EXPECT_DOUBLE_EQ(*up->mfu_pct, 100.0 * 2 * 2 * 16 * 768 * 3072 / 4e12);
  EXPECT_DOUBLE_EQ(*up->pct_peak, *up->mfu_pct);
  EXPECT_EQ(up->peak_gflops, 2000);
}

TEST(MakeRecords, TheWholeModelsSharesAreOfItsExtrapolatedTime) {
  const MeasuredRun run = TwoOfFourLayers();
  const auto ops = ForwardOps(run.model, run.shape);
  const auto rows = MakeRecords(run, SecondsEach(ops.size(), {1e12}));
  const Record& whole = rows.back();
  // Each op took a second, and those of a layer take another for the two layers that did not run.
  const auto seconds = static_cast<double>(
      ops.size() + static_cast<std::size_t>(std::ranges::count(ops, true, &Op::per_layer)));
  int64_t executed = 0, predicted = 0;
  for (std::size_t i = 0; i < ops.size(); ++i) {
    executed += *rows[i].executed_flops * (ops[i].per_layer ? 2 : 1);
    predicted += *rows[i].predicted_flops * (ops[i].per_layer ? 2 : 1);
  }
  EXPECT_DOUBLE_EQ(*whole.time_s, seconds);
  EXPECT_EQ(whole.predicted_flops, predicted);
  EXPECT_NEAR(*whole.gflops, static_cast<double>(predicted) / seconds / 1e9, 1e-12);
  EXPECT_NEAR(*whole.mfu_pct, 100 * static_cast<double>(predicted) / seconds / 1e12, 1e-9);
  EXPECT_NEAR(*whole.pct_peak, 100 * static_cast<double>(executed) / seconds / 1e12, 1e-9);
}

TEST(MakeRecords, WhatWasCountedOnceIsMeasuredAsOftenAsItRuns) {
  const MeasuredRun run = TwoOfFourLayers();
  const auto ops = ForwardOps(run.model, run.shape);
  FlopsEvidence evidence;
  evidence.mode = CountMode::kFull;
  for (const Op& op : ops) evidence.counted.emplace_back(op.id, 1000 + static_cast<int64_t>(op.id));
  const auto rows = MakeRecords(run, SecondsEach(ops.size(), {1e12}), evidence);
  int64_t sum = 0, executed = 0;
  for (std::size_t i = 0; i < ops.size(); ++i) {
    const int64_t times = ops[i].per_layer ? 2 : 1;
    EXPECT_EQ(rows[i].measured_flops, times * (1000 + static_cast<int64_t>(ops[i].id)));
    EXPECT_EQ(rows[i].executions_per_count, times);
    EXPECT_EQ(rows[i].flops_source, "counted");
    if (*rows[i].predicted_flops > 0) {
      EXPECT_DOUBLE_EQ(*rows[i].flops_ratio, static_cast<double>(*rows[i].measured_flops) /
                                                 static_cast<double>(*rows[i].predicted_flops));
    } else {
      EXPECT_FALSE(rows[i].flops_ratio.has_value());
    }
    sum += *rows[i].measured_flops;
    executed += *rows[i].executed_flops;
  }
  EXPECT_EQ(rows[ops.size()].measured_flops, sum);
  EXPECT_EQ(rows[ops.size()].executed_flops, executed);
  EXPECT_EQ(rows[ops.size()].flops_source, "counted");
}

TEST(MakeRecords, ATotalOfSeveralSourcesNamesNone) {
  const MeasuredRun run = TwoOfFourLayers();
  const auto ops = ForwardOps(run.model, run.shape);
  FlopsEvidence evidence;
  evidence.mode = CountMode::kSample;
  evidence.sampled.samples = 6;
  for (const Op& op : ops) evidence.sampled.met.emplace_back(op.id, 6);
  const auto total = [&] {
    return MakeRecords(run, SecondsEach(ops.size(), {1e12}), evidence)[ops.size()];
  };
  EXPECT_EQ(total().flops_source, "confirmed");
  EXPECT_EQ(total().confirmed_samples, 6);
  EXPECT_FALSE(total().measured_flops.has_value());  // confirmed is not measured
  evidence.sampled.met.back().second = 5;
  EXPECT_EQ(total().flops_source, "none");
  EXPECT_EQ(total().flops_note, "the operations' sources differ");
}

TEST(MakeRecords, AboveThePeakIsAnError) {
  const MeasuredRun run = TwoOfFourLayers();
  const auto ops = ForwardOps(run.model, run.shape);
  const auto rows = MakeRecords(run, SecondsEach(ops.size(), {1e6}));
  const auto up = std::ranges::find(rows, "ffn_up", &Record::op);
  EXPECT_GT(up->pct_peak, 100);
  EXPECT_THAT(up->disturbed, HasSubstr("cannot be"));
  const auto residual = std::ranges::find(rows, "ffn_residual", &Record::op);
  EXPECT_LT(residual->pct_peak, 100);
  EXPECT_EQ(residual->disturbed, "");
}

TEST(MakeRecords, DisturbedRepetitionsAreNamedAndDoNotDecideTheShare) {
  const MeasuredRun run = TwoOfFourLayers();
  const auto ops = ForwardOps(run.model, run.shape);
  std::vector<Trial> trials = SecondsEach(ops.size(), {1e12, 5e11, 5e11});
  trials[1].disturbed = trials[2].disturbed = "stolen time";
  const Record row = MakeRecords(run, trials).front();
  EXPECT_EQ(row.disturbed, "2 of 3 repetitions: stolen time");
  EXPECT_EQ(row.pct_peak, MakeRecords(run, SecondsEach(ops.size(), {1e12})).front().pct_peak);
}

TEST(MakeRecords, PmuComesFirstAndUntrustedIsMarked) {
  MeasuredRun run = TwoOfFourLayers();
  run.shape.num_layers = 4;
  const auto ops = ForwardOps(run.model, run.shape);
  Trial trial;
  trial.passes = 1;
  trial.pass_s = 1;
  trial.op_s.assign(ops.size(), 0.1);
  trial.peak_before_flops_per_s = trial.peak_after_flops_per_s = 1e9;
  FlopsEvidence evidence;
  evidence.mode = CountMode::kSample;
  for (const Op& op : ops) evidence.sampled.met.emplace_back(op.id, 5);
  evidence.sampled.samples = 5;
  CounterFigures figures;
  figures.flops = 100.4;
  figures.instructions = 60;
  figures.cycles = 20;
  figures.cache_misses = 3;
  figures.scale = 2;
  evidence.counters =
      CounterEvidence{std::vector<CounterFigures>(ops.size(), figures), {1000, 1001}};
  const auto make = [&] { return MakeRecords(run, std::vector{trial}, evidence); };
  for (const Record& row : make()) {
    EXPECT_EQ(row.flops_source, "pmu");
    if (row.op == "total") {
      EXPECT_EQ(row.measured_flops, 100 * static_cast<int64_t>(ops.size()));
      continue;
    }
    EXPECT_EQ(row.measured_flops, 100);
    EXPECT_EQ(row.ipc, 3);
    EXPECT_EQ(row.memory_bytes, 192);
    EXPECT_EQ(row.counter_scale, 2);
  }
  evidence.counters->check.counted = 500;
  const Record untrusted = make().front();
  EXPECT_EQ(untrusted.flops_source, "untrusted");
  EXPECT_EQ(untrusted.measured_flops, 100);
  EXPECT_THAT(untrusted.flops_note, HasSubstr("500"));
  EXPECT_THAT(untrusted.flops_note, HasSubstr("1000"));
  for (CounterFigures& each : evidence.counters->by_op) each.flops.reset();
  EXPECT_EQ(make().front().flops_source, "confirmed");
  EXPECT_EQ(make().front().ipc, 3);
}

}  // namespace
}  // namespace flopledger
