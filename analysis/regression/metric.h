// What is compared of a row: its time, a rate, or a counter of the benchmark.
#pragma once

#include <string>
#include <string_view>

namespace flopledger {

struct Metric {
  std::string name = "real_time";  // as Google Benchmark's JSON has it
  bool higher_is_better = false;   // a rate: less of it is a slowdown

  bool operator==(const Metric&) const = default;
};

/// "real_time", "cpu_time", "items_per_second", or the name of a counter. A name with "per_second"
/// or "/s" at its end is a rate; ":rate" after any name says so. Throws InputError for an empty
/// name.
Metric ParseMetric(std::string_view text);

/// Whether its values are seconds.
bool IsTime(const Metric& metric);

/// The unit in which a value reads well, and what to multiply by: {1e9, "ns"} for 2e-8 s. Anything
/// but a time keeps its value, without a unit.
struct DisplayUnit {
  double factor = 1;
  std::string_view name;
};
DisplayUnit DisplayUnitOf(const Metric& metric, double value);

/// A value in its display unit, with four digits: "20.13 ns".
std::string ShowValue(const Metric& metric, double value);

}  // namespace flopledger
