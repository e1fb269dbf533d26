// A pass by several ranks: against the pass by one, against logits computed elsewhere, and against
// what the accounting says of each rank.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <omp.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "analysis/accounting/accounting.h"
#include "analysis/accounting/collectives.h"
#include "analysis/accounting/executed.h"
#include "analysis/text/csv.h"
#include "kernels/counted.h"
#include "kernels/tally.h"
#include "model/forward.h"
#include "model/json.h"
#include "tests/support/random_split.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/thread_link.h"

namespace flopledger {
namespace {

using ::testing::HasSubstr;

std::vector<float> CopyOf(ConstMatrixView<float> view) {
  return {view.data, view.data + view.rows * view.cols};
}

// --- The split -----------------------------------------------------------------------------------

TEST(Ranks, ShareAllHeadsColumnsAndLogitsOnce) {
  std::mt19937 random(1);
  for (int i = 0; i < 2000; ++i) {
    ModelConfig config;
    config.num_kv_heads = static_cast<int64_t>(1 + random() % 9);
    const auto group = static_cast<int64_t>(1 + random() % 9);
    config.num_heads = config.num_kv_heads * group;
    config.d_ff = 100 + static_cast<int64_t>(random() % 9);
    config.vocab_size = 90 + static_cast<int64_t>(random() % 9);
    const int64_t ranks = 1 + static_cast<int64_t>(random()) % config.num_heads;
    int64_t heads = 0, d_ff = 0, vocabulary = 0, kv_heads = 0;
    const RankShare first = ShareOf(config, {0, ranks});
    for (int64_t rank = 0; rank < ranks; ++rank) {
      const RankShare share = ShareOf(config, {rank, ranks});
      EXPECT_EQ(share.heads.begin, heads);
      EXPECT_EQ(share.d_ff.begin, d_ff);
      EXPECT_EQ(share.vocabulary.begin, vocabulary);
      EXPECT_GE(share.heads.size, 1);
      EXPECT_EQ(share.heads.size % share.kv_heads.size, 0);
      // Query head h reads key/value head h / group.
      EXPECT_EQ(share.heads.begin / group, share.kv_heads.begin);
      EXPECT_EQ((share.heads.end() - 1) / group, share.kv_heads.end() - 1);
      EXPECT_LE(share.heads.size, first.heads.size);
      EXPECT_LE(share.d_ff.size, first.d_ff.size);
      heads = share.heads.end(), d_ff = share.d_ff.end(), vocabulary = share.vocabulary.end();
      kv_heads += share.kv_heads.size;
    }
    EXPECT_EQ(heads, config.num_heads);
    EXPECT_EQ(d_ff, config.d_ff);
    EXPECT_EQ(vocabulary, config.vocab_size);
    EXPECT_EQ(kv_heads, std::max(config.num_kv_heads, ranks));
  }
}

TEST(Ranks, OfGpt2XlHaveUnevenHeads) {
  const ModelConfig xl = LoadModel("gpt2-xl");
  const auto heads = [&](int64_t ranks) {
    std::vector<int64_t> sizes;
    for (int64_t rank = 0; rank < ranks; ++rank)
      sizes.push_back(ShareOf(xl, {rank, ranks}).heads.size);
    return sizes;
  };
  EXPECT_EQ(heads(2), (std::vector<int64_t>{13, 12}));
  EXPECT_EQ(heads(3), (std::vector<int64_t>{9, 8, 8}));
  EXPECT_EQ(heads(4), (std::vector<int64_t>{7, 6, 6, 6}));
}

TEST(Ranks, AModelThatCannotBeSplitIsRefused) {
  ModelConfig config = LoadModel("gpt2");
  CheckRanks(config, 12);
  EXPECT_THAT(Refusal([&] { CheckRanks(config, 13); }),
              HasSubstr("ranks must be from 1 to its 12 query heads, found 13"));
  EXPECT_THAT(Refusal([&] { CheckRanks(config, 0); }), HasSubstr("found 0"));
  config.d_ff = 3;
  EXPECT_THAT(Refusal([&] { CheckRanks(config, 4); }),
              HasSubstr("3 columns cannot be split over 4 ranks"));
  config.d_ff = 0;  // all layers are of experts
  CheckRanks(config, 4);
  config.qk_norm = QkNorm::kRow;
  CheckRanks(config, 1);
  EXPECT_THAT(Refusal([&] { CheckRanks(config, 2); }), HasSubstr("over the whole row"));
}

// --- The sum over ranks --------------------------------------------------------------------------

TEST(AllReduce, IsTheSumAtEveryRankInTheSameBits) {
  for (const int64_t ranks : {1, 2, 3, 4, 5, 6, 7, 8}) {
    const int64_t ring = kRingChunk * ranks;
    for (const int64_t n : {int64_t{1}, int64_t{3}, int64_t{10}, ring - 1, ring, ring + 5}) {
      SCOPED_TRACE(fmt::format("{} ranks, {} numbers", ranks, n));
      const auto value = [](int64_t rank, int64_t i) {
        return static_cast<float>(std::sin(static_cast<double>(rank * 1000003 + i)));
      };
      std::vector<std::vector<float>> sums(static_cast<std::size_t>(ranks));
      RunRanks(ranks, [&](ThreadLink& link) {
        const auto [rank, P] = link.shard();
        std::vector<float>& x = sums[static_cast<std::size_t>(rank)];
        for (int64_t i = 0; i < n; ++i) x.push_back(value(rank, i));
        Matrix<float> scratch(1, AllReduceScratch(n, P));
        AllReduceSum<float>(link, {x.data(), 1, n, n}, scratch.view());
        const AllReduceCost cost = CostOfAllReduce(n, link.shard());
        EXPECT_EQ(link.sent_bytes, cost.sent * 4) << "rank " << rank;
      });
      for (const auto& sum : sums) EXPECT_EQ(sum, sums.front());
      for (int64_t i = 0; i < n; ++i) {
        double expected = 0, magnitude = 0;
        for (int64_t rank = 0; rank < ranks; ++rank) {
          expected += static_cast<double>(value(rank, i));
          magnitude += std::abs(static_cast<double>(value(rank, i)));
        }
        // At most ranks − 1 roundings (Higham 2002, section 4.2).
        const double bound = static_cast<double>(ranks - 1) * 0x1.01p-24 * magnitude;
        ASSERT_NEAR(sums[0][static_cast<std::size_t>(i)], expected, bound) << "number " << i;
      }
    }
  }
}

TEST(AllReduce, CountsTheAdditionsOfItsFormula) {
  using Counting = Counted<float>;
  for (int64_t ranks = 2; ranks <= 9; ++ranks) {
    for (const int64_t n : {int64_t{7}, kRingChunk * ranks + 3, int64_t{60011}}) {
      int64_t all = 0;
      for (int64_t rank = 0; rank < ranks; ++rank) {
        AbsentPeers link({rank, ranks});
        std::vector<Counting> x(static_cast<std::size_t>(n), Counting(1.0f));
        Matrix<Counting> scratch(1, AllReduceScratch(n, ranks));
        ResetTallies();
        AllReduceSum<Counting>(link, {x.data(), 1, n, n}, scratch.view());
        const int64_t counted = SumTallies().flops();
        EXPECT_EQ(counted, CostOfAllReduce(n, link.shard()).additions) << rank << " of " << ranks;
        all += counted;
      }
      if (AlgorithmOf(n, ranks) == AllReduceAlgorithm::kRing) {
        EXPECT_EQ(all, (ranks - 1) * n);
      }
    }
  }
}

// --- The pass ------------------------------------------------------------------------------------

/// Leaves the residual stream after each half of each block.
struct StreamRecorder {
  std::vector<float> streams;

  void Before(const Op&, int64_t, const Operands<float>&) {}
  void After(const Op& op, int64_t, const Operands<float>& o) {
    if (op.kind != OpKind::kResidual) return;
    for (int64_t r = 0; r < o.y.rows; ++r) {
      streams.insert(streams.end(), o.y.row(r), o.y.row(r) + o.y.cols);
    }
  }
};

/// How far logits of the same weights and tokens may differ: a layer's roughly 12 ops each round
/// sums of up to `size` terms, in one order here and in another there.
double BoundOf(const ModelConfig& config, int64_t context, double largest) {
  const int64_t size = std::max({config.d_model, config.d_ff, config.attention_size(), context});
  return 2 * 12 * static_cast<double>(config.num_layers) * std::sqrt(static_cast<double>(size)) *
         0x1p-24 * largest;
}

TEST(RanksForward, HasTheLogitsOfOneProcess) {
  std::mt19937 random(21);
  for (int i = 0; i < 200; ++i) {
    const auto [drawn, ranks] = RandomSplit(random);
    const ModelConfig& config = drawn;
    const auto context = static_cast<int64_t>(1 + random() % 30);
    const auto batch = static_cast<int64_t>(1 + random() % 2);
    const bool fused = random() % 2 == 0;
    const auto backends = MatmulBackends<float>();
    const auto& matmul = backends[random() % backends.size()];
    SCOPED_TRACE(fmt::format("{} T={} B={} {} fused={} ranks={}", ToJson(config).dump(), context,
                             batch, matmul.name, fused, ranks));
    std::vector<int32_t> tokens;
    for (int64_t r = 0; r < batch * context; ++r) {
      tokens.push_back(static_cast<int32_t>(random() % static_cast<uint64_t>(config.vocab_size)));
    }
    std::vector<std::vector<float>> logits(static_cast<std::size_t>(ranks + 1)),
        streams(static_cast<std::size_t>(ranks + 1));
    const auto run = [&](Link* link, const Shard& shard) {
      omp_set_num_threads(2);
      RunShape shape = ShapeOfRank(config, context, batch, shard);
      shape.fused_attention = fused;
      shape.fused_epilogues = matmul.fuses_epilogues;
      const ModelConfig own = RankModel(config, shard);
      const auto weights = SeededWeights<float>(config, config.num_layers, 3, matmul.packs_weights,
                                                {.shard = shard});
      Forward<float> forward(own, weights, shape, matmul);
      if (link != nullptr) forward.Connect(*link);
      StreamRecorder recorder;
      forward.Run(tokens, recorder);
      const std::size_t place =
          link != nullptr ? static_cast<std::size_t>(shard.rank) : logits.size() - 1;
      logits[place] = CopyOf(forward.logits());
      streams[place] = recorder.streams;
    };
    RunRanks(ranks, [&](ThreadLink& link) { run(&link, link.shard()); });
    run(nullptr, {});
    for (int64_t rank = 1; rank < ranks; ++rank) {
      EXPECT_EQ(streams[static_cast<std::size_t>(rank)], streams[0]) << "rank " << rank;
    }
    ASSERT_EQ(logits[0].size(), logits.back().size());
    double largest = 0;
    for (const float value : logits.back()) largest = std::max(largest, std::abs(double{value}));
    for (std::size_t j = 0; j < logits[0].size(); ++j) {
      ASSERT_NEAR(logits[0][j], logits.back()[j], BoundOf(config, context, largest)) << j;
    }
  }
}

class GoldenRanks : public ::testing::TestWithParam<const char*> {};

TEST_P(GoldenRanks, HaveTheLogitsComputedElsewhere) {
  const std::string folder = std::string(FLOPLEDGER_FIXTURES "/") + GetParam();
  const ModelConfig config = LoadModel(folder + "/config.json");
  const SafetensorsFile file(folder + "/model.safetensors");
  const auto tokens =
      ParseJson(ReadTextFile(folder + "/tokens.json"), "tokens").get<std::vector<int32_t>>();
  const auto expected = ParseCsv(ReadTextFile(folder + "/logits.csv"), "logits");
  const auto context = static_cast<int64_t>(tokens.size());
  for (const int64_t ranks : {2, 3, 4}) {
    if (!Splits(config, ranks)) continue;
    SCOPED_TRACE(ranks);
    RunRanks(ranks, [&](ThreadLink& link) {
      omp_set_num_threads(1);
      const ModelConfig own = RankModel(config, link.shard());
      const auto& matmul = *FindMatmul<float>("packed");
      const auto weights = ReadWeights<float>(config, file, true, link.shard());
      Forward<float> forward(own, weights, ShapeOfRank(config, context, 1, link.shard()), matmul);
      forward.Connect(link);
      NoObserver observer;
      forward.Run(tokens, observer);
      if (link.shard().rank > 0) return;
      for (int64_t r = 0; r < context; ++r) {
        const auto& row = expected[static_cast<std::size_t>(r)];
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
}

INSTANTIATE_TEST_SUITE_P(Models, GoldenRanks,
                         ::testing::Values("gpt2-tiny", "llama-tiny", "llama31-tiny",
                                           "mistral-window-tiny", "qwen2-tiny", "qwen3-tiny",
                                           "gemma-tiny", "phi3-tiny", "gpt-neox-tiny"));

TEST(RanksForward, DecodesAsItPrefills) {
  std::mt19937 random(8);
  for (int i = 0; i < 30; ++i) {
    const auto [drawn, ranks] = RandomSplit(random);
    const ModelConfig& config = drawn;
    if (config.rope_scaling.kind == RopeScaling::Kind::kDynamic ||
        config.rope_scaling.kind == RopeScaling::Kind::kLongRope) {
      continue;  // a longer context turns earlier positions otherwise
    }
    SCOPED_TRACE(ToJson(config).dump());
    const int64_t prompt = 5, steps = 3, B = 2, V = config.vocab_size;
    const auto token = [&](int64_t b, int64_t t) {
      return static_cast<int32_t>((b * 31 + t * 7 + 1) % V);
    };
    const auto tokens_of = [&](int64_t first, int64_t count) {
      std::vector<int32_t> tokens;
      for (int64_t b = 0; b < B; ++b) {
        for (int64_t t = first; t < first + count; ++t) tokens.push_back(token(b, t));
      }
      return tokens;
    };
    RunRanks(ranks, [&](ThreadLink& link) {
      omp_set_num_threads(1);
      const auto& matmul = *FindMatmul<float>("packed");
      const ModelConfig own = RankModel(config, link.shard());
      const auto weights =
          SeededWeights<float>(config, config.num_layers, 3, true, {.shard = link.shard()});
      NoObserver nobody;
      const auto run = [&](const RunShape& shape, KvCache<float>* cache,
                           const std::vector<int32_t>& tokens) {
        Forward<float> forward(own, weights, shape, matmul, cache);
        forward.Connect(link);
        forward.Run(tokens, nobody);
        return CopyOf(forward.logits());
      };
      const RunShape shape = ShapeOfRank(config, prompt, B, link.shard());
      RunShape whole = shape;
      whole.context = prompt + steps;
      const std::vector<float> all = run(whole, nullptr, tokens_of(0, prompt + steps));
      KvCache<float> cache(own, config.num_layers, B, prompt + steps);
      run(shape, &cache, tokens_of(0, prompt));
      for (int64_t step = 0; step < steps; ++step) {
        const auto logits = run(DecodeStep(shape, step), &cache, tokens_of(prompt + step, 1));
        if (link.shard().rank > 0) continue;
        double largest = 0;
        for (const float value : all) largest = std::max(largest, std::abs(double{value}));
        for (int64_t b = 0; b < B; ++b) {
          for (int64_t c = 0; c < V; ++c) {
            const int64_t row = b * (prompt + steps) + prompt + step;
            ASSERT_NEAR(logits[static_cast<std::size_t>(b * V + c)],
                        all[static_cast<std::size_t>(row * V + c)],
                        BoundOf(config, prompt + steps, largest));
          }
        }
      }
    });
  }
}

TEST(RanksOps, OneRanksListIsThatOfOneProcess) {
  std::mt19937 random(4);
  for (int i = 0; i < 50; ++i) {
    const ModelConfig config = RandomComputedModel(random);
    RunShape shape = ShapeOfRank(config, 7, 2, {});
    const auto alone = ForwardOps(RankModel(config, {}), shape);
    shape.gathers_logits = false;
    EXPECT_EQ(alone, ForwardOps(config, shape));
    for (const Op& op : alone) {
      EXPECT_NE(op.kind, OpKind::kAllReduce);
      EXPECT_NE(op.kind, OpKind::kLogitsGather);
    }
  }
}

}  // namespace
}  // namespace flopledger
