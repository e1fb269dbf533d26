// What the forms of `account` share: the accounting of one model at one shape, and how they are
// drawn.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <ostream>
#include <string>

#include "analysis/accounting/accounting.h"
#include "analysis/accounting/other_tools.h"
#include "analysis/text/table.h"
#include "bench/cli/commands.h"

namespace flopledger {

/// Everything that `account` prints of one model, in one place for all formats.
struct Accounting {
  ModelConfig model;
  RunShape shape;         // its list spells attention out: scores, softmax, values
  RunShape memory_shape;  // the same with the attention kernel that decides what is stored
  Convention convention;
  Breakdown params;
  int64_t active_params = 0;  // that one token uses; the total where there are no experts
  MemoryTypes types;
  MemoryFigures memory;
  /// Weights and KV cache in the type that the config names; absent where it names none, or f32.
  std::optional<MemoryTypes> own_types;
  MemoryFigures own_memory;
  Breakdown flops;
  int64_t exact_flops = 0;          // under matmul
  int64_t rule_of_thumb_flops = 0;  // 2·parameters·tokens

  double rule_of_thumb_error() const {
    return static_cast<double>(rule_of_thumb_flops) / static_cast<double>(exact_flops) - 1;
  }
};

Accounting MakeAccounting(const AccountOptions& options);
Accounting MakeAccounting(const ModelConfig& model, int64_t context, int64_t batch,
                          const AccountOptions& options);

nlohmann::json ToJson(const Breakdown& breakdown);  // with each component's share of the total
nlohmann::json ToJson(const Accounting& accounting);
std::string Percent(int64_t part, int64_t whole);  // "57.41"
std::string ModelLine(const ModelConfig& model);
std::string ShapeLine(const RunShape& shape, Convention convention);

// The other forms of `account`, one for each flag.
int AccountExplain(const AccountOptions& options, std::ostream& out);
int AccountSweep(const AccountOptions& options, std::ostream& out);
int AccountTraining(const AccountOptions& options, std::ostream& out);
int AccountInference(const AccountOptions& options, std::ostream& out);
int AccountConventions(const AccountOptions& options, std::ostream& out);
int AccountOtherTool(const AccountOptions& options, const OtherTool& tool, std::ostream& out);

}  // namespace flopledger
