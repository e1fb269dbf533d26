// Times the whole forward pass, as plain Google Benchmark. `flopledger run` gives the ledger of it.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <iostream>

#include "bench/bench_main.h"

int main(int argc, char** argv) {
  using flopledger::Workload;
  flopledger::Progress progress(std::cerr, false);
  const auto register_forward = [&progress](Workload& workload) {
    const auto& settings = workload.settings();
    const auto& shape = workload.forward().shape();
    const std::string name = fmt::format("{}/{}/forward/context:{}/batch:{}/layers:{}/threads:{}",
                                         settings.model.name, settings.matmul, shape.context,
                                         shape.batch, shape.num_layers, settings.threads);
    const auto time = [&workload, &progress, verified = false](benchmark::State& state) mutable {
      if (!verified) {
        const flopledger::Verification found = workload.Verify(progress);
        if (!found.ok()) return state.SkipWithError(found.first_failure.c_str());
        verified = true;
      }
      using benchmark::Counter;
      const flopledger::Trial trial = workload.Time(state, progress);
      const auto flops =
          static_cast<double>(CountFlops(workload.settings().model, workload.forward().shape(),
                                         flopledger::Convention::kCausal)
                                  .total);
      state.counters["FLOP/s"] = Counter(flops, Counter::kIsIterationInvariantRate);
      if (trial.passes > 0) state.counters["of_peak"] = flops / trial.pass_s / trial.peak();
    };
    benchmark::RegisterBenchmark(name.c_str(), time)->UseRealTime()->Unit(benchmark::kMillisecond);
  };
  return flopledger::BenchMain(argc, argv, "Times the whole forward pass of a model.",
                               register_forward);
}
