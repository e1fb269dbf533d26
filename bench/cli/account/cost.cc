// `account --training` and `account --inference`: what a model costs beside one forward pass.
#include <fmt/format.h>
#include <fmt/ostream.h>

#include <nlohmann/json.hpp>

#include "analysis/accounting/inference.h"
#include "analysis/accounting/training.h"
#include "analysis/text/figure.h"
#include "bench/cli/account/account.h"
#include "bench/cli/cli.h"
#include "bench/cli/terminal.h"
#include "model/checked.h"
#include "model/input_error.h"

namespace flopledger {
namespace {

using nlohmann::json;

constexpr double kSecondsPerHour = 3600, kSecondsPerDay = 86400;

/// What --memory, --peak, --mfu, --steps, --step-time and --tokens-per-second say.
struct TrainingPlan {
  int64_t memory_bytes = 0;
  std::string memory;
  double flops_per_s = 0;        // 0: no peak was given
  double mfu = 0;                // assumed
  int64_t steps = 0;             // 0: not given
  double step_s = 0;             // measured; 0: not given
  double tokens_per_second = 0;  // measured; 0: not given

  bool measured() const { return step_s > 0 || tokens_per_second > 0; }
};

int64_t ParseMemory(const std::string& text) {
  const Figure memory = ParseFigure(text, Unit::kBytes, "--memory");
  if (!HasUnit(text)) {
    throw InputError(fmt::format("--memory {0} has no unit; write {0}GB or {0}GiB", text));
  }
  return memory.value.convert_to<int64_t>();
}

/// "50 %", "50" or 0.5 as a fraction.
double ParseMfu(const std::string& text) {
  // 0.5 without % is a proportion; 1 could be either.
  const double percent = ParseFigure(text, Unit::kPercent, "--mfu").value.convert_to<double>();
  if (percent <= 0 || percent > 100) throw InputError("--mfu must be above 0 and at most 100 %");
  if (percent == 1 && !HasUnit(text)) {
    throw InputError(fmt::format("--mfu {} may be 1 % or 100 %; write the % sign", text));
  }
  return percent / 100;
}

double ParsePositive(const std::string& text, Unit unit, const char* option) {
  const double value = ParseFigure(text, unit, option).value.convert_to<double>();
  if (value <= 0) throw InputError(fmt::format("{} must be above 0", option));
  return value;
}

TrainingPlan ParsePlan(const AccountOptions& options) {
  TrainingPlan plan;
  plan.memory = options.memory.value_or("80GB");
  plan.memory_bytes = ParseMemory(plan.memory);
  const bool measured = options.step_time || options.tokens_per_second;
  if (!options.peak && (options.mfu || options.steps || measured)) {
    throw InputError(
        "--mfu, --steps, --step-time and --tokens-per-second need --peak, the machine's FLOPs a "
        "second");
  }
  if (options.mfu && measured) {
    throw InputError("--mfu is what --step-time or --tokens-per-second give; leave one out");
  }
  if (options.step_time && options.tokens_per_second) {
    throw InputError("--step-time and --tokens-per-second say the same; leave one out");
  }
  if (options.peak) plan.flops_per_s = ParsePositive(*options.peak, Unit::kFlops, "--peak");
  if (options.step_time) {
    plan.step_s = ParsePositive(*options.step_time, Unit::kSeconds, "--step-time");
  }
  if (options.tokens_per_second) {
    plan.tokens_per_second =
        ParsePositive(*options.tokens_per_second, Unit::kTokensPerSecond, "--tokens-per-second");
  }
  plan.mfu = ParseMfu(options.mfu.value_or("50 %"));
  if (options.steps && *options.steps < 1) throw InputError("--steps must be at least 1");
  plan.steps = options.steps.value_or(0);
  return plan;
}

/// A step's time and the MFU: one measured, the other what follows from it.
struct StepTime {
  double seconds = 0, mfu = 0;
};

StepTime StepTimeOf(const Accounting& accounting, const TrainingFigures& training,
                    const TrainingPlan& plan) {
  const auto flops = static_cast<double>(training.step_flops);
  if (!plan.measured()) return {flops / (plan.flops_per_s * plan.mfu), plan.mfu};
  const double tokens =
      static_cast<double>(accounting.shape.batch) * static_cast<double>(accounting.shape.context);
  const double seconds = plan.step_s > 0 ? plan.step_s : tokens / plan.tokens_per_second;
  return {seconds, flops / seconds / plan.flops_per_s};
}

struct Counting {
  const char *name, *meaning;
  int64_t bytes = 0;
};

std::vector<Counting> Countings(const TrainingFigures& training) {
  return {{"sheet", "the list above the line", training.sheet_bytes},
          {"fused", "that list without scores and softmax (fused attention)", training.fused_bytes},
          {"full", "every tensor above", training.full_bytes}};
}

double SixNdError(const TrainingFigures& training) {
  return 100 *
         (static_cast<double>(training.six_nd_flops) / static_cast<double>(training.step_flops) -
          1);
}

json ToJson(const Accounting& accounting, const TrainingFigures& training,
            const TrainingPlan& plan) {
  json kept = json::array(), countings = json::object();
  for (const KeptTensor& tensor : training.kept) {
    kept.push_back({{"tensor", tensor.name},
                    {"floats", tensor.formula},
                    {"bytes_per_sequence", tensor.bytes},
                    {"in_sheet", tensor.in_sheet}});
  }
  for (const Counting& counting : Countings(training)) {
    countings[counting.name] = {
        {"bytes_per_sequence", counting.bytes},
        {"largest_batch", LargestBatch(plan.memory_bytes, training.state_bytes, counting.bytes)}};
  }
  json time;
  if (plan.flops_per_s > 0) {
    const StepTime step = StepTimeOf(accounting, training, plan);
    time = {{"peak_flops_per_s", plan.flops_per_s},
            {"mfu", step.mfu},
            {"step_s", step.seconds},
            {"measured", plan.measured()}};
    if (plan.steps > 0) {
      time["steps"] = plan.steps;
      time["hours"] = step.seconds * static_cast<double>(plan.steps) / kSecondsPerHour;
      time["days"] = step.seconds * static_cast<double>(plan.steps) / kSecondsPerDay;
    }
  }
  return {{"model", accounting.model.name},
          {"context", accounting.shape.context},
          {"batch", accounting.shape.batch},
          {"convention", InfoOf(accounting.convention).name},
          {"optimizer", "adamw"},
          {"params", accounting.params.total},
          {"memory",
           {{"parameter_bytes", training.parameter_bytes},
            {"gradient_bytes", training.gradient_bytes},
            {"moment_bytes", training.moment_bytes},
            {"state_bytes", training.state_bytes},
            {"activation_bytes_per_sequence", training.sheet_bytes},
            {"peak_bytes", CheckedAdd(training.state_bytes,
                                      CheckedMul(training.sheet_bytes, accounting.shape.batch))},
            {"available_bytes", plan.memory_bytes},
            {"countings", countings},
            {"kept", kept}}},
          {"flops",
           {{"forward", training.forward_flops},
            {"step", training.step_flops},
            {"six_nd", training.six_nd_flops},
            {"six_nd_error_percent", SixNdError(training)},
            {"optimizer_update", training.update_flops}}},
          {"time", time}};
}

Table StateTable(const TrainingFigures& training) {
  Table table{{{"AdamW, fp32", false}, {"formula", false}, {"bytes"}, {""}}, {}};
  const auto add = [&](const char* name, const char* formula, int64_t bytes) {
    table.rows.push_back({name, formula, Grouped(bytes), HumanBytes(bytes)});
  };
  add("parameters", "4·P", training.parameter_bytes);
  add("gradients", "4·P", training.gradient_bytes);
  add("two moments", "2·4·P", training.moment_bytes);
  add("state", "16·P", training.state_bytes);
  return table;
}

Table KeptTable(const TrainingFigures& training) {
  Table table{{{"kept for the backward pass", false},
               {"floats of a sequence", false},
               {"bytes of a sequence"},
               {"% of the sheet's"}},
              {}};
  bool in_sheet = true;
  for (const KeptTensor& tensor : training.kept) {
    if (in_sheet && !tensor.in_sheet) {
      table.rows.push_back({"-- the sheet's list", "", Grouped(training.sheet_bytes), "100.00"});
    }
    in_sheet = tensor.in_sheet;
    table.rows.push_back({tensor.name, tensor.formula, Grouped(tensor.bytes),
                          in_sheet ? Percent(tensor.bytes, training.sheet_bytes) : ""});
  }
  return table;
}

Table FlopsTable(const TrainingFigures& training) {
  Table table{{{"a step", false}, {"formula", false}, {"FLOPs"}}, {}};
  table.rows.push_back({"forward", "see account", Grouped(training.forward_flops)});
  table.rows.push_back({"forward and backward", "3·forward", Grouped(training.step_flops)});
  table.rows.push_back({"rule of thumb", "6·P·B·T", Grouped(training.six_nd_flops)});
  table.rows.push_back({"AdamW's update, in neither", "14·P", Grouped(training.update_flops)});
  return table;
}

void PrintTime(const Accounting& accounting, const TrainingFigures& training,
               const TrainingPlan& plan, std::ostream& out) {
  if (plan.flops_per_s == 0) {
    PrintNote(out, "time: give --peak (FLOPs a second), --mfu and --steps");
    return;
  }
  const StepTime step = StepTimeOf(accounting, training, plan);
  std::string text =
      plan.measured()
          ? fmt::format("MFU of a step of {:.6g} s (measured) at {:g} TFLOP/s: {:.2f} %",
                        step.seconds, plan.flops_per_s / 1e12, 100 * step.mfu)
          : fmt::format("time at {:g} TFLOP/s and {:g} % MFU: {:.6g} s a step",
                        plan.flops_per_s / 1e12, 100 * step.mfu, step.seconds);
  if (plan.steps > 0) {
    const double seconds = step.seconds * static_cast<double>(plan.steps);
    text += fmt::format("; {} steps: {:.2f} hours, {:.1f} days", Grouped(plan.steps),
                        seconds / kSecondsPerHour, seconds / kSecondsPerDay);
  }
  PrintNote(out, text);
  if (step.mfu > 1) {
    out << "an MFU above 100 % is impossible: check --peak, the measured time and --batch\n";
  }
}

std::string TrainingCsv(const TrainingFigures& training, const TrainingPlan& plan) {
  Table all{{{"quantity"}, {"part"}, {"value"}, {"unit"}}, {}};
  const auto add = [&](const char* quantity, const std::string& part, int64_t value,
                       const char* unit) {
    all.rows.push_back({quantity, part, fmt::to_string(value), unit});
  };
  add("state", "parameters", training.parameter_bytes, "bytes");
  add("state", "gradients", training.gradient_bytes, "bytes");
  add("state", "moments", training.moment_bytes, "bytes");
  add("state", "total", training.state_bytes, "bytes");
  for (const KeptTensor& tensor : training.kept) {
    add(tensor.in_sheet ? "kept" : "kept_besides", tensor.name, tensor.bytes, "bytes per sequence");
  }
  for (const Counting& counting : Countings(training)) {
    add("activations", counting.name, counting.bytes, "bytes per sequence");
    add("largest_batch", counting.name,
        LargestBatch(plan.memory_bytes, training.state_bytes, counting.bytes), "sequences");
  }
  add("flops", "forward", training.forward_flops, "FLOPs");
  add("flops", "step", training.step_flops, "FLOPs");
  add("flops", "six_nd", training.six_nd_flops, "FLOPs");
  add("flops", "optimizer_update", training.update_flops, "FLOPs");
  return all.ToCsv();
}

json ToJson(const PhaseFigures& phase) {
  return {{"tokens", phase.tokens},
          {"flops", phase.flops},
          {"weight_bytes", phase.weight_bytes},
          {"kv_cache_bytes", phase.cache_bytes},
          {"bytes", phase.bytes()},
          {"flops_per_byte", phase.intensity()}};
}

json ToJson(const InferenceFigures& figures) {
  return {{"params", figures.parameters},
          {"kv_cache_bytes_per_token", figures.cache_bytes_per_token},
          {"kv_cache_bytes", figures.cache_bytes},
          {"kv_cache_bytes_at_context_length", figures.full_cache_bytes},
          {"prefill", ToJson(figures.prefill)},
          {"decode", ToJson(figures.decode)}};
}

std::string KindOf(const ModelConfig& model) {
  if (model.num_kv_heads == model.num_heads) return "MHA";
  return model.num_kv_heads == 1 ? "MQA" : "GQA";
}

Table PhaseTable(const InferenceFigures& figures) {
  Table table{{{"phase", false},
               {"tokens"},
               {"FLOPs"},
               {"FLOPs a token", true, 1},
               {"weights read, bytes"},
               {"KV cache, bytes"},
               {"FLOPs/byte"}},
              {}};
  for (const auto& [name, phase] :
       {std::pair{"prefill", figures.prefill}, std::pair{"decode, one token", figures.decode}}) {
    table.rows.push_back({name, Grouped(phase.tokens), Grouped(phase.flops),
                          Grouped(phase.flops / phase.tokens), Grouped(phase.weight_bytes),
                          Grouped(phase.cache_bytes), fmt::format("{:.2f}", phase.intensity())});
  }
  return table;
}

Table GroupedTable(const Accounting& accounting) {
  Table table{{{"attention", false},
               {"KV heads"},
               {"parameters"},
               {"KV bytes a token", true, 2},
               {"KV cache, bytes"},
               {"of MHA's"},
               {"decode FLOPs a token", true, 1},
               {"decode FLOPs/byte"}},
              {}};
  for (const ModelConfig& variant : GroupedVariants(accounting.model)) {
    const InferenceFigures figures =
        CountInference(variant, accounting.shape, accounting.convention);
    const bool own = variant.num_kv_heads == accounting.model.num_kv_heads;
    table.rows.push_back({KindOf(variant) + (own ? " (this model)" : ""),
                          Grouped(variant.num_kv_heads), Grouped(figures.parameters),
                          Grouped(figures.cache_bytes_per_token), Grouped(figures.cache_bytes),
                          fmt::format("{}/{}", variant.num_kv_heads, variant.num_heads),
                          Grouped(figures.decode.flops / figures.decode.tokens),
                          fmt::format("{:.2f}", figures.decode.intensity())});
  }
  return table;
}

Accounting AccountingWithComponents(const AccountOptions& options, const char* flag) {
  Accounting accounting = MakeAccounting(options);
  if (accounting.convention == Convention::kRuleOfThumb) {
    throw InputError(
        fmt::format("{} needs a convention with components; the rule of thumb stands "
                    "beside it",
                    flag));
  }
  return accounting;
}

}  // namespace

int AccountTraining(const AccountOptions& options, std::ostream& out) {
  const Format format = ParseFormat(options.format);
  const TrainingPlan plan = ParsePlan(options);
  const Accounting accounting = AccountingWithComponents(options, "--training");
  const TrainingFigures training =
      CountTraining(accounting.model, accounting.shape, accounting.convention);
  if (format == Format::kJson) {
    out << ToJson(accounting, training, plan).dump(2) << '\n';
    return kDone;
  }
  Table countings{{{"counted as activations", false},
                   {"bytes of a sequence"},
                   {fmt::format("largest B in {}", plan.memory)}},
                  {}};
  for (const Counting& counting : Countings(training)) {
    countings.rows.push_back(
        {fmt::format("{}: {}", counting.name, counting.meaning), Grouped(counting.bytes),
         Grouped(LargestBatch(plan.memory_bytes, training.state_bytes, counting.bytes))});
  }
  if (format == Format::kCsv) {
    out << TrainingCsv(training, plan);
    return kDone;
  }
  PrintNote(out, fmt::format("{}\n{}", ModelLine(accounting.model),
                             ShapeLine(accounting.shape, accounting.convention)));
  out << '\n';
  out << Drawn(StateTable(training), format, out) << '\n'
      << Drawn(KeptTable(training), format, out);
  PrintNote(
      out,
      fmt::format("\npeak memory = {}·B + {} bytes by the sheet's list (Stanford CS336, assignment "
                  "1, of {}); what is counted decides B:",
                  Grouped(training.sheet_bytes), Grouped(training.state_bytes),
                  SheetOf(accounting.model) == ActivationList::k2026 ? "2026" : "2025"));
  out << '\n';
  out << Drawn(countings, format, out) << '\n' << Drawn(FlopsTable(training), format, out);
  PrintNote(out, fmt::format("\n6·P·B·T is {:+.2f} % off the exact step", SixNdError(training)));
  PrintTime(accounting, training, plan, out);
  return kDone;
}

int AccountInference(const AccountOptions& options, std::ostream& out) {
  const Format format = ParseFormat(options.format);
  const Accounting accounting = AccountingWithComponents(options, "--inference");
  const InferenceFigures figures =
      CountInference(accounting.model, accounting.shape, accounting.convention);
  if (format == Format::kJson) {
    json account = {{"model", accounting.model.name},
                    {"context", accounting.shape.context},
                    {"batch", accounting.shape.batch},
                    {"convention", InfoOf(accounting.convention).name}};
    account.update(ToJson(figures));
    for (const ModelConfig& variant : GroupedVariants(accounting.model)) {
      json of_variant = ToJson(CountInference(variant, accounting.shape, accounting.convention));
      of_variant["num_kv_heads"] = variant.num_kv_heads;
      of_variant["attention"] = KindOf(variant);
      account["variants"].push_back(std::move(of_variant));
    }
    out << account.dump(2) << '\n';
    return kDone;
  }
  if (format == Format::kCsv) {
    out << GroupedTable(accounting).ToCsv();
    return kDone;
  }
  PrintNote(out, fmt::format("{}\n{}", ModelLine(accounting.model),
                             ShapeLine(accounting.shape, accounting.convention)));
  out << '\n';
  Table cache{{{"KV cache (fp32)", false}, {"formula", false}, {"bytes"}, {""}}, {}};
  const auto add = [&](const std::string& name, const char* formula, int64_t bytes) {
    cache.rows.push_back(
        {name, formula, Grouped(bytes), bytes < 1'000'000 ? "" : HumanBytes(bytes)});
  };
  add("a token", "2·4·L·NKV·HS", figures.cache_bytes_per_token);
  add(fmt::format("{} × {} tokens", accounting.shape.batch, Grouped(accounting.shape.context)),
      "B·T·a token", figures.cache_bytes);
  add(fmt::format("{} × context_length {}", accounting.shape.batch,
                  Grouped(accounting.model.context_length)),
      "B·context_length·a token", figures.full_cache_bytes);
  out << Drawn(cache, format, out) << '\n' << Drawn(PhaseTable(figures), format, out);
  PrintNote(out,
            "\nprefill: B·T tokens at once, logits at every position; decode: one token in each of "
            "the B sequences, at position T; bytes are weights and cache once, no activations");
  out << '\n';
  out << Drawn(GroupedTable(accounting), format, out);
  return kDone;
}

}  // namespace flopledger
