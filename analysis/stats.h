// Robust statistics of a few samples. Wrappers that take samples by value, so none is reordered.
#pragma once

#include <vector>

namespace flopledger {

/// The middle sample, or the mean of the two middle ones. At least one sample.
double Median(std::vector<double> samples);

/// The median distance from the median, unscaled (multiply by 1.4826 for a normal's sigma).
double MedianAbsoluteDeviation(std::vector<double> samples);

/// The mean, and the interval in which one more sample falls with that confidence, for samples from
/// a normal distribution: mean ± t · s · √(1 + 1/n), Student's t with n − 1 degrees of freedom.
struct Interval {
  double mean = 0;
  double low = 0, high = 0;
};
/// At least two samples.
Interval PredictionInterval(const std::vector<double>& samples, double confidence);

}  // namespace flopledger
