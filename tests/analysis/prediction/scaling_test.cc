// Collectives, and passes by several ranks: predicted from a calibration made by hand.
#include "analysis/prediction/scaling.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/refusal.h"

namespace flopledger {
namespace {

using ::testing::HasSubstr;

/// A machine of four processors on which every op costs the same a unit of work.
Calibration Flat(const ModelConfig& model) {
  Calibration calibration;
  calibration.taken = "2026-11-24T20:00:00Z";
  for (const int64_t threads : {1, 2, 4}) {
    const auto rate = static_cast<double>(threads);
    calibration.ceilings.push_back({.threads = threads,
                                    .fma_flops_per_s = {{"256-bit", {100e9 * rate, 1e9}}},
                                    .bandwidth = {{"memory", std::nullopt, {1e12, 0}, {1e12, 0}}},
                                    .product_flops_per_s = {100e9 * rate, 1e9},
                                    .fork_join_s = {1e-12, 0},
                                    .exp_s = {2e-10, 0},
                                    .clock_hz = {},
                                    .theoretical_flops_per_s = {}});
    for (const Op& op : ForwardOps(model, {.context = 64, .fused_attention = true})) {
      OpSample sample{.matmul = SampleBackend("packed", op), .op = SampleKey(model, op)};
      sample.threads = threads;
      sample.peak_flops = sample.product_flops = 2;
      sample.read_bytes = 1;
      sample.repetitions = 1;
      calibration.samples.push_back(sample);
    }
  }
  for (const int64_t bytes : {1000, 10'000'000}) {
    calibration.collectives.push_back({.ranks = 2,
                                       .hosts = 1,
                                       .threads = 2,
                                       .bytes = bytes,
                                       .algorithm = "ring",
                                       .seconds = 1e-9 * static_cast<double>(bytes),
                                       .spread = 0.01,
                                       .repetitions = 7,
                                       .mpi_s = 1e-3});
  }
  return calibration;
}

PredictedRun RunOf(const ModelConfig& model, int64_t ranks) {
  const Shard shard{0, ranks};
  return {
      .model = RankModel(model, shard),
      .shape = {.context = 64,
                .num_layers = model.num_layers,
                .fused_attention = true,
                .shard = shard},
      .matmul = "packed",
      .threads = 1,
      .speed = {.peak_flops_per_s = 100e9, .product_flops_per_s = 100e9, .read_bytes_per_s = 1e12}};
}

Op AllReduceOf(const PredictedRun& run) {
  for (const Op& op : ForwardOps(run.model, run.shape)) {
    if (op.id == OpId::kFfnAllReduce) return op;
  }
  return {};
}

TEST(PredictCollective, InterpolatesWhatWasMeasuredWithAsManyRanks) {
  const ModelConfig model = LoadModel("gpt2");
  const Calibration calibration = Flat(model);
  PredictedRun run = RunOf(model, 2);
  const Op op = AllReduceOf(run);
  const double bytes = 4.0 * 64 * 768;
  const OpPrediction found = PredictOp(calibration, run, op);
  EXPECT_NEAR(*found.seconds, 12 * 1e-9 * bytes, 1e-12);
  EXPECT_EQ(found.bound, Bound::kNetwork);
  EXPECT_EQ(NameOf(found.bound), "network");
  run.hosts = 2;
  EXPECT_FALSE(PredictOp(calibration, run, op).seconds);
  run = RunOf(model, 3);
  const OpPrediction none = PredictOp(calibration, run, AllReduceOf(run));
  EXPECT_FALSE(none.seconds);
  EXPECT_THAT(none.unavailable_because,
              HasSubstr("no collectives of 3 ranks on 1 host: 'mpirun -n 3 flopledger-mpi"));
}

TEST(PredictCollective, OverANetworkCountsMessagesBytesAndAdditions) {
  const ModelConfig model = LoadModel("gpt2");
  const Calibration calibration = Flat(model);
  PredictedRun run = RunOf(model, 4);
  run.network = Network{.bytes_per_s = 1e9, .latency_s = 1e-3};
  const double n = 64 * 768;
  const double ring = 6 * 1e-3 + 6 * n * 4 / 4 / 1e9 + 12 * (n - n / 4) / 1e12;
  EXPECT_NEAR(*PredictOp(calibration, run, AllReduceOf(run)).seconds, 12 * ring, 1e-9);
  run.shape.context = 1;  // recursive doubling
  const double doubling = 2 * 1e-3 + 2 * 768 * 4 / 1e9 + 12 * 2 * 768 / 1e12;
  EXPECT_NEAR(*PredictOp(calibration, run, AllReduceOf(run)).seconds, 12 * doubling, 1e-9);
}

TEST(Calibration, KeepsItsCollectives) {
  Calibration calibration = Flat(LoadModel("gpt2"));
  calibration.identity = {{"cpu", "A"}};
  const auto json = nlohmann::json::parse(ToJson(calibration).dump());
  EXPECT_EQ(CalibrationFromJson(json, "x"), calibration);
  calibration.collectives.clear();
  EXPECT_FALSE(ToJson(calibration).contains("collectives"));
  auto wrong = json;
  wrong["collectives"][0]["seconds"] = -1;
  EXPECT_THAT(Refusal([&] { CalibrationFromJson(wrong, "x"); }), HasSubstr("seconds"));
}

TEST(PredictScaling, RanksOfOneMachineShareIt) {
  const ModelConfig model = LoadModel("gpt2");
  const Calibration calibration = Flat(model);
  ScalingRequest request{
      .model = model,
      .shape = {.context = 64, .num_layers = model.num_layers, .fused_attention = true},
      .matmul = "packed",
      .processors = 4,
      .threads = {},
      .network = {}};
  const std::vector<int64_t> ranks{1, 2, 4};
  const auto points = PredictScaling(calibration, request, ranks);
  ASSERT_EQ(points.size(), 3);
  EXPECT_EQ(points[0].threads, 4);
  EXPECT_EQ(points[1].threads, 2);
  EXPECT_EQ(points[0].efficiency, 1);
  EXPECT_EQ(points[0].communication_s, 0);
  EXPECT_NEAR(*points[1].communication_s, 24 * 1e-9 * 4 * 64 * 768, 1e-9);
  EXPECT_LT(*points[1].efficiency, 1);
  EXPECT_GT(*points[1].efficiency, 0.5);
  EXPECT_EQ(points[1].collectives, "measured on this machine");
  EXPECT_FALSE(points[2].seconds);  // four ranks were not measured
  EXPECT_LT(points[1].memory.weights_bytes, points[0].memory.weights_bytes);
  request.threads = 4;
  EXPECT_THAT(PredictScaling(calibration, request, ranks)[1].unavailable_because,
              HasSubstr("2 ranks of 4 threads do not fit on the 4 processors"));

  request.network = Network{.bytes_per_s = 1e12, .latency_s = 1e-9};  // as good as none
  const auto far = PredictScaling(calibration, request, ranks);
  EXPECT_EQ(far[2].collectives, "alpha-beta model");
  EXPECT_NEAR(*far[1].seconds, *far[0].seconds / 2, 0.1 * *far[0].seconds);
  EXPECT_GT(*far[2].efficiency, 0.8);
  EXPECT_THAT(Refusal([&] { PredictScaling(calibration, request, std::vector<int64_t>{13}); }),
              HasSubstr("12 query heads"));
}

TEST(ParseNetwork, ReadsABandwidthAndALatency) {
  const auto same = [](std::string_view text, double bytes_per_s, double latency_s) {
    const Network network = ParseNetwork(text);
    EXPECT_DOUBLE_EQ(network.bytes_per_s, bytes_per_s) << text;
    EXPECT_DOUBLE_EQ(network.latency_s, latency_s) << text;
  };
  same("12.5GB/s,2us", 12.5e9, 2e-6);
  same("100 Gbit/s, 1.5 us", 12.5e9, 1.5e-6);
  same("125MB/s,0.5ms", 125e6, 5e-4);
  for (const char* text : {"", "12", "12.5GB/s", "12.5GB/s,", ",2us", "-1GB/s,2us", "1GB,2us",
                           "1GB/s,2", "nanGB/s,2us", "1GB/s,0us"}) {
    EXPECT_THAT(Refusal([&] { ParseNetwork(text); }), HasSubstr("--network must be")) << text;
  }
}

}  // namespace
}  // namespace flopledger
