// Calibrating on models of a few rows: that every op of every kernel is sampled, and that a
// prediction of the same model comes out of it. No figure is held against another: it is timing.
#include "bench/calibration/probes.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <ostream>

#include "kernels/matmul.h"

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
  calibration.samples = SampleOps(plan, {1}, ceilings, progress);
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

TEST(CalibratedThreads, AreFewAndEndWithAllProcessors) {
  EXPECT_EQ(CalibratedThreads(1), (std::vector<int>{1}));
  EXPECT_EQ(CalibratedThreads(2), (std::vector<int>{1, 2}));
  EXPECT_EQ(CalibratedThreads(12), (std::vector<int>{1, 2, 3, 4, 8, 12}));
}

TEST(DefaultPlan, SeesNoPreset) {
  for (const ProbeModel& probe : DefaultPlan(false).models) {
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
