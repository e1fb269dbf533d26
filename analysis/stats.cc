#include "analysis/stats.h"

#include <boost/math/distributions/students_t.hpp>
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

Interval PredictionInterval(const std::vector<double>& samples, double confidence) {
  if (samples.size() < 2) throw std::logic_error("an interval from fewer than two samples");
  const auto n = static_cast<double>(samples.size());
  const double mean = boost::math::statistics::mean(samples);
  const double s = std::sqrt(boost::math::statistics::sample_variance(samples));
  const double t = boost::math::quantile(boost::math::students_t(n - 1), 1 - (1 - confidence) / 2);
  const double reach = t * s * std::sqrt(1 + 1 / n);
  return {mean, mean - reach, mean + reach};
}

}  // namespace flopledger
