// Robust statistics of a few samples. Wrappers that take samples by value, so none is reordered.
#pragma once

#include <vector>

namespace flopledger {

/// The middle sample, or the mean of the two middle ones. At least one sample.
double Median(std::vector<double> samples);

/// The median distance from the median, unscaled (multiply by 1.4826 for a normal's sigma).
double MedianAbsoluteDeviation(std::vector<double> samples);

}  // namespace flopledger
