#include "analysis/text/numbers.h"

#include <fmt/format.h>

#include <cmath>
#include <iterator>

namespace flopledger {

std::string Grouped(int64_t value) {
  std::string digits = fmt::format("{}", value);
  const std::size_t first = value < 0 ? 1 : 0;
  for (std::size_t i = digits.size(); i > first + 3;) {
    i -= 3;
    digits.insert(i, ",");
  }
  return digits;
}

std::string HumanBytes(int64_t bytes) {
  const auto value = static_cast<double>(bytes);
  if (bytes >= 1'000'000'000) {
    return fmt::format("{:.2f} GB ({:.2f} GiB)", value / 1e9, value / 0x1p30);
  }
  if (bytes >= 1'000'000) return fmt::format("{:.2f} MB ({:.2f} MiB)", value / 1e6, value / 0x1p20);
  return fmt::format("{} bytes", bytes);
}

std::string HumanSeconds(double seconds) {
  if (seconds >= 7200) return fmt::format("{:.3g} h", seconds / 3600);
  if (seconds >= 600) return fmt::format("{:.3g} min", seconds / 60);
  if (seconds >= 1) return fmt::format("{:.4g} s", seconds);
  if (seconds >= 1e-3) return fmt::format("{:.4g} ms", seconds * 1e3);
  return fmt::format("{:.4g} µs", seconds * 1e6);
}

std::string HumanScaled(double value, std::string_view unit) {
  constexpr std::string_view kPrefixes[] = {"", "k", "M", "G", "T", "P", "E"};
  std::size_t step = 0;
  while (std::abs(value) >= 1e3 && step + 1 < std::size(kPrefixes)) {
    value /= 1e3;
    ++step;
  }
  return fmt::format("{:.4g} {}{}", value, kPrefixes[step], unit);
}

std::string OrBlank(const std::optional<int64_t>& value) { return value ? Grouped(*value) : ""; }

std::string OrBlank(const std::optional<double>& value, int digits, double scale) {
  return value ? fmt::format("{:.{}f}", *value * scale, digits) : "";
}

std::string Milliseconds(const std::optional<double>& seconds) { return OrBlank(seconds, 3, 1e3); }

std::string_view Plural(int64_t count) { return count == 1 ? "" : "s"; }

}  // namespace flopledger
