// Ranks of a run: memory, verification, and what they measure, by threads in place of processes.
#include "bench/run/ranks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "analysis/prediction/predict.h"
#include "bench/calibration/collectives.h"
#include "bench/run/memory_plan.h"
#include "bench/run/workload.h"
#include "model/input_error.h"
#include "model/spread_tokens.h"
#include "tests/support/refusal.h"
#include "tests/support/small_run.h"
#include "tests/support/thread_link.h"

namespace flopledger {
namespace {

using ::testing::DoubleEq;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

RunSettings SettingsOf(Team& team) {
  RunSettings settings = SmallRun();
  settings.threads = 1;
  settings.team = &team;
  return settings;
}

TEST(RanksMemory, IsAgreedUponByAll) {
  RunRanks(2, [](ThreadLink& link) {
    Team team{.link = link, .host = "h"};
    RunSettings settings = SettingsOf(team);
    settings.layers.reset();
    settings.model.num_layers = 200;
    const int64_t rank = link.shard().rank;
    settings.max_memory_bytes = int64_t{1} << 33;
    EXPECT_EQ(PlanMemory({&settings, 1}).layers, 200);
    // The second rank has room for fewer layers.
    const RunShape all = settings.Shape(200), none = settings.Shape(0);
    const int64_t layers = CountMemory(settings.OwnModel(), all).weights_bytes -
                           CountMemory(settings.OwnModel(), none).weights_bytes;
    const int64_t whole = PlanMemory({&settings, 1}).needed_bytes;
    if (rank == 1) settings.max_memory_bytes = whole - layers / 2;
    const MemoryPlan plan = PlanMemory({&settings, 1});
    EXPECT_LT(plan.layers, 110);
    EXPECT_GT(plan.layers, 90);
    EXPECT_TRUE(plan.cut_by_memory);
    if (rank == 1) settings.max_memory_bytes = 1;
    try {
      PlanMemory({&settings, 1});
      ADD_FAILURE() << "there is no room";
    } catch (const CannotMeasure& error) {
      EXPECT_THAT(error.what(), HasSubstr("rank 1: 1 layer of"));
    }
  });
}

TEST(RanksSettings, ThatDifferAreNamedAtEveryRank) {
  struct Case {
    void (*change)(RunSettings&);
    const char* says;
  };
  const Case cases[] = {
      {[](RunSettings& s) { s.model = LoadModel("gpt2-xl"); },
       "model gpt2-xl, and rank 0 model gpt2;"},
      {[](RunSettings& s) { s.model.d_ff = 64; }, "model/d_ff 64, and rank 0 model/d_ff 3072;"},
      {[](RunSettings& s) { s.context = 17; }, "context 17, and rank 0 context 16;"},
      {[](RunSettings& s) { s.batch = 2; }, "batch 2, and rank 0 batch 1;"},
      {[](RunSettings& s) { s.layers = 2; }, "layers 2, and rank 0 layers not given;"},
      {[](RunSettings& s) { s.kernels.matmul = FindMatmul<float>("reference"); },
       "matmul reference, and rank 0 matmul packed;"},
      {[](RunSettings& s) { s.kernels.attention = AttentionKernel::kReference; },
       "attention reference, and rank 0 attention fused;"},
      {[](RunSettings& s) { s.count = CountMode::kFull; }, "count full, and rank 0 count auto;"},
      {[](RunSettings& s) { s.trace = true; }, "trace on, and rank 0 trace off;"},
      {[](RunSettings& s) { s.warm_up = 2; }, "warmup 2, and rank 0 warmup 1;"},
      {[](RunSettings& s) { s.decode = 3; }, "decode 3, and rank 0 decode 0;"},
      {[](RunSettings& s) { s.seed = 9; }, "seed 9, and rank 0 seed 1;"}};
  for (const auto& each : cases) {
    RunRanks(3, [&](ThreadLink& link) {
      Team team{.link = link, .host = "h"};
      std::vector<RunSettings> points(2, SettingsOf(team));
      if (link.shard().rank == 2) each.change(points[1]);
      const std::string refusal = Refusal([&] { PlanMemory(points); });
      EXPECT_THAT(refusal, HasSubstr("rank 2 runs other settings than rank 0: "));
      EXPECT_THAT(refusal, HasSubstr(each.says));
      if (link.shard().rank == 2) points.pop_back();
      EXPECT_THAT(Refusal([&] { PlanMemory(points); }),
                  HasSubstr("points 1, and rank 0 points 2;"));
    });
  }
}

TEST(RanksPeak, IsWhatTheThreadsOfAHostReachTogether) {
  RunRanks(4, [](ThreadLink& link) {
    Team team{.link = link, .host = "h", .hosts = 2, .ranks_here = 2};
    RunSettings settings = SettingsOf(team);
    Calibration calibration;
    for (const int64_t threads : {1, 2}) {
      Ceilings& ceilings = calibration.ceilings.emplace_back();
      ceilings.threads = threads;
      ceilings.fma_flops_per_s = {{"256-bit", {threads == 1 ? 10e9 : 14e9, 0}}};
    }
    settings.calibration = std::make_shared<const Calibration>(calibration);
    EXPECT_EQ(TeamOf(settings).calibrated_flops_per_s, 28e9);
    settings.threads = 2;  // four on a host, of which nothing is known
    EXPECT_EQ(TeamOf(settings).calibrated_flops_per_s, std::nullopt);
  });
}

TEST(RanksVerification, AnInfiniteErrorNamesItsRankAndOp) {
  RunRanks(2, [](ThreadLink& link) {
    Team team{.link = link, .host = "h"};
    Verification own;
    if (!team.leads()) {
      own.worst_ratio = std::numeric_limits<double>::infinity();
      own.worst_op = "rope";
      own.first_failure = "rope: inf";
    }
    const Verification all = Together(&team, own);
    EXPECT_EQ(all.first_failure, "rank 1: rope: inf");
    EXPECT_EQ(all.worst_op, "rope");
  });
}

TEST(RanksVerification, FindsASumThatIsWrong) {
  /// Changes one number of what arrives.
  class BadLink : public Link {
   public:
    explicit BadLink(Link& link) : link_(link) {}
    Shard shard() const override { return link_.shard(); }
    void Exchange(std::span<const std::byte> out, int64_t to, std::span<std::byte> in,
                  int64_t from) override {
      link_.Exchange(out, to, in, from);
      // The messages of the verification are doubles, few of them.
      if (in.size() > 4000) reinterpret_cast<float*>(in.data())[0] += 1;
    }

   private:
    Link& link_;
  };
  for (const bool bad : {false, true}) {
    RunRanks(3, [&](ThreadLink& link) {
      BadLink changing(link);
      Team team{.link = bad ? static_cast<Link&>(changing) : link, .host = "h"};
      const RunSettings settings = SettingsOf(team);
      WeightStore weights;
      std::ostream nowhere(nullptr);
      Progress progress(nowhere, false);
      Workload workload(settings, 1, weights, progress);
      const Verification found = Together(&team, workload.Verify(progress));
      EXPECT_EQ(found.ok(), !bad);
      if (bad) {
        EXPECT_THAT(found.first_failure, HasSubstr("_all_reduce in layer 0: element"));
      } else {
        EXPECT_GT(found.checked, 0);
      }
    });
  }
}

TEST(RanksTrace, HasEachRanksSlicesAndPeak) {
  RunRanks(2, [](ThreadLink& link) {
    Team team{.link = link, .host = "h"};
    const auto rank = static_cast<int>(link.shard().rank);
    const Op op{.id = OpId::kFfnUp,
                .kind = OpKind::kMatmul,
                .per_layer = true,
                .m = 2,
                .n = 3 + rank,
                .k = 5,
                .products = 1};
    const Slice of_op{.level = Slice::Level::kOp,
                      .name = "ffn_up",
                      .layer = 1,
                      .start_ns = 10,
                      .duration_ns = 20 + rank,
                      .op = op,
                      .flops = 60 + rank};
    const Slice of_layer{.level = Slice::Level::kLayer, .name = "layer 1", .duration_ns = 40};
    const PassTrace together = Together(
        &team, PassTrace{.slices = {of_layer, of_op}, .peaks_flops_per_s = {1e9 * (1 + rank)}});
    if (!team.leads()) return;
    EXPECT_THAT(together.peaks_flops_per_s, ElementsAre(1e9, 2e9));
    ASSERT_EQ(together.slices.size(), 4);
    EXPECT_EQ(together.slices[0], of_layer);
    EXPECT_EQ(together.slices[1], of_op);
    EXPECT_EQ(together.slices[3].rank, 1);
    EXPECT_EQ(together.slices[3].op->n, 4);
    EXPECT_EQ(together.slices[3].flops, 61);
    // Each rank's share of the peak is of its own.
    const auto trace = nlohmann::json::parse(ToChromeTrace(together, "run"));
    std::vector<double> shares;
    for (const auto& event : trace.at("traceEvents")) {
      if (event.at("name") == "ffn_up") shares.push_back(event.at("args").at("pct_peak"));
    }
    EXPECT_THAT(shares, ElementsAre(DoubleEq(100 * 60.0 / 20), DoubleEq(100 * 61.0 / 21 / 2)));
  });
}

TEST(RanksCollectives, AreSampledOnBothSidesOfTheAlgorithms) {
  RunRanks(2, [](ThreadLink& link) {
    Team team{.link = link, .host = "h", .library_sum = [](std::span<float>) {}};
    std::ostream nowhere(nullptr);
    Progress progress(nowhere, false);
    const auto samples = SampleCollectives(team, 1, progress);
    EXPECT_EQ(samples.empty(), !team.leads());
    if (!team.leads()) return;
    ASSERT_GT(samples.size(), 5);
    EXPECT_EQ(samples.front().bytes, 4);
    EXPECT_EQ(samples.front().algorithm, "recursive doubling");
    EXPECT_EQ(samples.back().algorithm, "ring");
    for (const CollectiveSample& sample : samples) {
      EXPECT_EQ(sample.ranks, 2);
      EXPECT_GT(sample.seconds, 0);
    }
  });
}

}  // namespace
}  // namespace flopledger
