// What a run will do, said before it does it.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "bench/run/run.h"

namespace flopledger {

/// Model, shape, memory, FLOPs, how long (where a calibration tells), and how to do less: a few
/// lines, wrapped at `width` characters.
std::string PlanText(std::span<const RunSettings> side_by_side, const MemoryPlan& plan,
                     int64_t repetitions, std::size_t width);

}  // namespace flopledger
