// A traced pass: what ran, in what order, on which thread.
#include "bench/run/trace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <omp.h>

#include <nlohmann/json.hpp>
#include <set>

#include "analysis/ledger/rows.h"
#include "bench/run/workload.h"

namespace flopledger {
namespace {

RunSettings TinyRun(int threads) {
  RunSettings settings;
  settings.model.name = "tiny";
  settings.model.vocab_size = 50;
  settings.model.context_length = settings.context = 24;
  settings.model.num_layers = 3;
  settings.model.d_model = 24;
  settings.model.num_heads = settings.model.num_kv_heads = 3;
  settings.model.d_ff = 40;
  settings.threads = threads;
  return settings;
}

PassTrace TraceOf(const RunSettings& settings) {
  std::ostream nowhere(nullptr);
  Progress progress(nowhere, false);
  WeightStore weights;
  Workload workload(settings, settings.model.num_layers, weights, progress);
  return workload.Trace(progress);
}

TEST(Trace, HasEachExecutionInOrderAndEachLayerAroundItsOwn) {
  const RunSettings settings = TinyRun(1);
  const std::vector<Slice> slices = TraceOf(settings).slices;
  std::vector<std::pair<std::string, int64_t>> expected, found;
  ForEachExecution(settings.model, ForwardOps(settings.model, settings.Shape(3)), 3,
                   [&](const Op& op, int64_t layer) { expected.emplace_back(op.name(), layer); });
  std::vector<const Slice*> layers;
  for (const Slice& slice : slices) {
    EXPECT_GE(slice.start_ns, 0);
    EXPECT_GE(slice.duration_ns, 0);
    if (slice.level == Slice::Level::kOp) found.emplace_back(slice.name, slice.layer);
    if (slice.level == Slice::Level::kLayer) layers.push_back(&slice);
  }
  EXPECT_EQ(found, expected);
  ASSERT_EQ(layers.size(), 3U);
  for (const Slice& slice : slices) {
    if (slice.layer < 0) continue;
    const Slice& layer = *layers[static_cast<std::size_t>(slice.layer)];
    EXPECT_GE(slice.start_ns, layer.start_ns);
    EXPECT_LE(slice.start_ns + slice.duration_ns, layer.start_ns + layer.duration_ns);
  }
}

TEST(Trace, SlicesAddUpToWhatThePassExecutes) {
  const RunSettings settings = TinyRun(1);
  const MeasuredRun run = settings.Measured(3, "");
  int64_t executed = 0, of_ops = 0, of_layers = 0, in_layers = 0;
  for (const Op& op : ForwardOps(settings.model, run.shape)) {
    executed += FlopsExecuted(settings.model, run.shape, op, run.kernels);
  }
  const PassTrace trace = TraceOf(settings);
  ASSERT_EQ(trace.peaks_flops_per_s.size(), 1);
  EXPECT_GT(trace.peaks_flops_per_s[0], 0);
  for (const Slice& slice : trace.slices) {
    if (slice.op) of_ops += *slice.flops;
    if (slice.op && slice.layer >= 0) in_layers += *slice.flops;
    if (slice.level == Slice::Level::kLayer) of_layers += *slice.flops;
  }
  EXPECT_EQ(of_ops, executed);
  EXPECT_EQ(of_layers, in_layers);
  EXPECT_GT(of_layers, 0);
}

TEST(Trace, EveryThreadHasItsShareOfEveryParallelOperation) {
  if (!HasThreadSpans()) GTEST_SKIP() << "this compiler's OpenMP shows no thread's share";
  if (omp_get_num_procs() < 2) GTEST_SKIP() << "one processor";
  std::set<std::string> of_thread[2];
  const std::vector<Slice> slices = TraceOf(TinyRun(2)).slices;
  const Slice* op = nullptr;
  for (const Slice& slice : slices) {
    if (slice.level == Slice::Level::kOp) op = &slice;
    if (slice.level != Slice::Level::kRegion) continue;
    ASSERT_LT(slice.thread, 2);
    of_thread[slice.thread].insert(slice.name);
    ASSERT_NE(op, nullptr);
    EXPECT_EQ(slice.name, op->name);  // it lies inside of its operation
    EXPECT_LE(slice.start_ns + slice.duration_ns, op->start_ns + op->duration_ns);
  }
  EXPECT_EQ(of_thread[0], of_thread[1]);
  for (const char* name : {"attention_qkv", "attention", "ffn_norm", "ffn_activation"}) {
    EXPECT_TRUE(of_thread[1].contains(name)) << name;
  }
}

TEST(Trace, NobodyListensOnceItIsDone) {
  TraceOf(TinyRun(1));
  int calls = 0;
#pragma omp parallel reduction(+ : calls)
  calls += 1;  // would report to an observer that is gone
  EXPECT_GT(calls, 0);
}

TEST(Trace, IsAChromeTrace) {
  const Op up{.id = OpId::kFfnUp,
              .kind = OpKind::kMatmul,
              .per_layer = true,
              .m = 24,
              .n = 40,
              .k = 10,
              .products = 1};
  std::vector<Slice> slices{
      {Slice::Level::kLayer, "layer 0", 0, 0, 1'000, 5'000},
      {Slice::Level::kOp, "an \"op\"\n", 0, 0, 1'500, 2'000, up},
      {Slice::Level::kRegion, "an \"op\"\n", 0, 1, 1'600, 0},
      {Slice::Level::kOp, "lm_head", -1, 0, 7'000, 10},
  };
  SetFlops(slices, [](const Op& op) { return 2 * op.m * op.n * op.k; });
  const auto trace = nlohmann::json::parse(ToChromeTrace({slices, {96e9}}, "run <1>"));
  EXPECT_EQ(trace["displayTimeUnit"], "ms");
  std::vector<nlohmann::json> events;
  std::set<int> named;
  for (const auto& event : trace["traceEvents"]) {
    if (event["ph"] == "X") events.push_back(event);
    if (event["name"] == "thread_name") named.insert(event["tid"].get<int>());
  }
  ASSERT_EQ(events.size(), slices.size());
  EXPECT_EQ(named, (std::set{0, 1}));
  EXPECT_EQ(events[1]["name"], "an \"op\"\n");
  EXPECT_DOUBLE_EQ(events[1]["ts"].get<double>(), 1.5);
  EXPECT_DOUBLE_EQ(events[1]["dur"].get<double>(), 2);
  // 2·24·40·10 FLOPs in 2 µs are 9.6 GFLOP/s, a tenth of the peak; in the layer's 5 µs 3.84.
  EXPECT_EQ(events[1]["args"], (nlohmann::json{{"layer", 0},
                                               {"shape", "24×40×10"},
                                               {"products", 1},
                                               {"flops", 19'200},
                                               {"gflops", 9.6},
                                               {"pct_peak", 10.0}}));
  EXPECT_EQ(events[0]["args"]["flops"], 19'200);
  EXPECT_EQ(events[0]["args"]["gflops"], 3.84);
  EXPECT_EQ(events[2]["args"], (nlohmann::json{{"layer", 0}}));
  EXPECT_EQ(events[2]["tid"], 1);
  EXPECT_FALSE(events[3].contains("args"));
}

}  // namespace
}  // namespace flopledger
