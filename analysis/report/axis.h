// Axes of the page's charts: where a value stands, and which values are written beside it.
#pragma once

#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace flopledger {

/// An axis from `low` to `high` on [begin, end] pixels. A logarithmic one has positive ends.
struct Axis {
  double low = 1, high = 10;
  double begin = 0, end = 1;
  bool logarithmic = true;

  double operator()(double value) const {
    return begin + (end - begin) * (logarithmic ? std::log10(value / low) / std::log10(high / low)
                                                : (value - low) / (high - low));
  }
  double PixelsPerDecade() const { return std::abs(end - begin) / std::log10(high / low); }

  /// Logarithmic: powers of ten, at most nine; on a short axis twice and five times them as well.
  /// Linear, and within one decade: multiples of 1, 2 or 5 times a power of ten, three to nine.
  std::vector<double> Ticks() const;
};

/// The least and the largest of what it took; 0 and infinities do not count.
struct PositiveRange {
  double low = std::numeric_limits<double>::max(), high = 0;
  void Take(double value) {
    if (!(value > 0) || !std::isfinite(value)) return;
    low = std::min(low, value);
    high = std::max(high, value);
  }
};

/// "0.1", "1000", "1e+06".
std::string TickText(double value);

}  // namespace flopledger
