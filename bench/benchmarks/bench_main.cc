#include "bench/benchmarks/bench_main.h"

#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <fmt/ostream.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>

#include "bench/cli/common.h"
#include "bench/cli/parse_error.h"
#include "bench/machine/build_info.h"
#include "bench/machine/machine.h"
#include "bench/machine/pinning.h"
#include "bench/run/memory_plan.h"
#include "model/input_error.h"
#include "model/runnable.h"

namespace flopledger {
namespace {

/// The points that a line asks for, each checked.
std::vector<RunSettings> CheckedPoints(const WorkloadOptions& options, const SweepOptions& sweep) {
  std::vector<RunSettings> points;
  for (const WorkloadOptions& point : PointsOf(options, sweep)) {
    points.push_back(ParseWorkload(point));
    CheckComputed(points.back().model, "the benchmark");
  }
  return points;
}

/// Runs every benchmark on every point: all take their memory first.
void RunPoints(const std::vector<RunSettings>& points, const RegisterFn& register_all) {
  const MemoryPlan plan = PlanMemory(points);
  WeightStore weights;
  Progress silent(std::cerr, false);
  std::vector<std::unique_ptr<Workload>> workloads;
  for (const RunSettings& point : points) {
    workloads.push_back(std::make_unique<Workload>(point, plan.layers, weights, silent));
    register_all(*workloads.back(), /*is_sweep=*/points.size() > 1);
  }
  benchmark::RunSpecifiedBenchmarks();
}

int Run(int argc, char** argv, const char* description, const RegisterFn& register_all) {
  WorkloadOptions options;
  options.layers = 1;
  SweepOptions sweep;
  CLI::App app(description);
  app.add_option("-m,--model", options.model, "a preset, or a JSON file")->capture_default_str();
  app.add_option(
      "-p,--context", sweep.context,
      "positions, or a list: 64,128 or 128:1024:x2; default: the model's context_length");
  app.add_option("--batch", sweep.batch, "sequences, or a list")->capture_default_str();
  app.add_option("--layers", options.layers, "layers of the model; default: 1");
  app.add_option("-t,--threads", sweep.threads,
                 "OpenMP threads, or a list; default: one for each physical core");
  app.add_option("--pin", options.pin, kPinHelp)->capture_default_str();
  app.add_option("--matmul", options.matmul, "the product kernels, a list, or all, side by side")
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
    throw InputError(InOurWords(app, error));
  }
  std::vector<std::string> words = app.remaining();
  words.insert(words.begin(), argv[0]);
  std::vector<char*> flags;
  for (std::string& word : words) flags.push_back(word.data());
  int count = static_cast<int>(flags.size());
  benchmark::Initialize(&count, flags.data());
  if (count > 1) throw InputError(fmt::format("unknown option '{}'; see --help", flags[1]));

  const std::vector<RunSettings> points = CheckedPoints(options, sweep);
  PrintLeftOut(options.matmul, std::cerr);
  benchmark::AddCustomContext("environment", OneLine(DescribeMachine()));
  const BuildInfo& build = GetBuildInfo();
  benchmark::AddCustomContext(
      "build", fmt::format("{} {} ({})", build.compiler, build.flags, build.build_type));
  const ThreadPinning pinning(ParsePin(options.pin));
  benchmark::AddCustomContext("pin", PinningText());
  RunPoints(points, register_all);
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
    return fail(error.what(), kNotPossibleHere);
  } catch (const std::bad_alloc&) {
    return fail("out of memory", kNotPossibleHere);
  } catch (const std::exception& error) {
    return fail(error.what(), kProgramFault);
  }
}

void RegisterOps(Workload& workload, const std::vector<OpKind>& kinds, bool is_sweep) {
  const RunSettings& settings = workload.settings();
  for (const Op& op : workload.forward().ops()) {
    if (std::ranges::find(kinds, op.kind) == kinds.end()) continue;
    std::string name =
        fmt::format("{}/{}/{}", settings.model.name, settings.kernels.matmul->name, op.name());
    name += fmt::format("/m:{}/n:{}", op.m, op.n);
    if (op.k > 0) name += fmt::format("/k:{}", op.k);
    if (op.products > 1) name += fmt::format("/products:{}", op.products);
    if (is_sweep) name += fmt::format("/context:{}/batch:{}", settings.context, settings.batch);
    name += fmt::format("/threads:{}", settings.threads);
    benchmark::RegisterBenchmark(
        name.c_str(), [&workload, op](benchmark::State& state) { workload.TimeOp(state, op); })
        ->UseManualTime()
        ->Unit(benchmark::kMillisecond);
  }
}

}  // namespace flopledger
