#include "bench/calibration/calibrate.h"

#include <fmt/format.h>
#include <omp.h>

#include <algorithm>

#include "analysis/text/stats.h"
#include "bench/counters/counters.h"
#include "bench/counters/cpu_table.h"
#include "bench/machine/interrupt.h"
#include "bench/machine/machine.h"
#include "bench/machine/stopwatch.h"
#include "kernels/add_chain.h"
#include "kernels/bandwidth.h"
#include "kernels/fma_chains.h"

namespace flopledger {
namespace {

constexpr double kBurstSeconds = 0.01;
constexpr double kQuickSeconds = 0.002;

/// Wall-clock of one burst, work(thread) on every thread: from when all stand ready until the last
/// has finished. What work returns is kept.
template <class Work>
double TimeTogether(int threads, Work&& work) {
  Clock::time_point start;
  float sink = 0;
  int team = 0;
  omp_set_dynamic(0);
#pragma omp parallel num_threads(threads) reduction(+ : sink)
  {
#pragma omp single
    team = omp_get_num_threads();
#pragma omp barrier
#pragma omp master
    start = Clock::now();
    sink += work(omp_get_thread_num());
  }
  const double seconds = SecondsSince(start);
  [[maybe_unused]] volatile float keep = sink;
  FL_CHECK(team == threads, team, threads);  // a rate of so many threads stands on it
  return seconds;
}

/// How often work(thread, rounds) goes round in at least that many seconds; also wakes the cores.
template <class Work>
int64_t RoundsFor(double seconds, int threads, Work&& work) {
  for (int64_t rounds = 1;; rounds *= 2) {
    if (TimeTogether(threads, [&](int thread) { return work(thread, rounds); }) >= seconds) {
      return rounds;
    }
  }
}

/// Seconds of one round of work(thread, rounds) on all threads, from a burst of that length.
template <class Work>
double TimeRound(double seconds, int threads, Work&& work) {
  const int64_t rounds = RoundsFor(seconds, threads, work);
  return TimeTogether(threads, [&](int thread) { return work(thread, rounds); }) /
         static_cast<double>(rounds);
}

double FmaPeak(int threads, int bursts, double burst_seconds) {
  constexpr int64_t kSteps = 1000;
  const auto work = [](int, int64_t rounds) { return RunFmaChains(rounds * kSteps); };
  const int64_t rounds = RoundsFor(burst_seconds, threads, work);
  std::vector<double> rates;
  for (int i = 0; i < bursts; ++i) {
    const auto flops = static_cast<double>(FmaChainsFlops(rounds * kSteps)) * threads;
    rates.push_back(flops / TimeTogether(threads, [&](int t) { return work(t, rounds); }));
  }
  return Median(rates);
}

double FmaPeakOfWidth(int threads, int lanes) {
  constexpr int64_t kSteps = 1000;
  const auto work = [&](int, int64_t rounds) { return RunFmaChains(rounds * kSteps, lanes); };
  return static_cast<double>(FmaChainsFlops(kSteps, lanes)) * threads /
         TimeRound(kQuickSeconds, threads, work);
}

/// Cycles a second of each core, all threads at work: on some processors fewer than that while they
/// compute in wide registers.
double ClockHz(int threads) {
  constexpr int64_t kRounds = 100;
  const auto work = [](int, int64_t rounds) {
    return static_cast<float>(RunAddChain(rounds * kRounds));
  };
  return kRounds * kAddsOfRound / TimeRound(kQuickSeconds, threads, work);
}

/// The FMA peak that the processor's documents promise at that clock, each thread on a core of its
/// own while there are enough; absent where the processor is not in the table.
std::optional<Measured> TheoreticalPeak(const Measured& clock_hz, int64_t threads) {
  const auto cpu = IdentifyCpu(LinuxCounters().cpuinfo);
  const CpuRow* row = cpu ? FindCpu(*cpu) : nullptr;
  if (row == nullptr) return std::nullopt;
  const int flops = FmaFlopsPerCycle(*row, FmaWidths().front());
  const auto factor = static_cast<double>(flops * std::min<int64_t>(threads, AvailableCores()));
  return Measured{factor * clock_hz.median, factor * clock_hz.mad};
}

double ForkJoinSeconds(int threads) {
  constexpr int kRegions = 500;
  const auto start = Clock::now();
  for (int i = 0; i < kRegions; ++i) {
#pragma omp parallel num_threads(threads)
    { __asm__ volatile(""); }  // an empty region could be left out
  }
  return SecondsSince(start) / kRegions;
}

/// Seconds an exponential, all threads at it, in the first-level cache.
double ExpSeconds(int threads) {
  constexpr int64_t kSize = 2048;
  Matrix<float> x(threads, kSize), y(threads, kSize);
  std::fill_n(x.data(), x.size(), -0.5f);
  const auto work = [&](int thread, int64_t rounds) {
    for (int64_t i = 0; i < rounds; ++i) {
      ExponentiateAll(x.view().row(thread), y.view().row(thread), kSize);
      __asm__ volatile("" ::: "memory");
    }
    return y.view()(thread, 0);
  };
  return TimeRound(kQuickSeconds, threads, work) / static_cast<double>(kSize * threads);
}

constexpr int64_t Floats(int64_t bytes) {
  return bytes / static_cast<int64_t>(sizeof(float)) / kStreamStep * kStreamStep;
}

}  // namespace

double MeasureFmaPeak(int threads) { return FmaPeak(threads, 5, kBurstSeconds); }
double MeasureFmaPeakQuickly(int threads) { return FmaPeak(threads, 3, kQuickSeconds); }

int64_t DramBufferBytes() {
  int64_t last = int64_t{16} << 20;
  for (const CacheLevel& cache : DataCaches()) last = std::max(last, cache.bytes);
  return std::min(4 * last, int64_t{512} << 20);
}

double MeasureMemoryRead(int threads, std::span<const float> memory) {
  constexpr int kPasses = 2;
  const int64_t share = static_cast<int64_t>(memory.size()) / threads / kStreamStep * kStreamStep;
  const double seconds = TimeTogether(threads, [&](int thread) {
    float sum = 0;
    for (int i = 0; i < kPasses; ++i) sum += StreamRead(memory.data() + thread * share, share);
    return sum;
  });
  return static_cast<double>(kPasses * share * threads) * sizeof(float) / seconds;
}

BandwidthProbe::BandwidthProbe() : memory_(1, Floats(DramBufferBytes())) {
#pragma omp parallel for
  for (int64_t i = 0; i < memory_.size(); ++i) memory_.data()[i] = 0;
}

std::vector<BandwidthProbe::LevelRates> BandwidthProbe::MeasureLevels(int threads) {
  struct Level {
    std::string name;
    std::optional<int64_t> capacity;  // of all threads
  };
  std::vector<Level> levels;
  for (const CacheLevel& cache : DataCaches()) {
    const int64_t instances = (threads + cache.shared_by - 1) / cache.shared_by;
    levels.push_back({fmt::format("L{}", cache.level), cache.bytes * instances});
  }
  levels.push_back({"memory", std::nullopt});

  std::vector<LevelRates> rates;
  for (const Level& level : levels) {
    // Half of a cache: what else the threads touch must not push it out.
    const int64_t bytes = level.capacity ? *level.capacity / 2 : memory_.size() * 4;
    const int64_t share = Floats(std::min<int64_t>(bytes, memory_.size() * 4) / threads);
    const int64_t third = share / 3 / kStreamStep * kStreamStep;
    if (third == 0) continue;
    const auto read = [&](int thread, int64_t rounds) {
      float sum = 0;
      for (int64_t i = 0; i < rounds; ++i)
        sum += StreamRead(memory_.data() + thread * share, share);
      return sum;
    };
    const auto triad = [&](int thread, int64_t rounds) {
      float* a = memory_.data() + thread * share;
      for (int64_t i = 0; i < rounds; ++i) {
        StreamTriad(a, a + third, a + 2 * third, 0.5f, third);
        __asm__ volatile("" ::: "memory");
      }
      return a[0];
    };
    const double read_s = TimeRound(kQuickSeconds, threads, read);
    const double triad_s = TimeRound(kQuickSeconds, threads, triad);
    const double floats = static_cast<double>(threads) * sizeof(float);
    rates.push_back({level.name, level.capacity, floats * static_cast<double>(share) / read_s,
                     floats * static_cast<double>(3 * third) / triad_s});
  }
  return rates;
}

CeilingProbe::CeilingProbe(std::vector<int> thread_counts)
    : thread_counts_(std::move(thread_counts)),
      samples_(thread_counts_.size()),
      speed_(bandwidth_.memory()) {}

void CeilingProbe::Round() {
  for (std::size_t i = 0; i < thread_counts_.size(); ++i) {
    ThrowIfInterrupted();
    const int threads = thread_counts_[i];
    Samples& samples = samples_[i];
    const std::vector<int> widths = FmaWidths();
    samples.fma.resize(widths.size());
    for (std::size_t w = 0; w < widths.size(); ++w) {
      samples.fma[w].push_back(FmaPeakOfWidth(threads, widths[w]));
    }
    samples.levels.push_back(bandwidth_.MeasureLevels(threads));
    speed_.MeasureRead(threads);  // leaves the product's weights in no cache
    samples.product.push_back(speed_.MeasureProduct(threads));
    samples.fork_join.push_back(ForkJoinSeconds(threads));
    samples.exp.push_back(ExpSeconds(threads));
    if (kHasAddChain) samples.clock.push_back(ClockHz(threads));
  }
}

std::vector<Ceilings> CeilingProbe::Result() const {
  std::vector<Ceilings> result;
  for (std::size_t i = 0; i < thread_counts_.size(); ++i) {
    const Samples& samples = samples_[i];
    // Rounds in which another program took part of a processor show no ceiling.
    const std::vector<double>& peaks = samples.fma.front();
    const double best = *std::ranges::max_element(peaks);
    const auto measured = [&](auto&& of_round) {
      std::vector<double> calm;
      for (std::size_t round = 0; round < peaks.size(); ++round) {
        if (peaks[round] >= kCalmPeak * best) calm.push_back(of_round(round));
      }
      return Measured{Median(calm), MedianAbsoluteDeviation(calm)};
    };
    Ceilings& ceilings = result.emplace_back();
    ceilings.threads = thread_counts_[i];
    const std::vector<int> widths = FmaWidths();
    for (std::size_t w = 0; w < widths.size(); ++w) {
      ceilings.fma_flops_per_s.push_back(
          {fmt::format("{}-bit", 32 * widths[w]),
           measured([&](std::size_t round) { return samples.fma[w][round]; })});
    }
    for (std::size_t l = 0; l < samples.levels.front().size(); ++l) {
      const auto& level = samples.levels.front()[l];
      ceilings.bandwidth.push_back(
          {level.level, level.capacity_bytes,
           measured([&](std::size_t r) { return samples.levels[r][l].read_bytes_per_s; }),
           measured([&](std::size_t r) { return samples.levels[r][l].triad_bytes_per_s; })});
    }
    ceilings.product_flops_per_s = measured([&](std::size_t r) { return samples.product[r]; });
    ceilings.fork_join_s = measured([&](std::size_t r) { return samples.fork_join[r]; });
    ceilings.exp_s = measured([&](std::size_t r) { return samples.exp[r]; });
    if (samples.clock.empty()) continue;
    ceilings.clock_hz = measured([&](std::size_t r) { return samples.clock[r]; });
    ceilings.theoretical_flops_per_s = TheoreticalPeak(*ceilings.clock_hz, ceilings.threads);
  }
  return result;
}

}  // namespace flopledger
