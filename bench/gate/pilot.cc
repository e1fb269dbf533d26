#include "bench/gate/pilot.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "analysis/regression/row_state.h"
#include "analysis/regression/saved_runs.h"
#include "bench/machine/stopwatch.h"
#include "model/input_error.h"

namespace flopledger {
namespace {

using nlohmann::json;

constexpr double kShortest = 0.8;  // of a repetition, to one of the same iterations before
constexpr int kMostWarmUps = 50;

/// Why rows of these two cannot be compared at all; empty where they can.
std::string BuildDifference(const json& baseline, const json& candidate) {
  for (const char* key : {"library_build_type", "build"}) {
    const json a = baseline.value(key, json()), b = candidate.value(key, json());
    if (a != b) {
      return fmt::format("{} differs: A {}, B {} (--across-builds)", key, a.dump(), b.dump());
    }
  }
  return "";
}

std::map<std::string, double> ExactCounters(const BenchmarkRow& row,
                                            const std::vector<std::string>& more) {
  std::map<std::string, double> exact;
  for (const auto& [name, values] : row.values) {
    if (!IsExactCounter(name) && std::ranges::find(more, name) == more.end()) continue;
    if (const auto median = MedianOf(row, name)) exact[name] = *median;
  }
  return exact;
}

/// Sorts the rows of both files into those to be timed and those that are settled.
class Sorter {
 public:
  Sorter(const GateSettings& settings, const BenchmarkFile& a, const BenchmarkFile& b, Pilot& pilot)
      : settings_(settings), a_(a), b_(b), pilot_(pilot) {
    library_ = LibraryDifference(a.context, b.context);
    if (!library_.empty()) pilot.warnings.push_back(library_);
  }

  void Run() {
    pilot_.not_comparable = WholeDifference();
    if (!pilot_.not_comparable.empty()) return;
    for (const BenchmarkRow& row : a_.rows) Sort(row.name, &row, b_.Find(row.name));
    for (const BenchmarkRow& row : b_.rows) {
      if (a_.Find(row.name) == nullptr) Sort(row.name, nullptr, &row);
    }
  }

 private:
  std::string WholeDifference() {
    if (!settings_.across_builds) {
      if (auto build = BuildDifference(a_.context, b_.context); !build.empty()) return build;
    }
    const auto machine = MachineDifferences(a_.context, b_.context, /*saved=*/false);
    auto text = fmt::format("{}", fmt::join(machine, "; "));
    if (!machine.empty() && settings_.across_machines) {
      pilot_.warnings.push_back(text);
    } else if (!machine.empty()) {
      return text + " (--across-machines)";
    }
    for (const std::string& counter : settings_.exact) {
      if (!IsKnown(counter)) return fmt::format("no row has a counter '{}' (--exact)", counter);
    }
    for (const Metric& metric : settings_.metrics) {
      if (!IsKnown(metric.name)) return fmt::format("no row has a '{}' (--metric)", metric.name);
    }
    return "";
  }

  bool IsKnown(const std::string& value) const {
    const auto has = [&](const BenchmarkRow& row) { return row.values.contains(value); };
    return value == "real_time" || std::ranges::any_of(a_.rows, has) ||
           std::ranges::any_of(b_.rows, has);
  }

  void Sort(const std::string& name, const BenchmarkRow* a, const BenchmarkRow* b) {
    if (const auto state = VerdictOnState(a, b)) {
      pilot_.settled.push_back(NotTimed(name, *state));
      return;
    }
    if (const auto why = WhyLibraryMatters(*a, *b, library_); !why.empty()) {
      pilot_.settled.push_back(NotTimed(name, {Decision::kNotComparable, why}));
      return;
    }
    const auto differences =
        ExactDifferences(ExactCounters(*a, settings_.exact), ExactCounters(*b, settings_.exact));
    std::vector<std::string> texts;
    for (const ExactDifference& difference : differences) texts.push_back(difference.ToText());
    const auto all = fmt::format("{}", fmt::join(texts, "; "));
    if (!texts.empty() && !settings_.flops_may_change) {
      pilot_.exact.push_back(name);
      pilot_.settled.push_back(
          NotTimed(name, {Decision::kFail, all + ". Exact, so nothing was timed"}));
      return;
    }
    if (!texts.empty()) pilot_.warnings.push_back(fmt::format("{}: {}", name, all));
    for (const Metric& metric : settings_.metrics) {
      if (const auto odd = VerdictOnValues(*a, *b, metric)) {
        pilot_.settled.push_back(NotTimed(name, *odd));
        pilot_.settled.back().metric = metric;
      } else {
        pilot_.rows.push_back({name, metric, library_});
      }
    }
  }

  const GateSettings& settings_;
  const BenchmarkFile &a_, &b_;
  Pilot& pilot_;
  std::string library_;
};

/// One run of each binary, with repetitions of at least `sample_s`.
struct PilotRuns {
  BenchmarkFile a, b;
  double sample_s = 0;
  double seconds = 0;  // both together
};

/// How many repetitions a run needs, and how long it will take, from what one of each row took.
void PlanRepetitions(const GateSettings& settings, const PilotRuns& runs, Pilot& pilot) {
  std::set<std::string> names;
  for (const TimedRow& row : pilot.rows) names.insert(row.name);
  std::vector<std::string> short_rows;
  double sum_s = 0;
  for (const std::string& name : names) {
    const BenchmarkRow &row_a = *runs.a.Find(name), &row_b = *runs.b.Find(name);
    if (row_a.repetition_s.empty() || row_b.repetition_s.empty()) continue;
    const double shorter = std::min(row_a.repetition_s.back(), row_b.repetition_s.back());
    sum_s += std::max({row_a.repetition_s.back(), row_b.repetition_s.back(), pilot.sample_s});
    if (shorter < 0.9 * runs.sample_s) {
      short_rows.push_back(name);
      continue;
    }
    const double repetitions = std::ceil(settings.warm_up_s / (kShortest * shorter));
    pilot.warm_ups = std::max(pilot.warm_ups, static_cast<int>(std::min(repetitions, 1e6)));
  }
  pilot.warm_ups = std::min(pilot.warm_ups, kMostWarmUps);
  if (!short_rows.empty()) {
    pilot.warnings.push_back(
        fmt::format("repetitions of less than {} s, for these rows fix their own iterations: {}",
                    runs.sample_s, FirstFew(short_rows)));
  }
  // A run searches for its iterations (about as long as one repetition), then repeats.
  const double repetitions = pilot.warm_ups + kSamples;
  pilot.slot_s = std::max(runs.seconds / 2, sum_s) + (repetitions - 1) * sum_s;
}

}  // namespace

std::string FirstFew(const std::vector<std::string>& names) {
  constexpr std::size_t kMost = 5;
  const auto shown = std::min(names.size(), kMost);
  std::string text =
      fmt::format("{}", fmt::join(names.begin(), names.begin() + static_cast<long>(shown), ", "));
  if (names.size() > kMost) text += fmt::format(", +{} more", names.size() - kMost);
  return text;
}

Pilot RunPilot(const GateSettings& settings, const Runner& runner) {
  const bool quick = settings.quick_slot_s > 0;
  PilotRuns runs;
  runs.sample_s = quick ? std::min(settings.sample_s, 0.01) : settings.sample_s;
  const std::vector<std::string> flags{"--benchmark_repetitions=1",
                                       fmt::format("--benchmark_min_time={}", runs.sample_s)};
  const auto start = Clock::now();
  runs.a = runner.Run(false, flags);
  runs.b = runner.Run(true, flags);
  runs.seconds = SecondsSince(start);
  Pilot pilot;
  pilot.context = {{"baseline", runs.a.context}, {"candidate", runs.b.context}};
  Sorter(settings, runs.a, runs.b, pilot).Run();
  if (!pilot.not_comparable.empty() || pilot.rows.empty()) return pilot;
  GateSettings planned = settings;
  if (quick) {  // one warm-up and the samples of every row share the time of a run
    const double share =
        settings.quick_slot_s / (1 + kSamples) / static_cast<double>(pilot.rows.size());
    planned.sample_s = std::clamp(share, 0.001, settings.sample_s);
    planned.warm_up_s = 0;
  }
  pilot.sample_s = planned.sample_s;
  PlanRepetitions(planned, runs, pilot);
  return pilot;
}

}  // namespace flopledger
