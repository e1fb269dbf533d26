// How many layers of a model fit in memory: arithmetic, before any memory is taken.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "bench/run/settings.h"

namespace flopledger {

/// How many layers will run, and why not all of them.
struct MemoryPlan {
  int64_t layers = 0;
  int64_t needed_bytes = 0;                // for that many
  int64_t whole_bytes = 0;                 // for all
  std::optional<int64_t> available_bytes;  // absent where it could not be read
  bool cut_by_memory = false;
};

/// Throws CannotMeasure where not even one layer fits, and where the layers that were asked for do
/// not. Several settings of one model are planned to stand in memory
/// together: plan before any of them has taken its own. Every rank of a team calls this, and has
/// the same answer: the fewest layers that all of them can take. Throws InputError at all of them
/// where they do not run the same settings.
MemoryPlan PlanMemory(std::span<const RunSettings> side_by_side);

}  // namespace flopledger
