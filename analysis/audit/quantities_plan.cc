// What a machine and a plan make of the accounting: time, throughput, the largest batch, how FLOPs
// grow with the context, FLOPs a byte; and shares of a total.
#include <fmt/format.h>

#include "analysis/accounting/inference.h"
#include "analysis/audit/quantities.h"
#include "analysis/text/table.h"

namespace flopledger {
namespace {

constexpr int64_t kSecondsPerHour = 3600, kSecondsPerDay = 86400;

Factor Inverse(std::string symbol, const Exact& value) {
  return {"1/" + std::move(symbol), Exact(1) / value, false};
}

void AddTime(Catalogue& c) {
  const AssumedPlan& plan = c.setting().plan;
  if (plan.peak_flops_per_s && plan.mfu) {
    c.Add("time.step.model", Unit::kSeconds, "forward and backward at this peak and MFU",
          {Times({Inverse("peak", *plan.peak_flops_per_s), Inverse("MFU", *plan.mfu)},
                 "flops.training.model")});
  } else if (plan.step_seconds) {
    c.Add("time.step.model", Unit::kSeconds, "a step, as measured",
          {Product("measured step", {{"step_time", *plan.step_seconds}})});
  }
  if (c.Find("time.step") == nullptr || !plan.steps) return;
  const Factor steps{"steps", *plan.steps};
  const auto add = [&](const char* name, Unit unit, int64_t seconds) {
    c.Add(name, unit, "all steps",
          {Times({steps, Inverse(std::to_string(seconds), seconds)}, "time.step.model")});
  };
  add("time.training_seconds.model", Unit::kSeconds, 1);
  add("time.training_hours.model", Unit::kHours, kSecondsPerHour);
  add("time.training_days.model", Unit::kDays, kSecondsPerDay);
}

void AddThroughput(Catalogue& c) {
  const AssumedPlan& plan = c.setting().plan;
  const Factor hundred = Number(100);
  if (plan.step_seconds) {
    c.Add("tokens_per_second.model", Unit::kTokensPerSecond, "tokens of a step by its time",
          {Product("tokens a second",
                   {c.S("B"), c.S("T"), Inverse("step_time", *plan.step_seconds)})});
  } else if (plan.peak_flops_per_s && plan.mfu) {
    c.Add("tokens_per_second.model", Unit::kTokensPerSecond, "at this peak and MFU",
          {Product("FLOPs a second", {{"peak", *plan.peak_flops_per_s}, {"MFU", *plan.mfu}})},
          "flops.training_per_token.model");
  }
  if (!plan.peak_flops_per_s) return;
  const Factor peak = Inverse("peak", *plan.peak_flops_per_s);
  if (plan.step_seconds) {
    c.Add(
        "mfu.model", Unit::kPercent, "FLOPs of a step by its time and the peak, in %",
        {Times({hundred, peak, Inverse("step_time", *plan.step_seconds)}, "flops.training.model")});
  } else if (plan.tokens_per_second) {
    c.Add("mfu.model", Unit::kPercent, "FLOPs of the tokens of a second by the peak, in %",
          {Times({hundred, peak, {"tokens_per_s", *plan.tokens_per_second}},
                 "flops.training_per_token.model")});
  }
}

void AddLargestBatch(Catalogue& c) {
  const std::optional<Exact>& memory = c.setting().plan.memory_bytes;
  if (!memory) return;
  c.Add("batch.largest.model", Unit::kPlain, "sequences whose activations fit beside the state",
        {Product("memory", {{"memory", *memory}}),
         Times({Number(-1)}, "memory.training_state.model")},
        "memory.training_activations_sequence.model");
}

/// How many times the figure at `from_context` (or the model's own context) each figure is.
void AddGrowth(Catalogue& c) {
  const AuditSetting& setting = c.setting();
  int64_t from = setting.from_context;
  if (from == 0) {
    from = setting.own_positions > 0 ? setting.own_positions : setting.model.context_length;
  }
  if (from == setting.context) return;
  const RunShape shape = WholePass(setting.model, from, setting.batch);
  const Convention convention =
      setting.convention == Convention::kRuleOfThumb ? Convention::kMatmul : setting.convention;
  const Breakdown before = CountFlops(setting.model, shape, convention);
  const auto add = [&](std::string_view part, int64_t value) {
    if (value == 0) return;
    c.Add(fmt::format("growth.flops.{}.model", part), Unit::kRatio,
          fmt::format("times its FLOPs at a context of {}", Grouped(from)),
          {Times({Inverse(fmt::format("(at T = {})", from), value)},
                 fmt::format("flops.{}.model", part))});
  };
  int64_t products = 0;
  for (const NamedCount& part : before.components) {
    const bool of_square = part.name == "attention_scores" || part.name == "attention_values";
    if (of_square) products += part.value;
    if (c.Find(fmt::format("flops.{}.model", part.name)) != nullptr) add(part.name, part.value);
  }
  add("attention_products", products);
  add("total", before.total);
}

void AddIntensity(Catalogue& c) {
  const AuditSetting& setting = c.setting();
  const RunShape shape = WholePass(setting.model, setting.context, setting.batch);
  const InferenceFigures figures = CountInference(setting.model, shape, Convention::kMatmul);
  const auto add = [&](const std::string& phase, const PhaseFigures& of, const std::string& flops) {
    const Exact weights = Exact(of.weight_bytes) / 4 * setting.dtype.bytes;
    const std::string bytes = fmt::format("memory.{}_read.model", phase);
    c.Add(
        bytes, Unit::kBytes, "the weights once and the KV cache once, no activations",
        {Product("weights read", {{"weights read", weights}}), Times({}, "memory.kv_cache.model")});
    c.Add(fmt::format("intensity.{}.model", phase), Unit::kFlopsPerByte,
          "FLOPs for each byte of weights and KV cache", {Times({}, flops)}, bytes);
  };
  add("prefill", figures.prefill, "flops.total.model");
  add("decode", figures.decode, "flops.decode.model");
}

}  // namespace

void AddPlan(Catalogue& c) {
  AddTime(c);
  AddThroughput(c);
  AddLargestBatch(c);
  AddGrowth(c);
  AddIntensity(c);
}

void AddShares(Catalogue& c) {
  const auto add = [&](std::string_view of, std::initializer_list<std::string_view> parts) {
    for (const std::string_view part : parts) {
      c.Add(fmt::format("share.{}.{}.model", of, part), Unit::kPercent,
            fmt::format("{}.{} of {}.total, in %", of, part, of),
            {Times({Number(100)}, fmt::format("{}.{}.model", of, part))},
            fmt::format("{}.total.model", of));
    }
  };
  add("params",
      {"token_embedding", "position_embedding", "embeddings", "attention_qkv", "attention_out",
       "attention", "ffn", "norms", "biases", "stack", "non_embedding", "lm_head"});
  add("flops", {"attention_qkv", "attention_scores", "attention_values", "attention_products",
                "attention_out", "projections", "attention", "ffn", "stack", "lm_head"});
}

}  // namespace flopledger
