#include "bench/calibration/collectives.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>

#include "analysis/text/stats.h"
#include "bench/calibration/streams.h"
#include "bench/machine/stopwatch.h"
#include "bench/machine/threads.h"

namespace flopledger {
namespace {

/// Numbers of a message: also on both sides of where the algorithm changes, and closer together
/// where the network's own limits bend the curve.
std::vector<int64_t> Sizes(int64_t ranks) {
  std::vector<int64_t> sizes{kRingChunk * ranks - 1, kRingChunk * ranks};
  for (int64_t size = 1; size <= (16 << 20); size *= size < kRingChunk ? 4 : 2) {
    sizes.push_back(size);
  }
  std::ranges::sort(sizes);
  sizes.erase(std::unique(sizes.begin(), sizes.end()), sizes.end());
  return sizes;
}

int RepetitionsOf(int64_t elements) {
  if (elements <= (256 << 10)) return 21;
  return elements <= (4 << 20) ? 7 : 3;
}

/// Memory of which one reading leaves nothing else in the caches.
TeamBuffer AsLargeAsTheCaches(int threads) {
  return {threads, DramBufferOf(threads).cache_bytes()};
}

/// The slowest rank's seconds of each repetition, at the first rank; nothing elsewhere. As between
/// the sums of a pass, other memory is read before each.
std::vector<double> TimesOfSlowest(Link& link, TeamBuffer& memory, int repetitions,
                                   const std::function<void()>& sum) {
  std::vector<double> own;
  for (int i = -2; i < repetitions; ++i) {  // two to warm up
    ReadRate(memory, memory.share(), 0);
    Barrier(link);
    const auto start = Clock::now();
    sum();
    if (i >= 0) own.push_back(SecondsSince(start));
  }
  std::vector<double> slowest;
  for (const std::string& text : Gather(link, nlohmann::json(own).dump())) {
    const auto seconds = nlohmann::json::parse(text).get<std::vector<double>>();
    slowest.resize(seconds.size(), 0);
    for (std::size_t i = 0; i < seconds.size(); ++i) slowest[i] = std::max(slowest[i], seconds[i]);
  }
  return slowest;
}

}  // namespace

std::vector<CollectiveSample> SampleCollectives(Team& team, int threads, Progress& progress) {
  UseThreads(threads);
  TeamBuffer memory = AsLargeAsTheCaches(threads);
  const int64_t ranks = team.link.shard().ranks;
  std::vector<CollectiveSample> samples;
  for (const int64_t elements : Sizes(ranks)) {
    progress.Show(fmt::format("collectives: {} numbers", elements));
    Matrix<float> x(1, elements), scratch(1, AllReduceScratch(elements, ranks));
    std::fill_n(x.data(), elements, 0.0f);
    const int repetitions = RepetitionsOf(elements);
    const std::vector<double> ours = TimesOfSlowest(team.link, memory, repetitions, [&] {
      AllReduceSum<float>(team.link, x.view(), scratch.view());
    });
    const std::vector<double> library = TimesOfSlowest(team.link, memory, repetitions, [&] {
      team.library_sum({x.data(), static_cast<std::size_t>(elements)});
    });
    if (!team.leads()) continue;
    samples.push_back({.ranks = ranks,
                       .hosts = team.hosts,
                       .threads = threads,
                       .bytes = elements * static_cast<int64_t>(sizeof(float)),
                       .algorithm = std::string(NameOf(AlgorithmOf(elements, ranks))),
                       .seconds = Median(ours),
                       .spread = MedianAbsoluteDeviation(ours) / Median(ours),
                       .repetitions = repetitions,
                       .mpi_s = Median(library)});
  }
  progress.Clear();
  return samples;
}

}  // namespace flopledger
