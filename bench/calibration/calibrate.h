// Measured ceilings of the machine: what no op can pass.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "analysis/prediction/predict.h"
#include "bench/calibration/speed.h"
#include "kernels/tensor.h"

namespace flopledger {

/// The fp32 FMA peak in FLOP/s of `threads` OpenMP threads together, now: the median of several
/// short bursts of independent FMA chains, about 70 ms in all. On a virtual machine this moves from
/// one minute to the next, so it is measured right beside what it is compared with.
double MeasureFmaPeak(int threads);

/// The same from shorter bursts, about 10 ms in all: for many measurements in a row.
double MeasureFmaPeakQuickly(int threads);

/// Where the FMA peak falls below this share of the best of a session, another program takes part
/// of a processor: threads wait for one another, which no peak measured beside it scales away.
inline constexpr double kCalmPeak = 0.92;

/// How many bytes are far more than the last cache holds.
int64_t DramBufferBytes();

/// Bytes a second that `threads` threads together read from `memory` now; some 20 ms for
/// DramBufferBytes, which then are all that is left in the caches.
double MeasureMemoryRead(int threads, std::span<const float> memory);

/// Memory that bandwidth is measured on, taken once.
class BandwidthProbe {
 public:
  BandwidthProbe();

  std::span<const float> memory() const {
    return {memory_.data(), static_cast<std::size_t>(memory_.size())};
  }

  /// One sample of each level, the nearest first, "memory" last.
  struct LevelRates {
    std::string level;
    std::optional<int64_t> capacity_bytes;  // of all threads together
    double read_bytes_per_s = 0;
    double triad_bytes_per_s = 0;
  };
  std::vector<LevelRates> MeasureLevels(int threads);

 private:
  Matrix<float> memory_;
};

/// Gathers samples of every ceiling round by round, so that a slow moment spoils none of them.
class CeilingProbe {
 public:
  explicit CeilingProbe(std::vector<int> thread_counts);

  void Round();
  /// At least one round.
  std::vector<Ceilings> Result() const;
  SpeedProbe& speed() { return speed_; }

 private:
  struct Samples {
    std::vector<std::vector<double>> fma;  // by width, then round
    std::vector<std::vector<BandwidthProbe::LevelRates>> levels;
    std::vector<double> product, fork_join, exp, clock;
  };
  std::vector<int> thread_counts_;
  std::vector<Samples> samples_;  // by number of threads
  BandwidthProbe bandwidth_;
  SpeedProbe speed_;
};

}  // namespace flopledger
