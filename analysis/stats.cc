#include "analysis/stats.h"

#include <boost/math/statistics/univariate_statistics.hpp>
#include <stdexcept>

namespace flopledger {

double Median(std::vector<double> samples) {
  if (samples.empty()) throw std::logic_error("the median of no samples");
  return boost::math::statistics::median(samples);
}

double MedianAbsoluteDeviation(std::vector<double> samples) {
  const double centre = Median(samples);
  return boost::math::statistics::median_absolute_deviation(samples, centre);
}

}  // namespace flopledger
