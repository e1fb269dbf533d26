// What scripts/gate-selftest gates: a real product on one thread, and after each iteration a spin
// for FLOPLEDGER_SPIN_PERCENT of the iteration's own time. The clock is read even where the spin is
// 0, so that the variants differ in nothing else.
#include <benchmark/benchmark.h>
#include <omp.h>

#include <algorithm>
#include <chrono>

#include "kernels/matmul.h"

namespace flopledger {
namespace {

void Product(benchmark::State& state) {
  using Clock = std::chrono::steady_clock;
  constexpr int64_t kSize = 256;
  omp_set_num_threads(1);
  Matrix<float> x(kSize, kSize), w(kSize, kSize), y(kSize, kSize);
  for (Matrix<float>* matrix : {&x, &w}) std::fill_n(matrix->data(), matrix->size(), 0.5f);
  const auto& eigen = *FindMatmul<float>("eigen");
  for (auto _ : state) {
    const auto start = Clock::now();
    eigen.run({.x = x.view(), .w = WeightView<const float>::Of(w.view()), .y = y.view()});
    benchmark::DoNotOptimize(y.data());
    benchmark::ClobberMemory();
    const auto end = Clock::now();
    const auto until = end + (end - start) * FLOPLEDGER_SPIN_PERCENT / 100;
    while (Clock::now() < until) {
    }
  }
  state.counters["predicted_flops"] = 2.0 * kSize * kSize * kSize;
}
BENCHMARK(Product)->Name("product/256x256x256/threads:1")->UseRealTime();

}  // namespace
}  // namespace flopledger

BENCHMARK_MAIN();
