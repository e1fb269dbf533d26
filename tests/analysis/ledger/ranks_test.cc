// What several ranks measured, put together.
#include "analysis/ledger/ranks.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "analysis/ledger/rows.h"

namespace flopledger {
namespace {

Trial TrialOf(double pass_s, std::vector<double> op_s) {
  Trial trial;
  trial.passes = 2;
  trial.pass_s = pass_s;
  trial.op_s = std::move(op_s);
  trial.peak_before_flops_per_s = 100;
  trial.peak_after_flops_per_s = 110;
  trial.read_bytes_per_s = 7;
  trial.activity = {.seconds = 1, .stolen_s = 0.25, .others_s = 0.5, .involuntary_switches = 3};
  return trial;
}

TEST(RanksTogether, TakeAsLongAsTheSlowestOfThem) {
  const std::vector<Trial> ranks{TrialOf(4, {1, 3}), TrialOf(6, {3, 2}), TrialOf(5, {2, 1})};
  const Trial together = TogetherOf(ranks);
  EXPECT_EQ(together.ranks, 3);
  EXPECT_EQ(together.passes, 2);
  EXPECT_EQ(together.pass_s, 6);
  EXPECT_EQ(together.op_s, (std::vector<double>{3, 3}));
  EXPECT_EQ(together.pass_imbalance, 6.0 / 5);
  EXPECT_EQ(together.op_imbalance, (std::vector<double>{3.0 / 2, 3.0 / 2}));
  EXPECT_EQ(together.peak(), 3 * 105);
  EXPECT_EQ(together.read_bytes_per_s, 21);
  EXPECT_EQ(together.product_flops_per_s, std::nullopt);
  EXPECT_EQ(together.activity.others_s, std::nullopt);
}

TEST(RanksTogether, TravelAsTheyAre) {
  const Trial trial = TrialOf(1.0 / 3, {0.1, 1e-7});
  const Trial read = TrialFromJson(nlohmann::json::parse(ToJson(trial).dump()));
  EXPECT_EQ(read.pass_s, trial.pass_s);
  EXPECT_EQ(read.op_s, trial.op_s);
  EXPECT_EQ(read.passes, 2);
  EXPECT_EQ(read.peak(), trial.peak());
  EXPECT_EQ(read.read_bytes_per_s, 7);
  EXPECT_EQ(read.activity.stolen_s, 0.25);
  EXPECT_EQ(read.activity.involuntary_switches, 3);

  FlopsEvidence evidence;
  evidence.mode = CountMode::kFull;
  evidence.counted = {{OpId::kFfnUp, 12}};
  evidence.sampled = {.samples = 6, .met = {{OpId::kFfnUp, 5}}, .counted = {{OpId::kFfnUp, 100}}};
  CounterFigures& figures = evidence.counters.emplace().by_op.emplace_back();
  figures.flops = 3, figures.cycles = 4, figures.scale = 1.5;
  evidence.counters->check = {.executed = 8, .counted = 7.5};
  const FlopsEvidence back = EvidenceFromJson(nlohmann::json::parse(ToJson(evidence).dump()));
  EXPECT_EQ(ToJson(back), ToJson(evidence));
  EXPECT_EQ(back.counters->by_op[0].flops, 3);
  EXPECT_EQ(back.counters->by_op[0].instructions, std::nullopt);

  FlopsEvidence other = evidence;
  other.counted[0].second = 30;
  other.sampled.met[0].second = 6;
  const FlopsEvidence both = TogetherOf(std::vector{evidence, other});
  EXPECT_EQ(both.counted[0].second, 42);
  EXPECT_EQ(both.sampled.met[0].second, 5);
  EXPECT_EQ(both.sampled.counted[0].second, 200);
  EXPECT_EQ(both.counters->by_op[0].flops, 6);
  EXPECT_EQ(both.counters->check.executed, 16);
  other.counters.reset();
  EXPECT_FALSE(TogetherOf(std::vector{evidence, other}).counters);
}

TEST(RanksTogether, RowsHaveTheFlopsOfAllAndTheShapesOfTheFirst) {
  MeasuredRun run{
      .model = LoadModel("gpt2-xl"),
      .shape = {.context = 64, .num_layers = 1, .fused_attention = true},
      .kernels = {.matmul = "packed", .attention = "fused", .panel = 16, .queries = 16, .keys = 64},
      .convention = Convention::kMatmul,
      .run_id = "x"};
  const auto rows_of = [&](int64_t ranks) {
    run.shape.shard.ranks = ranks;
    Trial trial = TrialOf(1, {});
    const std::size_t ops = ForwardOps(RankModel(run.model, run.shape.shard), run.shape).size();
    trial.op_s.assign(ops, 0.01);
    std::vector<Trial> of_ranks(static_cast<std::size_t>(ranks), trial);
    trial = TogetherOf(of_ranks);
    return MakeRecords(run, {&trial, 1});
  };
  const auto one = rows_of(1), two = rows_of(2);
  const auto row = [](const std::vector<Record>& rows, std::string_view op) {
    return *std::ranges::find(rows, op, &Record::op);
  };
  EXPECT_EQ(row(two, "total").ranks, 2);
  EXPECT_EQ(row(one, "total").imbalance.value_or(1), 1);
  for (const char* op : {"attention_qkv", "attention", "ffn_up", "lm_head", "total"}) {
    EXPECT_EQ(row(one, op).predicted_flops, row(two, op).predicted_flops) << op;
  }
  EXPECT_EQ(row(two, "attention_qkv").n, 3 * 13 * 64);
  EXPECT_EQ(row(one, "total_extrapolated").predicted_flops,
            row(two, "total_extrapolated").predicted_flops);
  const Record sum = row(two, "ffn_all_reduce");
  EXPECT_EQ(sum.executed_flops, 64 * 1600);
  EXPECT_EQ(sum.predicted_flops, 0);
  EXPECT_EQ(sum.bytes, 2 * 4 * 64 * 1600);  // each of two ranks sends as much as it has
}

}  // namespace
}  // namespace flopledger
