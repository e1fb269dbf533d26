// `gate`: two builds of a benchmark binary, run in turn.
#include <fmt/format.h>
#include <fmt/ostream.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <random>

#include "analysis/text/table.h"
#include "bench/calibration/calibrate.h"
#include "bench/cli/cli.h"
#include "bench/cli/commands.h"
#include "bench/gate/gate.h"
#include "bench/gate/profile.h"
#include "bench/gate/revisions.h"
#include "bench/machine/files.h"
#include "bench/machine/interrupt.h"
#include "bench/machine/machine.h"
#include "model/input_error.h"

namespace flopledger {
namespace {

GateSettings MakeSettings(const GateOptions& options) {
  GateSettings settings;
  settings.baseline = options.baseline;
  settings.candidate = options.candidate;
  settings.arguments = options.arguments;
  settings.rule.budget = CheckedPercent("--budget", options.budget);
  if (options.blocks < 2 || options.blocks > 1000) {
    throw InputError(fmt::format("--blocks must be from 2 to 1000, found {}", options.blocks));
  }
  const int64_t most = options.max_blocks.value_or(std::max<int64_t>(30, options.blocks));
  if (most < options.blocks || most > 10'000) {
    throw InputError(fmt::format("--max-blocks must be from --blocks ({}) to 10000, found {}",
                                 options.blocks, most));
  }
  settings.rule.first_blocks = static_cast<int>(options.blocks);
  settings.rule.most_blocks = static_cast<int>(most);
  if (!(options.time_limit_s > 0)) {
    throw InputError(fmt::format("--time-limit must be above 0 s, found {}", options.time_limit_s));
  }
  settings.time_limit_s = options.time_limit_s;
  settings.seed = options.seed.value_or(std::random_device{}());
  settings.time_identical = options.time_identical;
  settings.flops_may_change = options.flops_may_change;
  settings.across_builds = options.across_builds;
  settings.exact = options.exact;
  // One thread: several short ones may share a processor until the scheduler parts them, and then
  // show half the peak on a machine that nothing disturbs.
  settings.sentinel = [] { return MeasureFmaPeak(1); };
  return settings;
}

/// Which of the ways to name two binaries was taken; throws InputError where none was, or two.
void CheckBinaries(const GateOptions& options) {
  const bool by_revision = !options.baseline_ref.empty();
  if (by_revision && (!options.baseline.empty() || !options.candidate.empty())) {
    throw InputError(
        "--baseline-ref builds both binaries; give it alone, or --baseline and --candidate");
  }
  if (!by_revision && !options.candidate_ref.empty()) {
    throw InputError("--candidate-ref needs --baseline-ref");
  }
  if (options.plan && (by_revision || !options.candidate.empty())) {
    throw InputError("--plan runs one binary against itself: give it --baseline alone, or nothing");
  }
  if (options.plan || by_revision) return;
  if (options.baseline.empty() || options.candidate.empty()) {
    throw InputError(
        "gate needs --baseline BIN and --candidate BIN, or --baseline-ref REV, or --plan");
  }
}

void CheckOutputs(const GateOptions& options) {
  if (options.annotations != "auto" && options.annotations != "on" &&
      options.annotations != "off") {
    throw InputError(fmt::format("unknown --annotations '{}'{}", options.annotations,
                                 Suggest(options.annotations, {"auto", "on", "off"})));
  }
  for (const std::string* path :
       {&options.json, &options.markdown, &options.junit, &options.bencher}) {
    if (!path->empty()) CheckWritable(*path);
  }
  if (options.profile.empty()) return;
  std::error_code error;
  std::filesystem::create_directories(options.profile, error);
  if (error)
    throw InputError(fmt::format("{}: cannot be made: {}", options.profile, error.message()));
  CheckWritable(options.profile + "/x.folded");
}

bool WantsAnnotations(const std::string& wish) {
  const char* actions = std::getenv("GITHUB_ACTIONS");
  return wish == "on" || (wish == "auto" && actions != nullptr && std::string(actions) == "true");
}

void WriteOutputs(const GateOptions& options, const GateReport& report, std::ostream& out,
                  std::ostream& err) {
  const auto write = [&](const std::string& path, const std::string& content) {
    if (path.empty()) return;
    WriteWhole(path, content);
    fmt::print(err, "flopledger: wrote {}\n", path);
  };
  // Names and messages of a foreign binary may hold bytes that are no UTF-8.
  const auto dump = [](const nlohmann::json& json) {
    return json.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  };
  write(options.json, dump(ToJson(report)));
  write(options.markdown, ToMarkdown(report));
  write(options.junit, ToJUnit(report));
  write(options.bencher, dump(ToBencher(report)));
  out << ToText(report);
  if (WantsAnnotations(options.annotations)) out << ToAnnotations(report);
}

/// A small product of our own, where the user names no binary to plan with.
void PlanWithOurOwn(GateSettings& settings) {
  std::error_code ignored;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", ignored);
  settings.baseline = (self.parent_path() / "bench_matmul").string();
  if (settings.arguments.empty()) {
    settings.arguments = {"--model=gpt2", "--context=128", "--benchmark_filter=attention_out"};
  }
}

int RunThePlan(GateSettings settings, double seconds, Progress& progress, std::ostream& out) {
  if (settings.baseline.empty()) PlanWithOurOwn(settings);
  settings.candidate = settings.baseline;
  CheckGateSettings(settings);
  const Plan plan = RunPlan(settings, seconds, progress);
  const GateRule& rule = settings.rule;
  Table table{{{"row", false}, {"blocks"}, {"sigma %"}}, {}};
  const std::vector<int> blocks{10, 20, 30};
  for (const int n : blocks) table.columns.push_back({fmt::format("{} blocks catch", n)});
  for (const PlanRow& row : plan.rows) {
    std::vector<std::string> cells{row.name, fmt::format("{}", row.estimate.blocks),
                                   fmt::format("{:.2f}", 100 * row.estimate.sigma)};
    for (const int n : blocks) {
      cells.push_back(SignedPercent(SmallestCaught(row.estimate.sigma, n, rule)));
    }
    table.rows.push_back(std::move(cells));
  }
  fmt::print(out, "{}\n{} against itself, {:.0f} s, seed {}\n\n", OneLine(DescribeMachine()),
             settings.baseline, plan.seconds, settings.seed);
  out << table.ToText();
  fmt::print(
      out,
      "\nsigma: standard deviation of one block's B/A. The last columns: the smallest slowdown "
      "that so many blocks put beyond a budget of {:+.4g} % with {:.0f} % power.\n",
      100 * rule.budget, 100 * rule.power);
  if (plan.rows.front().estimate.blocks < 8) {
    fmt::print(out, "sigma rests on {} blocks: give it more --plan-seconds, or fewer rows\n",
               plan.rows.front().estimate.blocks);
  }
  if (plan.contamination) {
    fmt::print(out, "contaminated: the FMA sentinel's own B/A was {:.3f}\n", *plan.contamination);
  }
  return kDone;
}

GateReport Refusal(const std::string& what) {
  GateReport report;
  report.decision = interrupted ? Decision::kInconclusive : Decision::kNotComparable;
  report.headline = what;
  return report;
}

}  // namespace

double CheckedPercent(const char* option, double percent) {
  if (!(percent > 0) || percent > 1000) {
    throw InputError(
        fmt::format("{} must be above 0 and at most 1000 %, found {}", option, percent));
  }
  return percent / 100;
}

int RunGateCommand(const GateOptions& options, std::ostream& out, std::ostream& err) {
  CheckBinaries(options);
  GateSettings settings = MakeSettings(options);
  const bool on_terminal = &err == &std::cerr && isatty(STDERR_FILENO) != 0;
  Progress progress(err, on_terminal);
  const InterruptGuard guard(/*second_ends_program=*/false);
  if (options.plan) {
    if (!(options.plan_seconds > 0)) throw InputError("--plan-seconds must be above 0");
    return RunThePlan(settings, options.plan_seconds, progress, out);
  }

  std::unique_ptr<RevisionBuilds> builds;
  GateReport report;
  try {
    if (!options.baseline_ref.empty()) {
      CheckOutputs(options);
      CheckGateArguments(settings);
      const std::string candidate = options.candidate_ref.empty() ? "HEAD" : options.candidate_ref;
      builds = std::make_unique<RevisionBuilds>(
          RevisionSettings{options.baseline_ref, candidate, options.preset, options.target}, err);
      settings.baseline = builds->baseline();
      settings.candidate = builds->candidate();
    }
    CheckGateSettings(settings);
    CheckOutputs(options);
    fmt::print(err, "flopledger: A = {}, B = {}, seed {}\n", settings.baseline, settings.candidate,
               settings.seed);
    report = RunGate(settings, progress);
    if (builds) {
      report.settings["baseline_commit"] = builds->baseline_commit();
      report.settings["candidate_commit"] = builds->candidate_commit();
    }
    progress.Clear();
  } catch (const CannotMeasure& error) {
    report = Refusal(error.what());
  }
  if (!options.profile.empty() && !interrupted) {
    std::vector<std::string> failing;
    for (const RowReport& row : report.rows) {
      if (row.decision == Decision::kFail) failing.push_back(row.name);
    }
    report.profiles = ProfileRows(settings, failing, options.profile);
  }
  builds.reset();  // whatever becomes of our output, nothing of them is left
  WriteOutputs(options, report, out, err);
  return ExitCodeOf(report.decision);
}

}  // namespace flopledger
