// Robust statistics of a few samples, and Student's interval for the gate. Wrappers that take
// samples by value, so none is reordered.
#pragma once

#include <span>
#include <vector>

namespace flopledger {

/// The middle sample, or the mean of the two middle ones. At least one sample.
double Median(std::vector<double> samples);

/// The median distance from the median, unscaled (multiply by 1.4826 for a normal's sigma).
double MedianAbsoluteDeviation(std::vector<double> samples);

/// At least one sample.
double Mean(std::span<const double> samples);

/// With n − 1 in the denominator. At least two samples.
double StandardDeviation(std::span<const double> samples);

/// A mean and the bounds that hold the true one with some confidence.
struct Interval {
  double mean = 0, lower = 0, upper = 0;
};

/// Student's t interval, two-sided, of at least two independent samples; `confidence` such as 0.99.
Interval StudentInterval(std::span<const double> samples, double confidence);

/// The interval in which one more sample falls with that confidence, of at least two samples from a
/// normal distribution: mean ± t · s · √(1 + 1/n).
Interval PredictionInterval(std::span<const double> samples, double confidence);

/// k: a mean that lies k standard deviations (of one sample) above a bound has the lower end of its
/// StudentInterval of n samples above that bound with probability `power`. From Student's
/// noncentral t.
double PowerFactor(int n, double confidence, double power);

}  // namespace flopledger
