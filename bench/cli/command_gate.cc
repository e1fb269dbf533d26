// `gate`: two builds of a benchmark binary, run in turn.
#include <fmt/format.h>
#include <fmt/ostream.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>

#include "analysis/text/table.h"
#include "bench/cli/cli.h"
#include "bench/cli/commands.h"
#include "bench/cli/options.h"
#include "bench/gate/gate.h"
#include "bench/gate/profile.h"
#include "bench/gate/revisions.h"
#include "bench/machine/files.h"
#include "bench/machine/interrupt.h"
#include "bench/machine/machine.h"
#include "model/input_error.h"

namespace flopledger {
namespace {

/// With --bisect-exit: what `git bisect run` takes for "cannot be tested", and what stops it.
constexpr int kBisectSkip = 125, kBisectStop = 128;

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
  if (plan.moved_sentinel) {
    fmt::print(out, "disturbed: the FMA sentinel's own B/A was {:.3f}\n", *plan.moved_sentinel);
  }
  return kDone;
}

GateReport Refusal(const std::string& what) {
  GateReport report;
  report.decision = interrupted ? Decision::kInconclusive : Decision::kNotComparable;
  report.headline = what;
  return report;
}

void WriteProfiles(const GateOptions& options, const GateSettings& settings, GateReport& report) {
  if (options.profile.empty() || interrupted) return;
  std::vector<std::string> failing;
  for (const RowReport& row : report.rows) {
    if (row.decision == Decision::kFail) failing.push_back(row.name);
  }
  report.profiles = ProfileRows(settings, failing, options.profile);
}

/// Builds what is to be built, and gates. Whatever cannot be measured is in the report.
GateReport BuildAndGate(const GateOptions& options, GateSettings& settings, Progress& progress,
                        std::ostream& err) {
  std::unique_ptr<RevisionBuilds> builds;  // at the end nothing of them is left
  GateReport report;
  try {
    std::string commits[2];
    if (!options.baseline_ref.empty()) {
      CheckOutputs(options);
      CheckGateArguments(settings);
      builds = std::make_unique<RevisionBuilds>(BuildSettings{options.preset, options.target}, err);
      commits[0] = builds->Commit(options.baseline_ref);
      commits[1] = builds->Commit(options.candidate_ref.empty() ? "HEAD" : options.candidate_ref);
      settings.baseline = builds->Build(0, commits[0]);
      settings.candidate = builds->Build(1, commits[1]);
    }
    CheckGateSettings(settings);
    CheckOutputs(options);
    progress.Say(fmt::format("A = {}, B = {}, seed {}", settings.baseline, settings.candidate,
                             settings.seed));
    report = RunGate(settings, progress);
    if (builds) {
      report.settings["baseline_commit"] = commits[0];
      report.settings["candidate_commit"] = commits[1];
    }
  } catch (const CannotMeasure& error) {
    report = Refusal(error.what());
  }
  WriteProfiles(options, settings, report);
  progress.Clear();
  return report;
}

int BisectExitOf(Decision decision) {
  if (interrupted) return kBisectStop;
  if (decision == Decision::kPass) return kDone;
  return decision == Decision::kFail ? kCheckFailed : kBisectSkip;
}

int GateAndReport(const GateOptions& options, std::ostream& out, std::ostream& err) {
  CheckBinaries(options);
  GateSettings settings = MakeGateSettings(options);
  settings.baseline = options.baseline;
  settings.candidate = options.candidate;
  settings.time_identical = options.time_identical;
  const bool on_terminal = &err == &std::cerr && isatty(STDERR_FILENO) != 0;
  Progress progress(err, on_terminal, kProgressInterval);
  const InterruptGuard guard(/*second_ends_program=*/false);
  if (options.plan) {
    if (!(options.plan_seconds > 0)) throw InputError("--plan-seconds must be above 0");
    return RunThePlan(settings, options.plan_seconds, progress, out);
  }
  const GateReport report = BuildAndGate(options, settings, progress, err);
  WriteOutputs(options, report, out, err);
  return options.bisect_exit ? BisectExitOf(report.decision) : ExitCodeOf(report.decision);
}

void AddGateOutputs(CLI::App* command, GateOptions& options) {
  command->add_option(
      "--profile", options.profile,
      "run rows that fail once more under 'perf record', and leave folded stacks in "
      "this folder");
  command->add_option("--json", options.json, "the verdict, with every run")->capture_default_str();
  command->add_option("--markdown", options.markdown, "a summary, e.g. \"$GITHUB_STEP_SUMMARY\"");
  command->add_option("--junit", options.junit, "JUnit XML");
  command->add_option("--bencher", options.bencher, "Bencher Metric Format");
  command
      ->add_option("--annotations", options.annotations,
                   "GitHub's ::error and ::warning lines: on, off, or auto (in GitHub Actions)")
      ->capture_default_str();
  command->add_flag("--bisect-exit", options.bisect_exit,
                    "exit codes for 'git bisect run': 0 PASS, 1 FAIL, 125 (skip) without an "
                    "answer, 128 (stop) for bad usage or an interruption");
}

}  // namespace

int RunGateCommand(const GateOptions& options, std::ostream& out, std::ostream& err) {
  if (!options.bisect_exit) return GateAndReport(options, out, err);
  try {
    return GateAndReport(options, out, err);
  } catch (const InputError& error) {  // any code below 128 would be an answer on the commit
    fmt::print(err, "flopledger: {}\n", OneLine(error.what()));
    return kBisectStop;
  }
}

void AddGate(CLI::App& app, Session& session) {
  const auto options = std::make_shared<GateOptions>();
  CLI::App* command = app.add_subcommand(
      "gate",
      "Runs two builds of a Google Benchmark binary in turn and says whether the second is "
      "slower: PASS, FAIL or INCONCLUSIVE for every row.");
  command->add_option("--baseline", options->baseline, "the binary as it was (A)");
  command->add_option("--candidate", options->candidate, "the binary as it is now (B)");
  command->add_option("--baseline-ref", options->baseline_ref,
                      "build A from this git revision, and B from --candidate-ref, in worktrees");
  command->add_option("--candidate-ref", options->candidate_ref,
                      "with --baseline-ref; default: HEAD");
  command
      ->add_option("--preset", options->preset,
                   "the CMake preset of both builds; '' for none (a Release build)")
      ->capture_default_str();
  command->add_option("--target", options->target, "the CMake target that is built and gated")
      ->capture_default_str();
  AddGateTiming(command, *options);
  command->add_flag("--time-identical", options->time_identical,
                    "time binaries of equal content too, to test this machine");
  command->add_flag("--plan", options->plan,
                    "gate --baseline (default: a small product of ours) against itself, and print "
                    "sigma and the smallest slowdown that 10, 20 and 30 blocks can catch here");
  command->add_option("--plan-seconds", options->plan_seconds, "how long --plan takes")
      ->capture_default_str();
  AddGateOutputs(command, *options);
  command->footer(
      "--benchmark_filter=RE and what stands after '--' are handed to both binaries, e.g.\n"
      "  flopledger gate --baseline a/bench_forward --candidate b/bench_forward -- --model gpt2\n"
      "Exit codes: 0 PASS; 1 FAIL; 2 bad usage; 3 INCONCLUSIVE or interrupted; 5 NOT COMPARABLE.\n"
      "The verdict file is written in every case but bad usage.");
  command->final_callback([options, &session] {
    session.run = [options, &session] {
      options->arguments = session.after_dashes;
      options->arguments.insert(options->arguments.end(), session.benchmark_flags.begin(),
                                session.benchmark_flags.end());
      return RunGateCommand(*options, session.out, session.err);
    };
  });
}

}  // namespace flopledger
