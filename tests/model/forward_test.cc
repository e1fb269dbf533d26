// The whole pass: against logits computed elsewhere, against a textbook pass in double, and against
// the list that the accounting costs.
#include "model/forward.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <omp.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "analysis/accounting/accounting.h"
#include "analysis/text/csv.h"
#include "model/json.h"
#include "tests/support/random_model.h"
#include "tests/support/reference.h"
#include "tests/support/temporary_folder.h"

namespace flopledger {
namespace {

RunShape ShapeOf(const ModelConfig& config, int64_t context, int64_t batch, bool fused,
                 bool fused_epilogues = false) {
  return {.context = context,
          .batch = batch,
          .num_layers = config.num_layers,
          .fused_attention = fused,
          .fused_epilogues = fused_epilogues};
}

/// Every combination of product backend, attention kernel and thread count.
template <class Visit>
void ForEachWay(Visit&& visit) {
  for (const auto& matmul : MatmulBackends<float>()) {
    for (const bool fused : {false, true}) {
      for (const int threads : {1, 2, 3}) {
        SCOPED_TRACE(std::string(matmul.name) + (fused ? " fused " : " reference ") +
                     std::to_string(threads));
        omp_set_num_threads(threads);
        visit(matmul, fused);
      }
    }
  }
}

class Golden : public ::testing::TestWithParam<const char*> {};

TEST_P(Golden, LogitsAgreeWithThoseComputedElsewhere) {
  const std::string folder = std::string(FLOPLEDGER_FIXTURES "/") + GetParam();
  const ModelConfig config = LoadModel(folder + "/config.json");
  const SafetensorsFile file(folder + "/model.safetensors");
  const auto tokens =
      ParseJson(ReadTextFile(folder + "/tokens.json"), "tokens").get<std::vector<int32_t>>();
  const auto expected = ParseCsv(ReadTextFile(folder + "/logits.csv"), "logits");
  ForEachWay([&](const MatmulBackend<float>& matmul, bool fused) {
    const auto weights = ReadWeights<float>(config, file, matmul.packs_weights);
    const auto context = static_cast<int64_t>(tokens.size());
    Forward<float> forward(config, weights,
                           ShapeOf(config, context, 1, fused, matmul.fuses_epilogues), matmul);
    NoObserver observer;
    forward.Run(tokens, observer);
    ASSERT_EQ(expected.size(), tokens.size());
    for (int64_t r = 0; r < context; ++r) {
      const auto& row = expected[static_cast<std::size_t>(r)];
      ASSERT_EQ(static_cast<int64_t>(row.size()), config.vocab_size);
      double largest = 0;
      for (const auto& field : row) largest = std::max(largest, std::abs(std::stod(field)));
      for (int64_t c = 0; c < config.vocab_size; ++c) {
        ASSERT_NEAR(forward.logits()(r, c), std::stod(row[static_cast<std::size_t>(c)]),
                    1e-4 * largest)
            << "row " << r << ", column " << c;
      }
    }
  });
}

INSTANTIATE_TEST_SUITE_P(Models, Golden,
                         ::testing::Values("gpt2-tiny", "llama-tiny", "llama31-tiny",
                                           "mistral-window-tiny", "qwen2-tiny", "qwen3-tiny",
                                           "gemma-tiny", "phi3-tiny", "gpt-neox-tiny"));

TEST(Forward, AgreesWithATextbookPassInDouble) {
  std::mt19937 random(2);
  for (int i = 0; i < 300; ++i) {
    const ModelConfig config = RandomComputedModel(random);
    // Drawn apart from one another: each backend meets each kernel, batch and thread count.
    const int64_t context = random() % 8 == 0 ? 1 : 1 + static_cast<int64_t>(random() % 40);
    const auto batch = static_cast<int64_t>(1 + random() % 2);
    const bool fused = random() % 2 == 0;
    const int threads = static_cast<int>(1 + random() % 3);
    const auto backends = MatmulBackends<float>();
    const auto& matmul = backends[random() % backends.size()];
    SCOPED_TRACE(fmt::format("{} T={} B={} {} fused={} threads={}", ToJson(config).dump(), context,
                             batch, matmul.name, fused, threads));
    omp_set_num_threads(threads);
    const auto weights = SeededWeights<float>(config, config.num_layers, 3, matmul.packs_weights);
    std::vector<int32_t> tokens;
    for (int64_t r = 0; r < batch * context; ++r) {
      tokens.push_back(static_cast<int32_t>(random() % static_cast<uint64_t>(config.vocab_size)));
    }
    Forward<float> forward(config, weights,
                           ShapeOf(config, context, batch, fused, matmul.fuses_epilogues), matmul);
    NoObserver observer;
    forward.Run(tokens, observer);
    const reference::Table expected = reference::Logits(config, weights, context, tokens);
    double largest = 0;
    for (const double value : expected.values) largest = std::max(largest, std::abs(value));
    // A layer's roughly 12 ops each round sums of up to `size` terms: independent errors of 2⁻²⁴
    // add up to √size of it. (Of 1,500 such models the worst came to a quarter of this.)
    const int64_t size = std::max({config.d_model, config.d_ff, config.attention_size(), context});
    const double tolerance = 12 * static_cast<double>(config.num_layers) *
                             std::sqrt(static_cast<double>(size)) * 0x1p-24 * largest;
    for (int64_t r = 0; r < expected.rows; ++r) {
      for (int64_t c = 0; c < expected.cols; ++c) {
        ASSERT_NEAR(forward.logits()(r, c), expected(r, c), tolerance)
            << "row " << r << ", column " << c;
      }
    }
  }
}

TEST(Forward, ResultsDoNotDependOnTheThreads) {
  std::mt19937 random(5);
  const ModelConfig config = RandomModel(random);
  const auto weights = SeededWeights<float>(config, config.num_layers, 3, true);
  const std::vector<int32_t> tokens(60, 0);
  std::vector<float> first;
  for (const int threads : {1, 2, 3}) {
    omp_set_num_threads(threads);
    Forward<float> forward(config, weights, ShapeOf(config, 60, 1, true),
                           *FindMatmul<float>("packed"));
    NoObserver observer;
    forward.Run(tokens, observer);
    const std::vector<float> logits(forward.logits().data,
                                    forward.logits().data + 60 * config.vocab_size);
    if (first.empty()) first = logits;
    EXPECT_EQ(logits, first) << threads << " threads";
  }
}

/// Writes down what it saw.
struct Recorder {
  std::vector<std::pair<Op, int64_t>> before, after;

  void Before(const Op& op, int64_t layer, const Operands<float>&) {
    before.emplace_back(op, layer);
  }
  void After(const Op& op, int64_t layer, const Operands<float>&) { after.emplace_back(op, layer); }
};

TEST(Forward, ExecutesExactlyTheListThatIsCosted) {
  std::mt19937 random(4);
  for (int i = 0; i < 20; ++i) {
    const ModelConfig config = RandomModel(random);
    const RunShape shape = ShapeOf(config, 5, 2, i % 2 == 0);
    const auto weights = SeededWeights<float>(config, config.num_layers, 3);
    Forward<float> forward(config, weights, shape, *FindMatmul<float>("eigen"));
    Recorder seen;
    forward.Run(std::vector<int32_t>(10, 0), seen);
    std::vector<std::pair<Op, int64_t>> costed;
    const auto ops = ForwardOps(config, shape);
    ForEachExecution(config, ops, config.num_layers,
                     [&](const Op& op, int64_t layer) { costed.emplace_back(op, layer); });
    EXPECT_EQ(seen.before, costed);
    EXPECT_EQ(seen.after, costed);
    int64_t flops = 0;
    for (const Op& op : ops) flops += OpFlops(config, shape, op, Convention::kAll);
    EXPECT_EQ(flops, CountFlops(config, shape, Convention::kAll).total);
  }
}

/// Holds each op's sizes, which are costed, against the matrices that it is given.
struct SizeChecker {
  const ModelConfig& config;

  void Before(const Op& op, int64_t, const Operands<float>& o) {
    SCOPED_TRACE(std::string(op.name()));
    switch (op.kind) {
      case OpKind::kMatmul:
        EXPECT_EQ(op.products, 1);
        EXPECT_EQ(op.k, o.a.cols);
        EXPECT_EQ(op.k, o.w.inputs);
        EXPECT_EQ(op.n, o.w.outputs);
        EXPECT_EQ(op.bias, o.bias != nullptr);
        [[fallthrough]];
      case OpKind::kEmbedding:
      case OpKind::kNorm:
      case OpKind::kActivation:
      case OpKind::kResidual:
        EXPECT_EQ(op.m, o.y.rows);
        EXPECT_EQ(op.n, o.y.cols);
        break;
      case OpKind::kRope:
        EXPECT_EQ(op.m, o.y.rows);
        EXPECT_EQ(op.n, (config.num_heads + config.num_kv_heads) * config.rotated_size());
        break;
      case OpKind::kAttentionScores:
      case OpKind::kAttentionSoftmax:
        EXPECT_EQ(op.products * op.m, o.y.rows);
        EXPECT_EQ(op.n, o.y.cols);
        break;
      case OpKind::kAttentionValues:
        EXPECT_EQ(op.products * op.m, o.a.rows);
        EXPECT_EQ(op.k, o.a.cols);
        EXPECT_EQ(op.products * op.m * op.n, o.y.rows * o.y.cols);
        break;
      case OpKind::kAttention:
        EXPECT_EQ(op.products * op.m * op.k, o.y.rows * o.y.cols);
        EXPECT_EQ(op.n, o.attention.context);
        break;
      case OpKind::kQkNorm:
        EXPECT_EQ(op.m, o.y.rows);
        EXPECT_EQ(op.n, (config.num_heads + config.num_kv_heads) * config.head_size());
        break;
      case OpKind::kRouting:
      case OpKind::kCombine:
      case OpKind::kAllReduce:
      case OpKind::kLogitsGather: ADD_FAILURE() << "is not computed"; break;
    }
  }
  void After(const Op&, int64_t, const Operands<float>&) {}
};

TEST(Forward, ExecutesTheSizesThatAreCosted) {
  std::mt19937 random(15);
  for (int i = 0; i < 40; ++i) {
    const ModelConfig config = RandomComputedModel(random);
    const auto weights = SeededWeights<float>(config, config.num_layers, 3, i % 4 < 2);
    Forward<float> forward(config, weights, ShapeOf(config, 6, 2, i % 2 == 0),
                           *FindMatmul<float>(i % 4 < 2 ? "packed" : "eigen"));
    SizeChecker checker{config};
    forward.Run(std::vector<int32_t>(12, 0), checker);
  }
}

TEST(Forward, HoldsTheMemoryThatTheAccountingSays) {
  std::mt19937 random(6);
  for (int i = 0; i < 20; ++i) {
    const ModelConfig config = RandomModel(random);
    const RunShape shape = ShapeOf(config, 7, 2, i % 2 == 0);
    const auto weights = SeededWeights<float>(config, config.num_layers, 3);
    Forward<float> forward(config, weights, shape, *FindMatmul<float>("eigen"));
    EXPECT_EQ(forward.ActivationBytes(), CountMemory(config, shape).activation_bytes);
    EXPECT_EQ(WeightBytes(config, weights), CountMemory(config, shape).weights_bytes);
  }
}

}  // namespace
}  // namespace flopledger
