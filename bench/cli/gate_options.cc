#include "bench/cli/gate_options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <random>

#include "bench/calibration/calibrate.h"
#include "bench/cli/cli.h"
#include "bench/cli/options.h"
#include "model/input_error.h"

namespace flopledger {
namespace {

/// A quick gate: fewer blocks, which do not go on, of shorter runs. With five blocks and, where a
/// row fails, five fresh ones it takes about a minute.
constexpr int64_t kQuickBlocks = 5;
constexpr double kQuickSlotSeconds = 1.5;

void SetBlocks(const GateTimingOptions& options, GateRule& rule) {
  const int64_t blocks = options.blocks.value_or(options.quick ? kQuickBlocks : 10);
  if (blocks < 2 || blocks > 1000) {
    throw InputError(fmt::format("--blocks must be from 2 to 1000, found {}", blocks));
  }
  const int64_t most =
      options.max_blocks.value_or(options.quick ? blocks : std::max<int64_t>(30, blocks));
  if (most < blocks || most > 10'000) {
    throw InputError(
        fmt::format("--max-blocks must be from --blocks ({}) to 10000, found {}", blocks, most));
  }
  rule.first_blocks = static_cast<int>(blocks);
  rule.most_blocks = static_cast<int>(most);
}

}  // namespace

std::vector<Metric> ParseMetrics(const std::vector<std::string>& names) {
  std::vector<Metric> metrics;
  for (const std::string& name : names) {
    const Metric metric = ParseMetric(name);
    if (std::ranges::find(metrics, metric.name, &Metric::name) != metrics.end()) {
      throw InputError(fmt::format("--metric names {} more than once", metric.name));
    }
    metrics.push_back(metric);
  }
  if (metrics.empty()) metrics.emplace_back();
  return metrics;
}

void AddComparable(CLI::App* command, ComparableOptions& options) {
  command
      ->add_option("--metric", options.metrics,
                   "what is compared: real_time (the default), cpu_time, items_per_second, "
                   "bytes_per_second or any counter; NAME:rate where less of it is worse; several "
                   "with commas, or given again")
      ->delimiter(',')
      ->allow_extra_args(false);
  command->add_flag("--across-machines", options.across_machines,
                    "compare although the two report different machines");
  command->add_flag("--allow-missing", options.allow_missing,
                    "rows of A that B lacks do not block");
}

void AddGateTiming(CLI::App* command, GateTimingOptions& options) {
  AddBudget(command, options.budget);
  command->add_option("--blocks", options.blocks,
                      "blocks (two runs of each binary) up to the first decision; default: 10");
  command->add_option("--max-blocks", options.max_blocks,
                      "blocks to which a row that is inconclusive goes on; default: 30");
  command->add_flag("--quick", options.quick,
                    "a smoke gate of about a minute, for large slowdowns: 5 blocks of short runs");
  AtLeast(0, command->add_option("--seed", options.seed,
                                 "draws the order of runs; default: drawn, and printed"));
  command->add_option("--time-limit", options.time_limit_s, "seconds that one run may take")
      ->capture_default_str();
  command
      ->add_option("--exact", options.exact,
                   "a counter of the benchmarks that must be equal, beside predicted_flops, "
                   "counted_flops and sample_counted_flops")
      ->allow_extra_args(false);
  command->add_flag("--flops-may-change", options.flops_may_change,
                    "time rows whose exact counters changed");
  command->add_flag("--across-builds", options.across_builds,
                    "compare builds of different compilers, flags or build types");
  AddComparable(command, options);
}

GateSettings MakeGateSettings(const GateTimingOptions& options) {
  GateSettings settings;
  settings.arguments = options.arguments;
  settings.rule.budget = CheckedPercent("--budget", options.budget);
  SetBlocks(options, settings.rule);
  if (!(options.time_limit_s > 0)) {
    throw InputError(fmt::format("--time-limit must be above 0 s, found {}", options.time_limit_s));
  }
  settings.time_limit_s = options.time_limit_s;
  settings.quick_slot_s = options.quick ? kQuickSlotSeconds : 0;
  settings.metrics = ParseMetrics(options.metrics);
  settings.seed = options.seed.value_or(std::random_device{}());
  settings.flops_may_change = options.flops_may_change;
  settings.across_builds = options.across_builds;
  settings.across_machines = options.across_machines;
  settings.allow_missing = options.allow_missing;
  settings.exact = options.exact;
  // One thread: several short ones may share a processor until the scheduler parts them, and then
  // show half the peak on a machine that nothing disturbs.
  settings.sentinel = [] { return MeasureFmaPeak(1); };
  return settings;
}

int ExitCodeOf(Decision decision) {
  switch (decision) {
    case Decision::kPass: return kDone;
    case Decision::kFail: return kCheckFailed;
    case Decision::kNotComparable: return kNotPossibleHere;
    default: return kNoAnswer;
  }
}

double CheckedPercent(const char* option, double percent) {
  if (!(percent > 0) || percent > 1000) {
    throw InputError(
        fmt::format("{} must be above 0 and at most 1000 %, found {}", option, percent));
  }
  return percent / 100;
}

}  // namespace flopledger
