// Measured ceilings of the machine: what no op can pass.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "analysis/prediction/predict.h"
#include "bench/calibration/speed.h"
#include "bench/calibration/team_rate.h"

namespace flopledger {

/// The fp32 FMA peak in FLOP/s of `threads` OpenMP threads together, now: the sum of their rates,
/// the median of several short bursts of independent FMA chains, about 60 ms in all. On a virtual
/// machine this moves from one minute to the next, so it is measured right beside what it is
/// compared with.
double MeasureFmaPeak(int threads);

/// The same from shorter bursts, about 10 ms in all: for many measurements in a row.
double MeasureFmaPeakQuickly(int threads);

/// The peak and what is known about it.
struct PeakFacts {
  TeamRate flops_per_s;                           // the median burst's
  std::optional<double> theoretical_flops_per_s;  // what documents promise at the clock of now
};
PeakFacts DescribePeak(int threads);

/// Gathers samples of every ceiling round by round, so that a slow moment spoils none of them.
class CeilingProbe {
 public:
  explicit CeilingProbe(const std::vector<int>& thread_counts);

  void Round();
  std::size_t rounds() const { return teams_.front()->fork_join.size(); }
  /// Those that Result stands on: of the team that has the fewest.
  std::size_t calm_rounds() const;
  /// At least one round.
  std::vector<Ceilings> Result() const;
  /// That of one of the thread counts.
  SpeedProbe& speed(int threads);

 private:
  struct Level {
    std::string name;
    std::optional<int64_t> capacity_bytes;  // of all threads together; memory: none
    int64_t floats = 0;                     // that each thread goes through
    std::vector<double> read, triad;        // by round
  };
  struct Team {
    explicit Team(int threads);

    SpeedProbe speed;
    std::vector<Level> levels;               // the nearest first
    std::vector<std::vector<TeamRate>> fma;  // by width, then round
    std::vector<double> product, fork_join, exp, clock;
  };
  static Ceilings Result(const Team& team);

  std::vector<std::unique_ptr<Team>> teams_;
};

/// Rounds until three at least, and half of all, are calm and the ceilings do not contradict one
/// another; after the third none is begun later than so many seconds. Returns what is wrong then:
/// on a busy machine that is known long before all is sampled. Throws Interrupted.
std::vector<std::string> SettleCeilings(CeilingProbe& ceilings, double seconds);

}  // namespace flopledger
