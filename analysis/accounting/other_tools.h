// What other tools and papers count for the same forward pass, each by its own published formula,
// and why it differs from the matrix products that we count. It imitates their counting, not their
// programs: what a profiler sees also depends on how the model was written, which `counts` states.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "analysis/accounting/accounting.h"

namespace flopledger {

/// One figure of another tool for one model, context and batch.
struct ToolFigure {
  std::vector<NamedCount> terms;  // of its formula; their sum is `forward`
  int64_t forward = 0;
  std::optional<int64_t> training;  // forward and backward, where its formula has it
  /// Where it departs from Convention::kMatmul; these sum to forward − ours.
  std::vector<NamedCount> differences;
};

struct OtherTool {
  std::string_view name;     // what --convention takes
  std::string_view title;    // "nanoGPT, estimate_mfu"
  std::string_view formula;  // as its authors write it, with our letters
  std::string_view counts;   // what is and is not in it, and for which code
  std::string_view source;
  bool counts_macs = false;  // one multiply-add is one
  ToolFigure (*figure)(const ModelConfig& config, const RunShape& shape);
};

std::span<const OtherTool> OtherTools();
/// Null for a name that is not in the table.
const OtherTool* FindOtherTool(std::string_view name);

}  // namespace flopledger
