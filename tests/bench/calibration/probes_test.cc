// Calibrating on models of a few rows: that every op of every kernel is sampled, and that a
// prediction of the same model comes out of it. No figure is held against another: it is timing.
#include "bench/calibration/probes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <ostream>
#include <set>

#include "analysis/prediction/contradictions.h"
#include "bench/calibration/calibration_file.h"
#include "kernels/matmul.h"
#include "tests/support/temporary_folder.h"

namespace flopledger {
namespace {

ProbePlan TinyPlan() {
  ProbeModel tiny;
  tiny.longest_context = 5;
  tiny.by_others = true;
  ModelConfig& model = tiny.model;
  model.name = "tiny";
  model.vocab_size = 40;
  model.context_length = 5;
  model.num_layers = 2;
  model.d_model = 24;
  model.num_heads = 3;
  model.num_kv_heads = 1;
  model.d_ff = 50;
  ProbeModel gated = tiny;
  gated.model.ffn = Ffn::kSwiglu;
  gated.model.norm = Norm::kRmsNorm;
  gated.model.position = Position::kRope;
  gated.model.biases = {};
  return {.models = {tiny, gated}, .contexts = {1, 5, 100}, .seconds = 0};
}

TEST(SampleOps, PredictsWhatItSampledForEveryBackendAndAttention) {
  std::ostream nowhere(nullptr);
  Progress progress(nowhere, false);
  CeilingProbe ceilings({1});
  const ProbePlan plan = TinyPlan();
  Calibration calibration;
  calibration.taken = "now";
  calibration.samples = SampleOps(plan, {1}, ceilings, progress).samples;
  calibration.ceilings = ceilings.Result();
  EXPECT_EQ(CalibrationFromJson(ToJson(calibration), "itself"), calibration);

  for (const ProbeModel& probe : plan.models) {
    for (const auto& backend : MatmulBackends<float>()) {
      for (const bool fused : {true, false}) {
        const PassPrediction pass = PredictPass(
            calibration, {.model = probe.model,
                          .shape = {.context = 5, .num_layers = 2, .fused_attention = fused},
                          .matmul = std::string(backend.name),
                          .threads = 1,
                          .speed = CalibratedSpeed(calibration, 1)});
        ASSERT_TRUE(pass.total.seconds.has_value())
            << backend.name << ": " << pass.total.unavailable_because;
        EXPECT_GT(*pass.total.seconds, 0);
        EXPECT_FALSE(pass.total.beyond_samples);
      }
    }
  }
}

TEST(EssentialContexts, AreTheFirstAndTheMiddleOne) {
  EXPECT_EQ(EssentialContexts(5, true), (std::vector<std::size_t>{0, 2}));
  EXPECT_EQ(EssentialContexts(5, false), (std::vector<std::size_t>{0, 1}));
  EXPECT_EQ(EssentialContexts(2, true), (std::vector<std::size_t>{0, 1}));
  EXPECT_EQ(EssentialContexts(1, true), (std::vector<std::size_t>{0}));
}

TEST(SampleOps, WithoutTimeSamplesTheEssentialContextsAndSaysSo) {
  std::ostream nowhere(nullptr);
  Progress progress(nowhere, false);
  CeilingProbe ceilings({1});
  ProbePlan plan = TinyPlan();
  plan.models.resize(1);
  plan.models.front().by_others = false;
  plan.contexts = {1, 2, 3, 4, 5};
  const Sampling sampling = SampleOps(plan, {1}, ceilings, progress);
  std::set<int64_t> rows;
  for (const OpSample& sample : sampling.samples) {
    if (sample.op == "matmul") rows.insert(sample.m);
  }
  EXPECT_EQ(rows, (std::set<int64_t>{1, 3}));
  EXPECT_EQ(sampling.passes_sampled, 2);
  EXPECT_EQ(sampling.passes_planned, 5);
}

TEST(SampleOps, GivesUpWhereTheTimeIsLongGone) {
  std::ostream nowhere(nullptr);
  Progress progress(nowhere, false);
  CeilingProbe ceilings({1});
  ProbePlan plan = TinyPlan();
  EXPECT_FALSE(SampleOps(plan, {1}, ceilings, progress).gave_up);
  plan.give_up_s = 0;
  const Sampling sampling = SampleOps(plan, {1}, ceilings, progress);
  EXPECT_TRUE(sampling.gave_up);
  EXPECT_TRUE(sampling.samples.empty());
}

TEST(SaveCalibration, StoresNothingThatContradictsItself) {
  const TemporaryFolder folder;
  Ceilings ceilings;
  ceilings.fma_flops_per_s = {{"256-bit", {1e11, 1e9}}};
  ceilings.bandwidth = {{"L1", 1 << 15, {1e11, 0}, {1e11, 0}},
                        {"memory", std::nullopt, {2e11, 0}, {1e10, 0}}};
  ceilings.product_flops_per_s = {9e10, 0};
  ceilings.fork_join_s = {1e-6, 0};
  ceilings.exp_s = {1e-10, 0};
  Calibration calibration;
  calibration.ceilings = {ceilings};
  EXPECT_EQ(SaveCalibration(folder.path("a.json"), calibration).size(), 1U);
  EXPECT_TRUE(folder.Files().empty());
  calibration.ceilings[0].bandwidth[1].read.median = 1e10;
  EXPECT_TRUE(SaveCalibration(folder.path("a.json"), calibration).empty());
  EXPECT_EQ(folder.Files().size(), 1U);
}

TEST(CeilingProbe, MeasuresEveryLevelAndSaysWhatMemoryIs) {
  CeilingProbe probe({1, 2});
  probe.Round();
  const std::vector<Ceilings> ceilings = probe.Result();
  ASSERT_EQ(ceilings.size(), 2U);
  for (const Ceilings& each : ceilings) {
    EXPECT_EQ(each.bandwidth.size(),
              CachesOfTeam(MachineTopology(), static_cast<int>(each.threads)).size() + 1);
    EXPECT_EQ(each.bandwidth.back().level, "memory");
    EXPECT_EQ(each.memory_buffer_bytes, DramBufferOf(static_cast<int>(each.threads)).bytes);
    EXPECT_EQ(each.thread_spread.has_value(), each.threads <= std::ssize(MachineTopology().cores));
    EXPECT_FALSE(each.product_drift.has_value());  // it needs a session
  }
  EXPECT_EQ(probe.speed(2).threads(), 2);
}

TEST(SettleCeilings, MeasuresThreeRoundsWhereNothingContradicts) {
  CeilingProbe probe({1});
  const auto contradictions = SettleCeilings(probe, 0);
  if (probe.calm_rounds() == 3) {
    EXPECT_EQ(contradictions, Contradictions(probe.Result()));
  } else {  // a peak that few rounds reach is no ceiling
    EXPECT_THAT(contradictions.back(), ::testing::HasSubstr("of 3 rounds only"));
  }
  EXPECT_EQ(probe.rounds(), 3U);
  SettleCeilings(probe, 0);  // what was measured counts: no round more
  EXPECT_EQ(probe.rounds(), 3U);
}

TEST(CalibratedThreads, AreFewAndEndWithAllProcessors) {
  EXPECT_EQ(CalibratedThreads(1, 1), (std::vector<int>{1}));
  EXPECT_EQ(CalibratedThreads(2, 2), (std::vector<int>{1, 2}));
  EXPECT_EQ(CalibratedThreads(12, 12), (std::vector<int>{1, 2, 3, 4, 8, 12}));
  EXPECT_EQ(CalibratedThreads(2, 4), (std::vector<int>{1, 2, 4}));
}

TEST(DefaultPlan, SeesNoPreset) {
  for (const ProbeModel& probe : DefaultPlan(false, 2).models) {
    Validate(probe.model, "plan");
    for (const ModelConfig& preset : Presets()) EXPECT_NE(probe.model.d_model, preset.d_model);
  }
}

TEST(MeasureFmaPeak, IsARateThatAProcessorCanHave) {
  const double peak = MeasureFmaPeak(1);
  EXPECT_GT(peak, 1e8);
  EXPECT_LT(peak, 1e13);
}

}  // namespace
}  // namespace flopledger
