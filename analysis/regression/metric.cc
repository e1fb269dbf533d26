#include "analysis/regression/metric.h"

#include <fmt/format.h>

#include "model/input_error.h"

namespace flopledger {

Metric ParseMetric(std::string_view text) {
  constexpr std::string_view kRate = ":rate";
  const bool said = text.ends_with(kRate);
  if (said) text.remove_suffix(kRate.size());
  if (text.empty()) {
    throw InputError("--metric needs a name: real_time, cpu_time, items_per_second, a counter");
  }
  return {.name = std::string(text),
          .higher_is_better = said || text.ends_with("per_second") || text.ends_with("/s")};
}

bool IsTime(const Metric& metric) {
  return metric.name == "real_time" || metric.name == "cpu_time";
}

DisplayUnit DisplayUnitOf(const Metric& metric, double value) {
  if (!IsTime(metric)) return {};
  if (value < 1e-6) return {1e9, "ns"};
  if (value < 1e-3) return {1e6, "us"};
  if (value < 1) return {1e3, "ms"};
  return {1, "s"};
}

std::string ShowValue(const Metric& metric, double value) {
  const DisplayUnit unit = DisplayUnitOf(metric, value);
  // '#' keeps the zeros that say how precise the figure is.
  const std::string digits = IsTime(metric) && value > 0
                                 ? fmt::format("{:#.4g}", value * unit.factor)
                                 : fmt::format("{:.4g}", value);
  return unit.name.empty() ? digits : fmt::format("{} {}", digits, unit.name);
}

}  // namespace flopledger
