// What each rank of a pass costs, and all of them together.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <omp.h>

#include <nlohmann/json.hpp>

#include "analysis/accounting/accounting.h"
#include "analysis/accounting/collectives.h"
#include "analysis/accounting/executed.h"
#include "kernels/counted.h"
#include "kernels/tally.h"
#include "model/forward.h"
#include "tests/support/random_split.h"

namespace flopledger {
namespace {

TEST(RanksAccounting, EveryRankCountsWhatItsFormulasSay) {
  using Counting = Counted<float>;
  struct Meter {
    std::vector<std::pair<Op, int64_t>> counts;
    void Before(const Op&, int64_t, const Operands<Counting>&) { ResetTallies(); }
    void After(const Op& op, int64_t, const Operands<Counting>&) {
      counts.emplace_back(op, SumTallies().flops());
    }
  };
  std::mt19937 random(12);
  omp_set_num_threads(2);
  const KernelFacts facts{.matmul = "packed",
                          .attention = "fused",
                          .panel = kTileColumns<float>,
                          .queries = FusedBlocking<float>().queries,
                          .keys = FusedBlocking<float>().keys};
  for (int i = 0; i < 25; ++i) {
    auto [config, ranks] = RandomSplit(random);
    config.layer_kinds.resize(1);
    config.layer_pattern = {0};
    config.num_layers = 1;
    for (int64_t rank = 0; rank < ranks; ++rank) {
      const Shard shard{rank, ranks};
      const ModelConfig own = RankModel(config, shard);
      const RunShape shape = ShapeOfRank(config, 9, 1, shard);
      const auto weights = SeededWeights<Counting>(config, 1, 3, true, {.shard = shard});
      Forward<Counting> forward(own, weights, shape, *FindMatmul<Counting>("packed"));
      AbsentPeers link(shard);
      forward.Connect(link);
      Meter meter;
      forward.Run(std::vector<int32_t>(9, 0), meter);
      for (const auto& [op, counted] : meter.counts) {
        EXPECT_EQ(counted, ExecutedFlops(own, shape, op, facts).value())
            << op.name() << ", rank " << rank << " of " << ranks << ", " << ToJson(config).dump();
      }
    }
  }
}

/// Computed by every rank alike.
bool IsReplicated(OpKind kind) {
  return kind == OpKind::kEmbedding || kind == OpKind::kNorm || kind == OpKind::kResidual ||
         kind == OpKind::kRouting || kind == OpKind::kCombine;
}
bool IsReplicated(const Op& op) {
  using enum OpId;
  constexpr OpId kProducts[] = {kEmbeddingProjection, kQueryDown,      kKvDown,   kRouter,
                                kSharedScale,         kHeadProjection, kScoreHead};
  return IsReplicated(op.kind) || std::ranges::find(kProducts, op.id) != std::end(kProducts);
}

/// The sum over ranks of what their lists cost.
template <class Cost>
int64_t SumOverRanks(const ModelConfig& config, const RunShape& shape, int64_t ranks,
                     const Cost& cost) {
  int64_t sum = 0;
  for (int64_t rank = 0; rank < ranks; ++rank) {
    RunShape own_shape = shape;
    own_shape.shard = {rank, ranks};
    const ModelConfig own = RankModel(config, own_shape.shard);
    for (const Op& op : ForwardOps(own, own_shape)) sum += cost(own, own_shape, op);
  }
  return sum;
}

TEST(RanksAccounting, TheirFlopsAreThoseOfOneProcessAndTheReductions) {
  const std::pair<const char*, std::vector<int64_t>> kCases[] = {
      {"gpt2-xl", {2, 3, 4, 25}},
      {FLOPLEDGER_FIXTURES "/configs/Meta-Llama-3-8B.json", {2, 3, 8}},
      {FLOPLEDGER_FIXTURES "/configs/gemma-2-2b.json", {2, 3, 4}},
      {FLOPLEDGER_FIXTURES "/configs/Mixtral-8x7B-v0.1.json", {2, 5, 8}},
      {FLOPLEDGER_FIXTURES "/configs/phi-2.json", {2, 7, 32}},
      {FLOPLEDGER_FIXTURES "/configs/Qwen3-0.6B.json", {2, 8}}};
  for (const auto& [name, numbers] : kCases) {
    const ModelConfig config = LoadModel(name);
    for (const int64_t ranks : numbers) {
      for (const int64_t past : {0, 40}) {
        SCOPED_TRACE(fmt::format("{} by {} ranks, past {}", name, ranks, past));
        ASSERT_GE(config.num_kv_heads, ranks) << "keys and values would be replicated";
        const RunShape shape{.context = past > 0 ? 1 : 64,
                             .batch = 3,
                             .num_layers = config.num_layers,
                             .fused_attention = true,
                             .past = past};
        for (const auto convention : {Convention::kMatmul, Convention::kCausal, Convention::kAll}) {
          int64_t whole = 0, replicated = 0;
          for (const Op& op : ForwardOps(config, shape)) {
            const int64_t flops = OpFlops(config, shape, op, convention);
            whole += flops;
            if (IsReplicated(op)) replicated += flops;
          }
          const int64_t reductions = convention == Convention::kAll
                                         ? 2 * config.num_layers * (ranks - 1) * shape.batch *
                                               shape.context * config.d_model
                                         : 0;
          const int64_t sum =
              SumOverRanks(config, shape, ranks,
                           [&](const ModelConfig& own, const RunShape& own_shape, const Op& op) {
                             if (op.kind == OpKind::kAllReduce &&
                                 AlgorithmOf(op.m * op.n, ranks) != AllReduceAlgorithm::kRing) {
                               // Recursive doubling adds more than once.
                               return convention == Convention::kAll && own_shape.shard.rank > 0
                                          ? Executions(op, own_shape) * op.m * op.n
                                          : int64_t{0};
                             }
                             return OpFlops(own, own_shape, op, convention);
                           });
          EXPECT_EQ(sum, whole + reductions + (ranks - 1) * replicated);
        }
      }
    }
  }
}

TEST(RanksAccounting, KeysAndValuesOfFewHeadsAreReplicated) {
  ModelConfig config = LoadModel(FLOPLEDGER_FIXTURES "/configs/Qwen2.5-7B.json");  // 28 on 4
  const RunShape shape{.context = 64, .num_layers = config.num_layers, .fused_attention = true};
  constexpr int64_t kRanks = 7;
  int64_t whole = 0;
  for (const Op& op : ForwardOps(config, shape))
    whole += OpFlops(config, shape, op, Convention::kMatmul);
  const int64_t sum = SumOverRanks(
      config, shape, kRanks, [](const ModelConfig& own, const RunShape& own_shape, const Op& op) {
        return OpFlops(own, own_shape, op, Convention::kMatmul);
      });
  const int64_t more = kRanks - config.num_kv_heads;  // heads of keys, and as many of values
  EXPECT_EQ(sum, whole + 2 * shape.context * config.d_model * 2 * more * config.head_size() *
                             config.num_layers);
}

TEST(RanksAccounting, EveryRankHoldsTheMemoryThatTheAccountingSays) {
  std::mt19937 random(16);
  for (int i = 0; i < 40; ++i) {
    const auto [config, ranks] = RandomSplit(random);
    for (int64_t rank = 0; rank < ranks; ++rank) {
      const Shard shard{rank, ranks};
      const ModelConfig own = RankModel(config, shard);
      const RunShape shape = ShapeOfRank(config, 7, 2, shard);
      const auto weights =
          SeededWeights<float>(config, config.num_layers, 3, false, {.shard = shard});
      const Forward<float> forward(own, weights, shape, *FindMatmul<float>("eigen"));
      EXPECT_EQ(forward.ActivationBytes(), CountMemory(own, shape).activation_bytes);
      EXPECT_EQ(WeightBytes(own, weights), CountMemory(own, shape).weights_bytes);
    }
  }
}

}  // namespace
}  // namespace flopledger
