#include "bench/calibration/calibrate.h"

#include <fmt/format.h>

#include <algorithm>

#include "analysis/prediction/contradictions.h"
#include "analysis/text/stats.h"
#include "bench/calibration/streams.h"
#include "bench/counters/counters.h"
#include "bench/counters/cpu_table.h"
#include "bench/machine/interrupt.h"
#include "bench/machine/stopwatch.h"
#include "bench/machine/threads.h"
#include "bench/machine/topology.h"
#include "kernels/add_chain.h"
#include "kernels/bandwidth.h"
#include "kernels/fma_chains.h"

namespace flopledger {
namespace {

constexpr double kBurstSeconds = 0.01;
constexpr double kQuickSeconds = 0.002;

TeamRate Scaled(TeamRate rate, double factor) {
  rate.per_s *= factor;
  rate.fastest_per_s *= factor;
  for (auto* part : {&rate.performance_core_per_s, &rate.efficiency_core_per_s}) {
    if (*part) **part *= factor;
  }
  return rate;
}

/// The FMA peak in registers of `lanes`, by one burst.
TeamRate FmaRate(int threads, int lanes, double seconds) {
  constexpr int64_t kSteps = 2000;
  const auto work = [&](int) { return RunFmaChains(kSteps, lanes); };
  return Scaled(RunTogether(threads, seconds, 1, work),
                static_cast<double>(FmaChainsFlops(kSteps, lanes)));
}

/// The median of `bursts`, after one that wakes the cores.
TeamRate FmaPeak(int threads, int bursts, double burst_seconds) {
  const int lanes = FmaWidths().front();
  FmaRate(threads, lanes, burst_seconds);
  std::vector<TeamRate> rates;
  for (int i = 0; i < bursts; ++i) rates.push_back(FmaRate(threads, lanes, burst_seconds));
  std::ranges::sort(rates, {}, &TeamRate::per_s);
  return rates[rates.size() / 2];
}

/// Cycles a second of a core, all threads at work: on some processors fewer than that while they
/// compute in wide registers. The fastest thread's of several bursts: one that is held up says
/// nothing of the clock.
double ClockHz(int threads) {
  constexpr int64_t kRounds = 1000;
  constexpr int kTimes = 3;
  const auto work = [](int) { return static_cast<float>(RunAddChain(kRounds)); };
  double fastest = 0;
  for (int i = 0; i < kTimes; ++i) {
    fastest = std::max(fastest, RunTogether(threads, kQuickSeconds, 1, work).fastest_per_s);
  }
  return fastest * kRounds * kAddsOfRound;
}

/// The FMA peak that the processor's documents promise at that clock.
std::optional<Measured> TheoreticalPeak(const Measured& clock_hz, int64_t threads) {
  const auto flops = FmaFlopsPerCycleOfTeam(LinuxCounters().cpuinfo, MachineTopology(), threads,
                                            FmaWidths().front());
  if (!flops) return std::nullopt;
  const auto factor = static_cast<double>(*flops);
  return Measured{factor * clock_hz.median, factor * clock_hz.mad};
}

/// Of 500 regions, or of fewer on a machine that is busy.
double ForkJoinSeconds(int threads) {
  constexpr int kMostBatches = 10, kRegions = 50;
  constexpr double kLongest = 0.02;
  CheckTeamSize(threads);
  const auto start = Clock::now();
  int batches = 0;
  while (batches < kMostBatches && SecondsSince(start) < kLongest) {
    ++batches;
    for (int i = 0; i < kRegions; ++i) {
#pragma omp parallel num_threads(threads)
      { __asm__ volatile(""); }  // an empty region could be left out
    }
  }
  return SecondsSince(start) / (batches * kRegions);
}

/// Seconds an exponential, all threads at it, in the first-level cache.
double ExpSeconds(int threads) {
  constexpr int64_t kSize = 2048;
  constexpr int kTimes = 20;
  Matrix<float> x(threads, kSize), y(threads, kSize);
  const auto fill = [&](int thread) {  // each its own rows
    std::fill_n(x.view().row(thread), kSize, -0.5f);
    return 0.0f;
  };
  RunTogether(threads, 0, 1, fill);
  const auto work = [&](int thread) {
    for (int i = 0; i < kTimes; ++i) {
      ExponentiateAll(x.view().row(thread), y.view().row(thread), kSize);
      __asm__ volatile("" ::: "memory");
    }
    return y.view()(thread, 0);
  };
  return 1 / (RunTogether(threads, kQuickSeconds, 1, work).per_s * kTimes * kSize);
}

}  // namespace

double MeasureFmaPeak(int threads) { return FmaPeak(threads, 5, kBurstSeconds).per_s; }
double MeasureFmaPeakQuickly(int threads) { return FmaPeak(threads, 3, kQuickSeconds).per_s; }

PeakFacts DescribePeak(int threads) {
  const double clock_before = kHasAddChain ? ClockHz(threads) : 0;
  PeakFacts facts{.flops_per_s = FmaPeak(threads, 5, kBurstSeconds),
                  .theoretical_flops_per_s = std::nullopt};
  if (!kHasAddChain) return facts;
  const auto promised = TheoreticalPeak({std::max(clock_before, ClockHz(threads)), 0}, threads);
  if (promised) facts.theoretical_flops_per_s = promised->median;
  return facts;
}

std::vector<std::string> SettleCeilings(CeilingProbe& ceilings, double seconds) {
  constexpr std::size_t kLeastRounds = 3;
  const auto start = Clock::now();
  for (;;) {
    if (ceilings.rounds() >= kLeastRounds) {
      std::vector<std::string> contradictions = Contradictions(ceilings.Result());
      const std::size_t rounds = ceilings.rounds(), calm = ceilings.calm_rounds();
      if (calm < kLeastRounds || 2 * calm < rounds) {
        contradictions.push_back(
            fmt::format("the FMA peak was near its highest in {} of {} rounds only", calm, rounds));
      }
      if (contradictions.empty() || SecondsSince(start) >= seconds) return contradictions;
    }
    ThrowIfInterrupted();
    ceilings.Round();
  }
}

CeilingProbe::Team::Team(int threads) : speed(threads), fma(FmaWidths().size()) {
  const int64_t share = speed.memory().share();
  const auto add = [&](const std::string& name, const std::optional<int64_t>& capacity,
                       int64_t floats) {
    floats = floats / kStreamStep * kStreamStep;
    if (floats < 3 * kStreamStep) return;
    levels.push_back(
        {.name = name, .capacity_bytes = capacity, .floats = floats, .read = {}, .triad = {}});
  };
  for (const TeamCache& cache : CachesOfTeam(MachineTopology(), threads)) {
    // Half of a cache: what else the threads touch must not push it out.
    const int64_t floats = cache.close_bytes / 2 / threads / static_cast<int64_t>(sizeof(float));
    add(fmt::format("L{}", cache.level), cache.close_bytes, std::min(floats, share));
  }
  add("memory", std::nullopt, share);
}

CeilingProbe::CeilingProbe(const std::vector<int>& thread_counts) {
  for (const int threads : thread_counts) teams_.push_back(std::make_unique<Team>(threads));
}

std::size_t CeilingProbe::calm_rounds() const {
  std::size_t fewest = rounds();
  for (const std::unique_ptr<Team>& team : teams_) {
    fewest = std::min(fewest, CalmRounds(team->fma.front()).size());
  }
  return fewest;
}

SpeedProbe& CeilingProbe::speed(int threads) {
  const auto found = std::ranges::find(
      teams_, threads, [](const std::unique_ptr<Team>& team) { return team->speed.threads(); });
  FL_CHECK(found != teams_.end(), threads);
  return (*found)->speed;
}

void CeilingProbe::Round() {
  for (const std::unique_ptr<Team>& team : teams_) {
    ThrowIfInterrupted();
    const int threads = team->speed.threads();
    const std::vector<int> widths = FmaWidths();
    for (std::size_t w = 0; w < widths.size(); ++w) {
      FmaRate(threads, widths[w], kQuickSeconds / 2);  // wakes the cores
      team->fma[w].push_back(FmaRate(threads, widths[w], kQuickSeconds));
    }
    for (Level& level : team->levels) {
      TeamBuffer& memory = team->speed.memory();
      level.read.push_back(ReadRate(memory, level.floats, kQuickSeconds));
      level.triad.push_back(TriadRate(memory, level.floats, kQuickSeconds));
    }
    team->speed.MeasureRead();  // leaves the product's weights in no cache
    team->product.push_back(team->speed.MeasureProduct());
    team->fork_join.push_back(ForkJoinSeconds(threads));
    team->exp.push_back(ExpSeconds(threads));
    if (kHasAddChain) team->clock.push_back(ClockHz(threads));
  }
}

std::vector<Ceilings> CeilingProbe::Result() const {
  std::vector<Ceilings> result;
  for (const std::unique_ptr<Team>& team : teams_) result.push_back(Result(*team));
  return result;
}

Ceilings CeilingProbe::Result(const Team& team) {
  const std::vector<TeamRate>& peaks = team.fma.front();
  const std::vector<std::size_t> calm = CalmRounds(peaks);
  const auto measured = [&](auto&& of_round) {
    std::vector<double> values;
    for (const std::size_t round : calm) values.push_back(of_round(round));
    return Measured{Median(values), MedianAbsoluteDeviation(values)};
  };
  const auto of = [&](const std::vector<double>& samples) {
    return measured([&](std::size_t round) { return samples[round]; });
  };
  Ceilings ceilings;
  ceilings.threads = team.speed.threads();
  const std::vector<int> widths = FmaWidths();
  for (std::size_t w = 0; w < widths.size(); ++w) {
    ceilings.fma_flops_per_s.push_back(
        {fmt::format("{}-bit", 32 * widths[w]),
         measured([&](std::size_t round) { return team.fma[w][round].per_s; })});
  }
  if (ceilings.threads <= std::ssize(MachineTopology().cores)) {  // else some share a core
    ceilings.thread_spread =
        measured([&](std::size_t round) { return peaks[round].spread; }).median;
  }
  const auto apart = [&](std::optional<double> TeamRate::*part) -> std::optional<Measured> {
    const auto has = [&](std::size_t round) { return (peaks[round].*part).has_value(); };
    if (!std::ranges::all_of(calm, has)) return std::nullopt;
    return measured([&](std::size_t round) { return *(peaks[round].*part); });
  };
  ceilings.performance_core_flops_per_s = apart(&TeamRate::performance_core_per_s);
  ceilings.efficiency_core_flops_per_s = apart(&TeamRate::efficiency_core_per_s);
  for (const Level& level : team.levels) {
    ceilings.bandwidth.push_back({.level = level.name,
                                  .capacity_bytes = level.capacity_bytes,
                                  .read = of(level.read),
                                  .triad = of(level.triad)});
  }
  ceilings.memory_buffer_bytes = team.speed.dram_buffer().bytes;
  ceilings.memory_buffer_bounded = team.speed.dram_buffer().bounded_by_memory;
  ceilings.product_flops_per_s = of(team.product);
  ceilings.fork_join_s = of(team.fork_join);
  ceilings.exp_s = of(team.exp);
  if (team.clock.empty()) return ceilings;
  ceilings.clock_hz = of(team.clock);
  ceilings.theoretical_flops_per_s = TheoreticalPeak(*ceilings.clock_hz, ceilings.threads);
  return ceilings;
}

}  // namespace flopledger
