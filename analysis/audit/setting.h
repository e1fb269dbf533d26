// What a claim is about: a model, a shape, and what its author assumed besides.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "analysis/accounting/accounting.h"
#include "analysis/accounting/other_tools.h"
#include "analysis/accounting/training.h"
#include "analysis/text/figure.h"
#include "model/config.h"

namespace flopledger {

/// How a number is stored.
struct NumberType {
  std::string_view name;             // "bf16"
  Exact bytes;                       // of one number; int4 has half a byte
  const DataType* scaled = nullptr;  // how it is stored, where scales stand beside the numbers
};

/// By any usual name: f32, fp32, float32, bf16, half, … Throws InputError, naming `where`.
NumberType ParseNumberType(std::string_view name, const std::string& where);

/// The machine and the plan that questions of time and memory need; absent: not said.
struct AssumedPlan {
  std::optional<Exact> memory_bytes, peak_flops_per_s, mfu;  // mfu as a fraction
  std::optional<Exact> step_seconds, tokens_per_second, steps;
};

/// The figures of a causal mask: T(T+1)/2 pairs, or the T²/2 that many write.
enum class CausalPairs { kKept, kHalf };

struct AuditSetting {
  ModelConfig model;
  int64_t context = 1;
  int64_t batch = 1;
  Convention convention = Convention::kMatmul;  // kRuleOfThumb has totals alone
  const OtherTool* tool = nullptr;              // whose totals are meant; null: ours
  NumberType dtype{"f32", 4}, kv_dtype{"f32", 4};
  std::optional<ActivationList> activations;  // absent: the list of the sheet with such an FFN
  int64_t from_context = 0;                   // what growth starts from; 0: the model's own
  AssumedPlan plan;
  CausalPairs pairs = CausalPairs::kKept;
  int64_t own_positions = 0;  // of a table of learned positions made longer; 0: it was not
};

/// A setting in which a longer context than the model's learned positions has a longer table.
/// Throws InputError where the shape is out of range.
void FitPositions(AuditSetting& setting);

/// A text that is equal for equal settings.
std::string KeyOf(const AuditSetting& setting);

}  // namespace flopledger
