// The rate of a team of threads: the sum of its threads' own rates while all of them are at work.
#pragma once

#include <omp.h>
#include <sched.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "bench/machine/pinning.h"
#include "bench/machine/stopwatch.h"
#include "bench/machine/topology.h"
#include "kernels/check.h"

namespace flopledger {

/// What one thread did in a second, and where it ran.
struct ThreadRate {
  double per_s = 0;
  bool on_efficiency_core = false;
};

struct TeamRate {
  double per_s = 0;          // all threads together
  double fastest_per_s = 0;  // of one thread
  double spread = 0;         // 1 − slowest / fastest thread; the larger of both kinds of cores
  // Of hybrid processors, where threads ran on both kinds of cores: the median thread's.
  std::optional<double> performance_core_per_s{}, efficiency_core_per_s{};

  bool operator==(const TeamRate&) const = default;
};

/// At least one rate, each above 0.
TeamRate SumOfRates(std::span<const ThreadRate> rates);

/// Where the FMA peak falls below this share of the best of a session, another program takes part
/// of a processor: threads wait for one another, which no peak measured beside it scales away.
inline constexpr double kCalmPeak = 0.92;

/// The calm rounds of a team: those in which no other program took part of a processor. At least
/// one peak.
std::vector<std::size_t> CalmRounds(std::span<const TeamRate> peaks);

/// `threads` threads call work(thread) again and again, all of them until the same moment `seconds`
/// after the last of them stood ready, and each at least `least` times. Of a thread that another
/// program held up meanwhile, only what it did counts. Calls of some 10 µs or more keep the clock's
/// own cost below one percent. What work returns (a float) is kept.
template <class Work>
TeamRate RunTogether(int threads, double seconds, int64_t least, Work&& work) {
  omp_set_dynamic(0);
  PinTeam(threads);
  const Topology& topology = MachineTopology();
  std::vector<ThreadRate> rates(static_cast<std::size_t>(threads));
  std::atomic<int> ready = 0;
  std::atomic<bool> started = false;
  Clock::time_point start;
  int team = 0;
#pragma omp parallel num_threads(threads)
  {
#pragma omp single
    team = omp_get_num_threads();
    if (team == threads) {  // else nothing is measured: see below
      const int thread = omp_get_thread_num();
      // OpenMP's own barrier may wake the threads one after another.
      if (ready.fetch_add(1) + 1 == threads) {
        start = Clock::now();
        started.store(true);
      }
      while (!started.load()) std::this_thread::yield();
      float sink = 0;
      int64_t calls = 0;
      double elapsed = 0;
      for (; calls < least || elapsed < seconds; ++calls) {
        sink += work(thread);
        elapsed = SecondsSince(start);
      }
      [[maybe_unused]] volatile float keep = sink;
      rates[static_cast<std::size_t>(thread)] = {
          .per_s = static_cast<double>(calls) / elapsed,
          .on_efficiency_core = topology.IsEfficient(sched_getcpu())};
    }
  }
  FL_CHECK(team == threads, team, threads);  // a rate of so many threads stands on it
  return SumOfRates(rates);
}

}  // namespace flopledger
