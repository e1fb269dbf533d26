#include "analysis/report/axis.h"

#include <fmt/format.h>

#include <algorithm>

namespace flopledger {
namespace {

std::vector<double> LogarithmicTicks(const Axis& axis) {
  const int first = static_cast<int>(std::floor(std::log10(axis.low)));
  const int last = static_cast<int>(std::floor(std::log10(axis.high)));
  const int step = std::max(1, (last - first) / 8);
  std::vector<double> ticks;
  for (int exponent = first; exponent <= last; exponent += step) {
    for (const double times : {1.0, 2.0, 5.0}) {
      const double tick = times * std::pow(10.0, exponent);
      if (times > 1 && last - first > 2) continue;
      if (tick >= axis.low && tick <= axis.high) ticks.push_back(tick);
    }
  }
  return ticks;
}

std::vector<double> LinearTicks(const Axis& axis) {
  const double span = axis.high - axis.low;
  double step = std::pow(10.0, std::floor(std::log10(span)));
  for (const double finer : {0.5, 0.4, 0.5}) {  // 5, 2 and 1 times the next power of ten
    if (span / step >= 3) break;
    step *= finer;
  }
  std::vector<double> ticks;
  const auto last = static_cast<int64_t>(std::floor(axis.high / step * (1 + 1e-12)));
  for (auto i = static_cast<int64_t>(std::ceil(axis.low / step * (1 - 1e-12))); i <= last; ++i) {
    ticks.push_back(static_cast<double>(i) * step);
  }
  return ticks;
}

}  // namespace

std::vector<double> Axis::Ticks() const {
  // Within a decade powers of ten would be too few.
  return logarithmic && high / low > 10 ? LogarithmicTicks(*this) : LinearTicks(*this);
}

std::string TickText(double value) {
  const double size = std::abs(value);
  return size > 0 && (size < 9e-5 || size > 2e5) ? fmt::format("{:.0e}", value)
                                                 : fmt::format("{:.6g}", value);
}

}  // namespace flopledger
