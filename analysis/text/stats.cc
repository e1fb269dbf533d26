#include "analysis/text/stats.h"

#include <boost/math/distributions/non_central_t.hpp>
#include <boost/math/distributions/students_t.hpp>
#include <boost/math/statistics/univariate_statistics.hpp>
#include <boost/math/tools/roots.hpp>
#include <cmath>
#include <stdexcept>
#include <utility>

namespace flopledger {
namespace {

/// Half the width of a two-sided interval, in standard errors of the mean.
double CriticalT(int n, double confidence) {
  return boost::math::quantile(boost::math::students_t(n - 1), (1 + confidence) / 2);
}

}  // namespace

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

double Mean(std::span<const double> samples) {
  if (samples.empty()) throw std::logic_error("the mean of no samples");
  return boost::math::statistics::mean(samples.begin(), samples.end());
}

double StandardDeviation(std::span<const double> samples) {
  if (samples.size() < 2) throw std::logic_error("the spread of fewer than two samples");
  return std::sqrt(boost::math::statistics::sample_variance(samples.begin(), samples.end()));
}

Interval StudentInterval(std::span<const double> samples, double confidence) {
  const double mean = Mean(samples);
  const auto n = static_cast<int>(samples.size());
  const double half = CriticalT(n, confidence) * StandardDeviation(samples) / std::sqrt(n);
  return {.mean = mean, .lower = mean - half, .upper = mean + half};
}

Interval PredictionInterval(std::span<const double> samples, double confidence) {
  const double mean = Mean(samples);
  const auto n = static_cast<int>(samples.size());
  const double reach =
      CriticalT(n, confidence) * StandardDeviation(samples) * std::sqrt(1 + 1.0 / n);
  return {.mean = mean, .lower = mean - reach, .upper = mean + reach};
}

double PowerFactor(int n, double confidence, double power) {
  const double critical = CriticalT(n, confidence);
  const auto missed = [&](double noncentrality) {
    const boost::math::non_central_t statistic(n - 1, noncentrality);
    return boost::math::cdf(statistic, critical) - (1 - power);
  };
  const auto [low, high] = boost::math::tools::bisect(
      missed, 0.0, 10 * critical, boost::math::tools::eps_tolerance<double>(20));
  return (low + high) / 2 / std::sqrt(n);
}

}  // namespace flopledger
