#include "bench/counters/theoretical_peak.h"

#include <algorithm>

namespace flopledger {
namespace {

/// Pipes that can take a multiply-add in each cycle, and the floats that one of them computes then.
struct FmaPipes {
  std::string_view microarchitecture;
  int pipes;
  int lanes;
};

// Intel 64 and IA-32 Architectures Optimization Reference Manual, of each microarchitecture;
// Software Optimization Guide for AMD Family 17h, 19h and 1Ah; Arm Neoverse Software Optimization
// Guides. Some cheaper Skylake-X have one 512-bit pipe, and mobile Zen 5 pipes of 256 bits: of
// those this promises too much. Alder Lake: its performance cores.
constexpr FmaPipes kTable[] = {
    {"Intel Haswell", 2, 8},
    {"Intel Broadwell", 2, 8},
    {"Intel Skylake", 2, 8},
    {"Intel Skylake-X or Cascade Lake", 2, 16},
    {"Intel Ice Lake, Tiger Lake or Rocket Lake", 2, 8},
    {"Intel Ice Lake-X", 2, 16},
    {"Intel Sapphire or Emerald Rapids", 2, 16},
    {"Intel Alder Lake or Raptor Lake", 2, 8},
    {"AMD Zen 1", 2, 4},
    {"AMD Zen 2", 2, 8},
    {"AMD Zen 3", 2, 8},
    {"AMD Zen 4", 2, 8},
    {"AMD Zen 5", 2, 16},
    {"ARM Neoverse N1", 2, 4},
    {"ARM Neoverse V1", 4, 4},
    {"ARM Neoverse N2", 2, 4},
    {"ARM Neoverse V2", 4, 4},
};

}  // namespace

std::optional<int> FmaFlopsPerCycle(std::string_view microarchitecture, int lanes) {
  const auto row = std::ranges::find(kTable, microarchitecture, &FmaPipes::microarchitecture);
  if (row == std::end(kTable)) return std::nullopt;
  return 2 * row->pipes * std::min(row->lanes, lanes);  // a wider register goes through in parts
}

}  // namespace flopledger
