#include "analysis/audit/setting.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "model/json.h"

namespace flopledger {
namespace {

struct Spelling {
  std::string_view spelling, name;
  int bits;
};

constexpr Spelling kTypes[] = {
    {"f32", "f32", 32},   {"fp32", "f32", 32},      {"float32", "f32", 32}, {"float", "f32", 32},
    {"tf32", "f32", 32},  {"f64", "f64", 64},       {"fp64", "f64", 64},    {"float64", "f64", 64},
    {"f16", "f16", 16},   {"fp16", "f16", 16},      {"float16", "f16", 16}, {"half", "f16", 16},
    {"bf16", "bf16", 16}, {"bfloat16", "bf16", 16}, {"f8", "f8", 8},        {"fp8", "f8", 8},
    {"int8", "int8", 8},  {"i8", "int8", 8},        {"q8", "int8", 8},      {"int4", "int4", 4},
    {"q4", "int4", 4},    {"fp4", "f4", 4},         {"f4", "f4", 4}};

std::string TextOf(const std::optional<Exact>& value) { return value ? value->str() : "-"; }

}  // namespace

NumberType ParseNumberType(std::string_view name, const std::string& where) {
  std::string small(name);
  std::ranges::transform(small, small.begin(), [](unsigned char c) { return std::tolower(c); });
  const auto found = std::ranges::find(kTypes, small, &Spelling::spelling);
  if (found != std::end(kTypes)) {
    const auto stored = std::ranges::find(DataTypes(), found->name, &DataType::name);
    const bool scaled = stored != DataTypes().end() && stored->group > 0;
    return {found->name, Exact(found->bits) / 8, scaled ? &*stored : nullptr};
  }
  throw InputError(
      fmt::format("{}: unknown number type '{}'{}", where, name.substr(0, 40),
                  Suggest(small, {"f32", "f64", "f16", "bf16", "f8", "int8", "int4", "f4"})));
}

void FitPositions(AuditSetting& setting) {
  ModelConfig& model = setting.model;
  const bool learned = model.position == Position::kLearned;
  if (learned && setting.context > model.context_length) {
    if (setting.own_positions == 0) setting.own_positions = model.context_length;
    model.context_length = setting.context;
  }
  ValidateRunShape(model, setting.context, setting.batch);
}

std::string KeyOf(const AuditSetting& setting) {
  const AssumedPlan& plan = setting.plan;
  return fmt::format(
      "{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}", ToJson(setting.model).dump(),
      setting.context, setting.batch, static_cast<int>(setting.convention),
      setting.tool == nullptr ? "" : setting.tool->name, setting.dtype.name, setting.kv_dtype.name,
      setting.activations ? static_cast<int>(*setting.activations) : -1, setting.from_context,
      static_cast<int>(setting.pairs), TextOf(plan.memory_bytes), TextOf(plan.peak_flops_per_s),
      TextOf(plan.mfu), TextOf(plan.step_seconds), TextOf(plan.tokens_per_second),
      TextOf(plan.steps));
}

}  // namespace flopledger
