// Times the whole forward pass, as plain Google Benchmark. `flopledger run` gives the ledger of it.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <iostream>

#include "bench/benchmarks/bench_main.h"

int main(int argc, char** argv) {
  using flopledger::Workload;
  flopledger::Progress progress(std::cerr, false);
  const auto register_forward = [&progress](Workload& workload, bool /*is_sweep*/) {
    const auto& settings = workload.settings();
    const auto& shape = workload.forward().shape();
    const std::string name =
        fmt::format("{}/{}/forward/context:{}/batch:{}/layers:{}/threads:{}", settings.model.name,
                    settings.kernels.matmul->name, shape.context, shape.batch, shape.num_layers,
                    settings.threads);
    const auto time = [&workload, &progress, verified = false](benchmark::State& state) mutable {
      if (!verified) {
        const flopledger::Verification found = workload.Verify(progress);
        if (!found.ok()) return state.SkipWithError(found.first_failure.c_str());
        verified = true;
      }
      const flopledger::Trial trial = workload.Time(state, progress);
      if (trial.passes == 0) return;
      const auto ops = workload.forward().ops();
      workload.ExportFlops(state, ops, workload.forward().shape(), flopledger::Convention::kCausal);
      using benchmark::Counter;
      const double flops = state.counters["predicted_flops"];
      state.counters["FLOP/s"] = Counter(flops, Counter::kIsIterationInvariantRate);
      state.counters["of_peak"] = flops / trial.pass_s / trial.peak();
      for (std::size_t i = 0; i < ops.size(); ++i) {  // so that a gate can say which op moved
        state.counters[fmt::format("{}_s", ops[i].name())] = trial.op_s[i];
      }
      if (!workload.counters().Has(flopledger::CounterQuantity::kInstructions)) return;
      flopledger::CounterFigures pass;
      for (const auto& op : workload.Count(workload.counters(), progress).by_op) pass += op;
      ExportCounters(state, pass);
    };
    benchmark::RegisterBenchmark(name.c_str(), time)->UseRealTime()->Unit(benchmark::kMillisecond);
  };
  return flopledger::BenchMain(argc, argv, "Times the whole forward pass of a model.",
                               register_forward);
}
