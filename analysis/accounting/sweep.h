// One key of the accounting taken through several values: "context=1024:16384:x2",
// "model=gpt2,gpt2-xl", "num_kv_heads=1,5,25".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "analysis/accounting/accounting.h"

namespace flopledger {

struct Sweep {
  std::string key;  // context, batch, model, or a key of a model's JSON
  std::vector<std::string> values;
};

/// KEY=a,b,c or KEY=FIRST:LAST:xFACTOR or :+STEP (llama-bench's FIRST-LAST*FACTOR as well); lists
/// may hold ranges. Throws InputError for what is none of these, or is more than a thousand points.
Sweep ParseSweep(std::string_view text);

/// The numbers of an option's list, with ranges as above. Throws InputError, naming the option.
std::vector<int64_t> WholeNumbers(const std::string& option, std::string_view list);

/// One point: what is accounted for there.
struct SweepPoint {
  std::string value;
  ModelConfig model;
  int64_t context = 1, batch = 1;
  bool grown = false;  // the table of learned positions was made longer to reach the context
};

/// `context` absent: each model's own. Sizes that the key does not name stay as they are, but keys
/// and values follow the heads where each head has its own, and a table of learned positions grows
/// with the context. Throws InputError.
std::vector<SweepPoint> SweepPoints(const Sweep& sweep, const std::string& model,
                                    std::optional<int64_t> context, int64_t batch);

/// The characters of a bar of `width`, each of a part's letter, by the largest remainders.
std::string StackedBar(const std::vector<int64_t>& parts, std::string_view letters,
                       std::size_t width);

}  // namespace flopledger
