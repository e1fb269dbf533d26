#include "analysis/prediction/predict.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "tests/support/refusal.h"

namespace flopledger {
namespace {

using ::testing::HasSubstr;

ModelConfig Gpt2() { return LoadModel("gpt2"); }

Ceilings MakeCeilings(int64_t threads) {
  const auto rate = static_cast<double>(threads);
  return {.threads = threads,
          .fma_flops_per_s = {{"256-bit", {100e9 * rate, 1e9}}, {"128-bit", {50e9 * rate, 1e9}}},
          .bandwidth = {{"L1", 16 << 10, {100e9, 0}, {90e9, 0}},
                        {"L2", 512 << 10, {80e9, 0}, {70e9, 0}},
                        {"memory", std::nullopt, {10e9, 1e9}, {9e9, 1e9}}},
          .product_flops_per_s = {80e9 * rate, 1e9},
          .fork_join_s = {1e-6, 1e-7},
          .exp_s = {2e-10, 0},
          .clock_hz = Measured{3e9, 1e7},
          .theoretical_flops_per_s = {}};
}

OpSample Product(int64_t threads, int64_t m, int64_t n, int64_t k, double peak_flops) {
  return {.matmul = "packed",
          .op = "matmul",
          .threads = threads,
          .m = m,
          .n = n,
          .k = k,
          .peak_flops = peak_flops,
          .product_flops = 0.8 * peak_flops,
          .read_bytes = peak_flops / 10,
          .spread = 0.01,
          .repetitions = 3};
}

/// Products at six shapes with one and two threads; each multiply-add costs a little less where
/// there are more of them.
Calibration MakeCalibration() {
  Calibration calibration;
  calibration.identity = {{"cpu", "A"}, {"processors", "2"}};
  calibration.taken = "2026-11-24T20:00:00Z";
  for (const int64_t threads : {1, 2}) {
    calibration.ceilings.push_back(MakeCeilings(threads));
    for (const int64_t size : {512, 2048}) {
      for (const int64_t m : {1024, 64, 256}) {  // out of order: a file may be
        const double cost = 2 + 10 / std::sqrt(static_cast<double>(m)) + 100.0 / size;
        calibration.samples.push_back(
            Product(threads, m, size, size, cost * (threads == 2 ? 1.1 : 1)));
      }
    }
  }
  return calibration;
}

Op MatmulOp(int64_t m, int64_t n, int64_t k) {
  return {OpId::kFfnUp, OpKind::kMatmul, /*per_layer=*/true, m, n, k, 1};
}

OpPrediction Predict(const Calibration& calibration, const Op& op, int64_t threads = 1,
                     double speed = 1) {
  const MachineSpeed then = CalibratedSpeed(calibration, threads);
  PredictedRun run{.model = Gpt2(),
                   .shape = {.context = op.m, .num_layers = 1},
                   .matmul = "packed",
                   .threads = threads,
                   .speed = {then.peak_flops_per_s * speed, then.product_flops_per_s * speed,
                             then.read_bytes_per_s}};
  return PredictOp(calibration, run, op);
}

TEST(InterpolateLog, IsExactAtThePointsLinearInLogsBetweenAndConstantBeyond) {
  const std::vector<CurvePoint> points = {{1, 8}, {4, 2}, {64, 3}};
  for (const auto& [x, y] : points) EXPECT_EQ(InterpolateLog(points, x), y);
  EXPECT_DOUBLE_EQ(InterpolateLog(points, 2), 4);
  EXPECT_DOUBLE_EQ(InterpolateLog(points, 16), std::sqrt(6));
  EXPECT_EQ(InterpolateLog(points, 0.1), 8);
  EXPECT_EQ(InterpolateLog(points, 1000), 3);
}

TEST(PredictOp, GivesBackEverySampleAtItsOwnShape) {
  const Calibration calibration = MakeCalibration();
  for (const OpSample& sample : calibration.samples) {
    const Op op = MatmulOp(sample.m, sample.n, sample.k);
    const OpPrediction prediction = Predict(calibration, op, sample.threads);
    ASSERT_TRUE(prediction.seconds.has_value());
    const double peak = 100e9 * static_cast<double>(sample.threads);
    EXPECT_NEAR(*prediction.seconds, sample.peak_flops * WorkOf(op) / peak,
                1e-12 * *prediction.seconds);
    EXPECT_EQ(prediction.bound, Bound::kCompute);
    EXPECT_FALSE(prediction.beyond_samples);
  }
}

TEST(PredictOp, TakesASimilarOpWhereNoneOfItsOwnWasSampled) {
  Calibration calibration = MakeCalibration();
  OpSample residual = Product(1, 1024, 512, 1, 3);
  residual.op = "residual", residual.matmul = "";
  calibration.samples.push_back(residual);
  const Op known{OpId::kFfnResidual, OpKind::kResidual, /*per_layer=*/true, 1024, 512, 0, 1};
  Op combine = known;
  combine.id = OpId::kExpertCombine, combine.kind = OpKind::kCombine;
  EXPECT_EQ(Predict(calibration, combine).seconds, Predict(calibration, known).seconds);
  EXPECT_TRUE(Predict(calibration, combine).beyond_samples);
  combine.kind = OpKind::kRouting;  // like the softmax, which was not sampled either
  EXPECT_FALSE(Predict(calibration, combine).seconds.has_value());
}

TEST(PredictOp, RisesWithTheRowsAndLiesBetweenTheSamplesAround) {
  const Calibration calibration = MakeCalibration();
  double before = 0;
  for (int64_t m = 16; m < 5000; m += m / 7 + 1) {
    const Op op = MatmulOp(m, 1000, 800);
    const double seconds = *Predict(calibration, op).seconds;
    EXPECT_GT(seconds, before) << m;
    before = seconds;
    const double cost = seconds * 100e9 / WorkOf(op);
    EXPECT_GE(cost, 2 + 10 / 32.0 + 100.0 / 2048) << m;
    EXPECT_LE(cost, 2 + 10 / 8.0 + 100.0 / 512) << m;
  }
}

TEST(PredictOp, OutsideOfTheSamplesRunsAsTheNearestDoAndSaysSo) {
  const Calibration calibration = MakeCalibration();
  const Op edge = MatmulOp(1024, 2048, 2048), beyond = MatmulOp(8192, 8192, 8192);
  const OpPrediction at_edge = Predict(calibration, edge),
                     prediction = Predict(calibration, beyond);
  EXPECT_NEAR(*prediction.seconds / WorkOf(beyond), *at_edge.seconds / WorkOf(edge), 1e-20);
  EXPECT_TRUE(prediction.beyond_samples);
  EXPECT_FALSE(Predict(calibration, MatmulOp(2000, 2048, 2048)).beyond_samples);  // 1,024 at most
  EXPECT_TRUE(Predict(calibration, MatmulOp(2100, 2048, 2048)).beyond_samples);   // more than twice
}

TEST(PredictOp, MemoryBindsWhereItTakesHalfOfWhatComputingDoes) {
  const Calibration calibration = MakeCalibration();
  const auto shares = [&](const Op& op) {  // memory's, of what was calibrated
    const double bytes = 4.0 * static_cast<double>(op.m * op.k + op.k * op.n + op.m * op.n);
    return bytes / 10e9 / *Predict(calibration, op).seconds;
  };
  const Op more = MatmulOp(12, 1024, 1024), less = MatmulOp(64, 1024, 1024);
  ASSERT_GT(shares(more), 0.8);
  ASSERT_LT(shares(more), 1.9);
  EXPECT_EQ(Predict(calibration, more).bound, Bound::kMemory);
  ASSERT_LT(shares(less), 0.45);
  EXPECT_EQ(Predict(calibration, less).bound, Bound::kCompute);
}

TEST(WorkOf, IsOfEveryHeadAndOfOneTermAtLeast) {
  Op op{OpId::kAttentionScores, OpKind::kAttentionScores, /*per_layer=*/true, 2, 5, 7, 3};
  EXPECT_EQ(WorkOf(op), 2 * 5 * 7 * 3);
  op.k = 0;
  EXPECT_EQ(WorkOf(op), 2 * 5 * 3);
}

TEST(PredictOp, ScalesWithThePeakWhereItComputesAndNotWhereMemoryBinds) {
  const Calibration calibration = MakeCalibration();
  const Op computes = MatmulOp(1024, 2048, 2048);
  EXPECT_NEAR(*Predict(calibration, computes, 1, 0.5).seconds,
              2 * *Predict(calibration, computes).seconds, 1e-12);
  // One row: 4 MB of weights at 10 GB/s are 0.4 ms, its multiply-adds are 0.03 ms.
  const Op reads = MatmulOp(1, 1024, 1024);
  EXPECT_EQ(Predict(calibration, reads).bound, Bound::kMemory);
  EXPECT_EQ(*Predict(calibration, reads, 1, 0.5).seconds, *Predict(calibration, reads).seconds);
}

TEST(PredictOp, ATinyOpIsBoundByForkingAndJoining) {
  const Calibration calibration = MakeCalibration();
  EXPECT_EQ(Predict(calibration, MatmulOp(64, 4, 4)).bound, Bound::kOverhead);
}

TEST(PredictOp, CountsLayersAndThreadsBetween) {
  Calibration calibration = MakeCalibration();
  const Op op = MatmulOp(256, 512, 512);
  PredictedRun run{.model = Gpt2(),
                   .shape = {.context = 256, .num_layers = 12},
                   .matmul = "packed",
                   .threads = 1,
                   .speed = CalibratedSpeed(calibration, 1)};
  EXPECT_NEAR(*PredictOp(calibration, run, op).seconds, 12 * *Predict(calibration, op).seconds,
              1e-12);
  for (OpSample& sample : calibration.samples) {
    if (sample.threads == 2) sample.threads = 4;
  }
  calibration.ceilings.back().threads = 4;
  run.threads = 2;
  run.speed = CalibratedSpeed(calibration, 2);
  EXPECT_NEAR(run.speed.peak_flops_per_s, std::sqrt(2) * 100e9, 1);
  // Two threads of one and four: halfway in the logarithms, of cost and of speed alike.
  const double one = *Predict(calibration, op, 1).seconds,
               four = *Predict(calibration, op, 4).seconds;
  EXPECT_NEAR(*PredictOp(calibration, run, op).seconds, 12 * std::sqrt(one * four),
              0.01 * 12 * std::sqrt(one * four));
}

TEST(PredictOp, EachKindScalesWithItsOwnYardstick) {
  Calibration calibration = MakeCalibration();
  const Op product = MatmulOp(1024, 2048, 2048);
  const Op attention{OpId::kAttention, OpKind::kAttention, /*per_layer=*/true, 1024, 1024, 64, 12};
  OpSample sample = Product(1, 1024, 1, 64, 5);
  sample.op = SampleKey(Gpt2(), attention);
  sample.matmul = SampleBackend("packed", attention);
  calibration.samples.push_back(sample);
  PredictedRun run{.model = Gpt2(),
                   .shape = {.context = 1024, .num_layers = 1, .fused_attention = true},
                   .matmul = "packed",
                   .threads = 1,
                   .speed = CalibratedSpeed(calibration, 1)};
  const double product_s = *PredictOp(calibration, run, product).seconds;
  const double attention_s = *PredictOp(calibration, run, attention).seconds;
  run.speed.product_flops_per_s /= 2;
  EXPECT_DOUBLE_EQ(*PredictOp(calibration, run, product).seconds, 2 * product_s);
  EXPECT_DOUBLE_EQ(*PredictOp(calibration, run, attention).seconds, attention_s);
  run.speed.product_flops_per_s *= 2;
  run.speed.peak_flops_per_s /= 2;
  EXPECT_DOUBLE_EQ(*PredictOp(calibration, run, product).seconds, product_s);
  EXPECT_DOUBLE_EQ(*PredictOp(calibration, run, attention).seconds, 2 * attention_s);
}

TEST(PredictOp, WithoutSamplesIsUnavailableWithTheReason) {
  const Calibration calibration = MakeCalibration();
  const PassPrediction pass = PredictPass(calibration, {.model = Gpt2(),
                                                        .shape = {.context = 64, .num_layers = 12},
                                                        .matmul = "openblas",
                                                        .threads = 1,
                                                        .speed = CalibratedSpeed(calibration, 1)});
  EXPECT_FALSE(pass.total.seconds.has_value());
  const auto ops = ForwardOps(Gpt2(), {.context = 64, .num_layers = 12});
  ASSERT_EQ(pass.ops.size(), ops.size());
  for (std::size_t i = 0; i < ops.size(); ++i) {
    EXPECT_FALSE(pass.ops[i].seconds.has_value());
    if (ops[i].kind == OpKind::kMatmul) {
      EXPECT_THAT(pass.ops[i].unavailable_because, HasSubstr("matmul by openblas"));
    }
  }
}

TEST(PredictPass, IsTheSumOfItsOps) {
  Calibration calibration = MakeCalibration();
  const ModelConfig model = Gpt2();
  const RunShape shape{.context = 64, .num_layers = 12, .fused_attention = true};
  for (const Op& op : ForwardOps(model, shape)) {  // whatever else the list has
    if (op.kind == OpKind::kMatmul) continue;
    OpSample sample = Product(1, 64, 64, 1, 5);
    sample.op = SampleKey(model, op);
    sample.matmul = SampleBackend("packed", op);
    calibration.samples.push_back(sample);
  }
  const PassPrediction pass =
      PredictPass(calibration, {model, shape, "packed", 1, CalibratedSpeed(calibration, 1)});
  double sum = 0;
  for (const OpPrediction& op : pass.ops) sum += *op.seconds;
  EXPECT_DOUBLE_EQ(*pass.total.seconds, sum);
  EXPECT_EQ(pass.total.bound, Bound::kCompute);
}

TEST(SampleKey, TellsApartWhatRunsOtherKernels) {
  ModelConfig model = Gpt2();
  const Op activation{OpId::kFfnActivation, OpKind::kActivation, true, 8, 8, 0, 1};
  const std::string gelu = SampleKey(model, activation);
  model.ffn = Ffn::kSwiglu;
  EXPECT_NE(SampleKey(model, activation), gelu);
  EXPECT_EQ(SampleBackend("eigen", activation), "");
  EXPECT_EQ(SampleBackend("eigen", MatmulOp(8, 8, 8)), "eigen");
}

TEST(CalibrationJson, ReadsBackWhatItWrites) {
  Calibration calibration = MakeCalibration();
  calibration.ceilings.front().theoretical_flops_per_s = Measured{9.6e10, 1e8};
  EXPECT_EQ(CalibrationFromJson(ToJson(calibration), "here"), calibration);
}

TEST(CalibrationJson, WhatIsBrokenIsRefusedOnOneLineThatNamesIt) {
  const nlohmann::json good = ToJson(MakeCalibration());
  struct Case {
    const char* pointer;
    nlohmann::json value;
    const char* says;
  };
  const Case cases[] = {
      {"/calibration", 2, "calibration: is a version that is not known"},
      {"/identity", "AMD", "identity: must be an object"},
      {"/taken", 5, "taken: must be text"},
      {"/ceilings", nlohmann::json::array(), "ceilings: is empty"},
      {"/ceilings/1/threads", 1, "ceilings: do not rise in threads"},
      {"/ceilings/0/fma", {}, "fma: must be a list"},
      {"/ceilings/0/fma/0/flops_per_s/median", 0, "median: must be a number above 0"},
      {"/ceilings/0/bandwidth/2/capacity_bytes", -1, "capacity_bytes: must be a whole number"},
      {"/samples/3/m", 1.5, "element 3: m: must be a"},
      {"/samples/3/m", 18446744073709551615U, "element 3: m: must be a"},
      {"/samples/3/peak_flops", "fast", "element 3: peak_flops: must be a number above 0"},
      {"/samples/3/spread", -0.1, "element 3: spread: must be a number from 0 on"},
      {"/samples/3/op", nullptr, "element 3: op: must be text"},
      {"/samples", 7, "samples: must be a list"},
  };
  for (const Case& one : cases) {
    nlohmann::json broken = good;
    broken[nlohmann::json::json_pointer(one.pointer)] = one.value;
    EXPECT_THAT(Refusal([&] { CalibrationFromJson(broken, "cal.json"); }),
                ::testing::AllOf(HasSubstr("cal.json"), HasSubstr(one.says)))
        << one.pointer;
  }
  for (const char* key : {"calibration", "identity", "taken", "ceilings", "samples"}) {
    nlohmann::json broken = good;
    broken.erase(key);
    EXPECT_THAT(Refusal([&] { CalibrationFromJson(broken, "cal.json"); }),
                HasSubstr(std::string("lacks '") + key + "'"));
  }
  EXPECT_THAT(Refusal([&] { CalibrationFromJson(nlohmann::json::array(), "cal.json"); }),
              HasSubstr("must be an object"));
}

TEST(WhyNotFor, NamesTheFactThatDiffers) {
  const Calibration calibration = MakeCalibration();
  EXPECT_EQ(WhyNotFor(calibration, {{"cpu", "A"}, {"processors", "2"}}), "");
  EXPECT_THAT(WhyNotFor(calibration, {{"cpu", "B"}, {"processors", "2"}}),
              HasSubstr("cpu is A, and here it is B"));
  EXPECT_THAT(WhyNotFor(calibration, {{"cpu", "A"}, {"processors", "2"}, {"flags", "-O3"}}),
              HasSubstr("flags is unknown"));
}

}  // namespace
}  // namespace flopledger
