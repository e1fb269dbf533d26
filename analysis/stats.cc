#include "analysis/stats.h"

#include <boost/math/statistics/univariate_statistics.hpp>
#include <cmath>
#include <stdexcept>
#include <utility>

namespace flopledger {

double Median(std::vector<double> samples) {
  if (samples.empty()) throw std::logic_error("the median of no samples");
  return boost::math::statistics::median(samples);
}

double MedianAbsoluteDeviation(std::vector<double> samples) {
  // Not Boost's median_absolute_deviation: up to 1.74 it returns the sample itself, not its
  // distance from the median.
  const double centre = Median(samples);
  for (double& sample : samples) sample = std::abs(sample - centre);
  return Median(std::move(samples));
}

}  // namespace flopledger
