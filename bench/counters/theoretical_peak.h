// What the processor's documents promise of fused multiply-adds: one table, by microarchitecture.
#pragma once

#include <optional>
#include <string_view>

namespace flopledger {

/// fp32 FLOPs that one core finishes in a cycle when it does nothing but multiply-adds in registers
/// of `lanes` floats. `microarchitecture` as bench/counters/counter_events.h names it; absent where
/// the table has none of that name.
std::optional<int> FmaFlopsPerCycle(std::string_view microarchitecture, int lanes);

}  // namespace flopledger
