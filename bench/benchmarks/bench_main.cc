#include "bench/benchmarks/bench_main.h"

#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <fmt/ostream.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>

#include "bench/cli/common.h"
#include "bench/machine/build_info.h"
#include "bench/machine/machine.h"
#include "bench/machine/pinning.h"
#include "bench/run/memory_plan.h"
#include "model/input_error.h"
#include "model/runnable.h"

namespace flopledger {
namespace {

int Run(int argc, char** argv, const char* description, const RegisterFn& register_all) {
  WorkloadOptions options;
  options.layers = 1;
  CLI::App app(description);
  app.add_option("--model", options.model, "a preset, or a JSON file")->capture_default_str();
  app.add_option("--context", options.context, "positions; default: the model's context_length");
  app.add_option("--batch", options.batch, "sequences")->capture_default_str();
  app.add_option("--layers", options.layers, "layers of the model; default: 1");
  app.add_option("--threads", options.threads,
                 "OpenMP threads; default: one for each physical core");
  app.add_option("--pin", options.pin, kPinHelp)->capture_default_str();
  app.add_option("--matmul", options.matmul, "the product kernels, or all, side by side")
      ->capture_default_str();
  app.add_option("--attention", options.attention, "fused or reference")->capture_default_str();
  app.allow_extras();
  app.footer(
      "Google Benchmark's own flags (--benchmark_filter=RE, --benchmark_out=FILE, …) work too.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked) {
    return app.exit(asked);
  } catch (const CLI::ParseError& error) {
    throw InputError(error.what());
  }
  std::vector<std::string> words = app.remaining();
  words.insert(words.begin(), argv[0]);
  std::vector<char*> flags;
  for (std::string& word : words) flags.push_back(word.data());
  int count = static_cast<int>(flags.size());
  benchmark::Initialize(&count, flags.data());
  if (count > 1) throw InputError(fmt::format("unknown option '{}'; see --help", flags[1]));

  std::vector<RunSettings> side_by_side;
  const std::string matmuls = options.matmul;
  for (const std::string& matmul : MatmulsNamed(matmuls)) {
    options.matmul = matmul;
    side_by_side.push_back(ParseWorkload(options));
    CheckComputed(side_by_side.back().model, "the benchmark");
  }
  PrintLeftOut(matmuls, std::cerr);
  benchmark::AddCustomContext("environment", OneLine(DescribeMachine()));
  const BuildInfo& build = GetBuildInfo();
  benchmark::AddCustomContext(
      "build", fmt::format("{} {} ({})", build.compiler, build.flags, build.build_type));
  const ThreadPinning pinning(ParsePin(options.pin));
  benchmark::AddCustomContext("pin", PinningText());
  const MemoryPlan plan = PlanMemory(side_by_side);  // before any of them takes its memory
  WeightStore weights;
  std::vector<std::unique_ptr<Workload>> workloads;
  for (const RunSettings& settings : side_by_side) {
    workloads.push_back(std::make_unique<Workload>(settings, plan.layers, weights));
    register_all(*workloads.back());
  }
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return kDone;
}

}  // namespace

int BenchMain(int argc, char** argv, const char* description, const RegisterFn& register_all) {
  const auto fail = [&](const char* what, int code) {
    fmt::print(std::cerr, "{}: {}\n", argv[0], what);
    return code;
  };
  try {
    return Run(argc, argv, description, register_all);
  } catch (const InputError& error) {
    return fail(error.what(), kBadInput);
  } catch (const CannotMeasure& error) {
    return fail(error.what(), kNoAnswer);
  } catch (const std::bad_alloc&) {
    return fail("out of memory", kNoAnswer);
  } catch (const std::exception& error) {
    return fail(error.what(), kProgramFault);
  }
}

void RegisterOps(Workload& workload, const std::vector<OpKind>& kinds) {
  const RunSettings& settings = workload.settings();
  for (const Op& op : workload.forward().ops()) {
    if (std::ranges::find(kinds, op.kind) == kinds.end()) continue;
    std::string name =
        fmt::format("{}/{}/{}", settings.model.name, settings.kernels.matmul->name, op.name());
    name += fmt::format("/m:{}/n:{}", op.m, op.n);
    if (op.k > 0) name += fmt::format("/k:{}", op.k);
    if (op.products > 1) name += fmt::format("/products:{}", op.products);
    name += fmt::format("/threads:{}", settings.threads);
    benchmark::RegisterBenchmark(
        name.c_str(), [&workload, op](benchmark::State& state) { workload.TimeOp(state, op); })
        ->UseManualTime()
        ->Unit(benchmark::kMillisecond);
  }
}

}  // namespace flopledger
