// The accounting written out: each formula with its letters, then with its numbers, then its value.
// Legend: B batch, T context, L layers, C d_model, NH heads, NKV key/value heads, HS head size,
// F d_ff, V vocabulary, P parameters.
#pragma once

#include <string>
#include <vector>

#include "analysis/accounting/accounting.h"

namespace flopledger {

struct ExplainedLine {
  std::string name;
  std::string shape;    // "[1,024 × 1,600] · [1,600 × 4,800]" of a product, else empty
  std::string letters;  // "L · B·T · 2 · C · F"
  std::string numbers;  // "48 · 1,024 · 2 · 1,600 · 6,400"; empty for a total
  int64_t value = 0;
};

struct ExplainedSection {
  std::string title, unit;
  std::vector<ExplainedLine> lines;  // the last is the total, where there is one
};

/// Parameters, memory (its activations as `shape.fused_attention` has them) and FLOPs of a pass.
std::vector<ExplainedSection> Explain(const ModelConfig& config, const RunShape& shape,
                                      Convention convention);

}  // namespace flopledger
