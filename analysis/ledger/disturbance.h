// Whether a repetition was disturbed: by what else ran on its processors, or by a peak that moved
// around it. Arithmetic only; bench/machine/activity reads the system.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "analysis/ledger/environment.h"
#include "analysis/ledger/trial.h"

namespace flopledger {

/// What a repetition had: its threads, the processors that the process may use, and the calibrated
/// FMA peak of so many threads, where there is one.
struct TeamFacts {
  int64_t threads = 1;
  int64_t processors = 1;
  std::optional<double> calibrated_flops_per_s;
};

/// Why what ran during `activity` should not be trusted; empty where it may be. Named are: a
/// processor that the hypervisor withheld for 1 % of the time; other processes that took more than
/// a tenth of a processor from the threads; threads that were driven off their processors more than
/// kMostSwitches times a second each.
std::string WhyDisturbed(const SystemActivity& activity, const TeamFacts& team);
inline constexpr double kMostSwitches = 50;

/// Sets `disturbed` of each: by its activity; else by its FMA peak, where that changed by more than
/// 5 % from before it to after it, lies more than 5 % below the best around any of these
/// repetitions, or more than 10 % below the calibrated one.
void MarkDisturbed(std::span<Trial> trials, const TeamFacts& team);

/// The ledger's list: every repetition that is disturbed, or replaced one that was.
std::vector<Disturbance> DisturbancesOf(std::span<const Trial> trials, const std::string& matmul);

}  // namespace flopledger
