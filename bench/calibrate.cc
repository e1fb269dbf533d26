#include "bench/calibrate.h"

#include <omp.h>

#include <chrono>
#include <vector>

#include "analysis/stats.h"
#include "kernels/fma_chains.h"

namespace flopledger {
namespace {

constexpr int kBursts = 5;
constexpr double kBurstSeconds = 0.01;

double Seconds(std::chrono::steady_clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

/// Wall-clock of one burst: from when all threads stand ready until the last has finished.
double TimeBurst(int threads, int64_t rounds) {
  std::chrono::steady_clock::time_point start;
  float sink = 0;
#pragma omp parallel num_threads(threads) reduction(+ : sink)
  {
#pragma omp barrier
#pragma omp master
    start = std::chrono::steady_clock::now();
    sink += RunFmaChains(rounds);
  }
  const double seconds = Seconds(std::chrono::steady_clock::now() - start);
  [[maybe_unused]] volatile float keep = sink;
  return seconds;
}

}  // namespace

double MeasureFmaPeak(int threads) {
  int64_t rounds = 1000;
  while (TimeBurst(threads, rounds) < kBurstSeconds) rounds *= 2;  // also wakes the cores up
  std::vector<double> rates;
  for (int i = 0; i < kBursts; ++i) {
    const auto flops = static_cast<double>(FmaChainsFlops(rounds)) * threads;
    rates.push_back(flops / TimeBurst(threads, rounds));
  }
  return Median(rates);
}

}  // namespace flopledger
