// What `compare`, `gate` and `bisect` have in common: options, and exit codes.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "analysis/regression/compare.h"
#include "analysis/regression/metric.h"
#include "bench/gate/settings.h"

namespace CLI {
class App;
}

namespace flopledger {

/// Of all three, with their defaults.
struct ComparableOptions {
  std::vector<std::string> metrics;  // none: real_time
  bool across_machines = false, allow_missing = false;
};
void AddComparable(CLI::App* command, ComparableOptions& options);
/// The metrics that --metric names, or real_time. Throws InputError.
std::vector<Metric> ParseMetrics(const std::vector<std::string>& names);

/// How a gate times, of `gate` and `bisect`, with their defaults.
struct GateTimingOptions : ComparableOptions {
  std::vector<std::string> arguments;  // for both binaries
  double budget = 5;                   // percent
  std::optional<int64_t> blocks;       // absent: 10, or 5 of a quick gate
  std::optional<int64_t>
      max_blocks;                // absent: 30, or --blocks of a quick gate or where that is more
  std::optional<uint64_t> seed;  // absent: drawn
  double time_limit_s = 300;
  bool quick = false;
  bool flops_may_change = false, across_builds = false;
  std::vector<std::string> exact;
};
void AddGateTiming(CLI::App* command, GateTimingOptions& options);
/// The same, checked, with the FMA peak of one thread as the sentinel. Throws InputError.
GateSettings MakeGateSettings(const GateTimingOptions& options);

/// How often a gate says how far it is where standard error is no terminal.
inline constexpr std::chrono::milliseconds kProgressInterval = std::chrono::seconds(30);

/// The exit code that stands for a decision: 0, 1, 3 or 5.
int ExitCodeOf(Decision decision);

/// `percent` as a fraction. Throws InputError, naming the option, unless it is above 0 and at most
/// 1000.
double CheckedPercent(const char* option, double percent);

}  // namespace flopledger
