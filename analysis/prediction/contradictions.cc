#include "analysis/prediction/contradictions.h"

#include <fmt/format.h>

#include <algorithm>

#include "analysis/text/stats.h"

namespace flopledger {
namespace {

constexpr double kMostSpread = 0.20;      // of a ceiling, and between threads
constexpr double kFarBelowTheory = 0.40;  // as a share of it
constexpr double kDoubtfulThreadSpread = 0.10;
constexpr double kAboveTheory = 1.05;

std::string ThreadsText(int64_t threads) {
  return fmt::format("{} thread{}", threads, threads == 1 ? "" : "s");
}

/// Every ceiling with its name.
template <class Visit>
void ForEachCeiling(const Ceilings& ceilings, Visit&& visit) {
  for (const NamedMeasured& fma : ceilings.fma_flops_per_s) {
    visit(fmt::format("the FMA peak ({})", fma.name), fma.value);
  }
  for (const LevelBandwidth& level : ceilings.bandwidth) {
    visit(level.level + " read", level.read);
    visit(level.level + " triad", level.triad);
  }
  visit("the reference GEMM", ceilings.product_flops_per_s);
  visit("fork and join", ceilings.fork_join_s);
  visit("one exponential", ceilings.exp_s);
  if (ceilings.clock_hz) visit("the clock", *ceilings.clock_hz);
}

}  // namespace

std::vector<std::string> Contradictions(std::span<const Ceilings> all) {
  std::vector<std::string> found;
  double best_of_fewer = 0;
  for (const Ceilings& ceilings : all) {
    const std::string threads = ThreadsText(ceilings.threads);
    for (std::size_t i = 1; i < ceilings.bandwidth.size(); ++i) {
      const LevelBandwidth &above = ceilings.bandwidth[i - 1], &level = ceilings.bandwidth[i];
      if (level.read.median - level.read.mad <= above.read.median + above.read.mad) continue;
      found.push_back(fmt::format("{}: {} reads {:.1f} GB/s, more than the {:.1f} of {}", threads,
                                  level.level, level.read.median / 1e9, above.read.median / 1e9,
                                  above.level));
    }
    ForEachCeiling(ceilings, [&](const std::string& name, const Measured& measured) {
      if (measured.mad <= kMostSpread * measured.median) return;
      found.push_back(fmt::format("{}: {} is spread by {:.1f} % of its median", threads, name,
                                  100 * measured.mad / measured.median));
    });
    if (ceilings.thread_spread.value_or(0) > kMostSpread) {
      found.push_back(fmt::format("{}: their FMA peaks differ by {:.0f} %", threads,
                                  100 * *ceilings.thread_spread));
    }
    if (ceilings.product_drift.value_or(0) > kMostSpread) {
      found.push_back(fmt::format("{}: the reference GEMM drifted by {:.0f} % meanwhile", threads,
                                  100 * *ceilings.product_drift));
    }
    const double peak = ceilings.peak_flops_per_s();
    const auto& theory = ceilings.theoretical_flops_per_s;
    if (theory && peak < kFarBelowTheory * theory->median) {
      found.push_back(
          fmt::format("{}: the FMA peak, {:.1f} GFLOP/s, is {:.0f} % of the {:.1f} that "
                      "are documented at this clock",
                      threads, peak / 1e9, 100 * peak / theory->median, theory->median / 1e9));
    }
    if (peak < (1 - kMostSpread) * best_of_fewer) {
      found.push_back(fmt::format("{}: the FMA peak, {:.1f} GFLOP/s, is below the {:.1f} of fewer",
                                  threads, peak / 1e9, best_of_fewer / 1e9));
    }
    best_of_fewer = std::max(best_of_fewer, peak);
  }
  return found;
}

std::vector<std::string> DoubtsAboutPeak(double flops_per_s,
                                         const std::optional<double>& theoretical_flops_per_s,
                                         const std::optional<double>& thread_spread) {
  std::vector<std::string> doubts;
  if (theoretical_flops_per_s && flops_per_s > kAboveTheory * *theoretical_flops_per_s) {
    doubts.push_back(fmt::format(
        "the FMA peak, {:.1f} GFLOP/s, is above the {:.1f} that are documented at this clock: the "
        "clock rose meanwhile, or the table of processors is wrong about this one",
        flops_per_s / 1e9, *theoretical_flops_per_s / 1e9));
  }
  if (thread_spread.value_or(0) > kDoubtfulThreadSpread) {
    doubts.push_back(
        fmt::format("the FMA peaks of the threads differ by {:.0f} %: another program, or another "
                    "virtual machine, takes part of a processor",
                    100 * *thread_spread));
  }
  return doubts;
}

std::optional<double> DriftOf(std::span<const MachineSpeed> speeds) {
  constexpr std::size_t kMostParts = 8, kLeastParts = 4;
  const std::size_t parts = std::min(kMostParts, speeds.size());
  if (parts < kLeastParts) return std::nullopt;
  std::vector<double> medians;
  for (std::size_t part = 0; part < parts; ++part) {
    std::vector<double> rates;
    for (std::size_t i = part * speeds.size() / parts; i < (part + 1) * speeds.size() / parts;
         ++i) {
      rates.push_back(speeds[i].product_flops_per_s / speeds[i].peak_flops_per_s);
    }
    medians.push_back(Median(std::move(rates)));
  }
  const Interval next = PredictionInterval(medians, 0.95);
  return (next.upper - next.mean) / next.mean;
}

}  // namespace flopledger
