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
#include <nlohmann/json.hpp>

#include "analysis/regression/escaped_name.h"
#include "analysis/text/table.h"
#include "bench/cli/cli.h"
#include "bench/cli/commands.h"
#include "bench/cli/options.h"
#include "bench/cli/terminal.h"
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
    if (!path->empty() && *path != "-") CheckWritable(*path);
  }
  if (options.profile.empty()) return;
  std::error_code error;
  std::filesystem::create_directories(options.profile, error);
  if (error)
    throw InputError(fmt::format("{}: cannot be made: {}", options.profile, error.message()));
  CheckWritable(options.profile + "/x.folded");
}

/// Names and messages of a foreign binary may hold bytes that are no UTF-8.
std::string Dumped(const nlohmann::json& json) {
  return json.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

bool WantsAnnotations(const std::string& wish) {
  const char* actions = std::getenv("GITHUB_ACTIONS");
  return wish == "on" || (wish == "auto" && actions != nullptr && std::string(actions) == "true");
}

/// What helps after this verdict.
std::string NextAfter(const GateReport& report, const GateOptions& options) {
  switch (report.decision) {
    case Decision::kPass:
      return "'flopledger gate --plan' says how small a slowdown this machine can see";
    case Decision::kFail:
      return options.profile.empty()
                 ? "'--profile FOLDER' leaves the stacks of rows that fail; 'flopledger bisect "
                   "--good REV' finds the commit"
                 : "'flopledger bisect --good REV' finds the commit";
    case Decision::kInconclusive:
      return interrupted ? "the same command again; '--quick' takes a minute"
                         : "'--max-blocks 60' looks longer, and 'flopledger gate --plan' says how "
                           "small a slowdown this machine can see";
    default:
      return "'--across-builds', '--across-machines' or '--allow-missing' compare all the same, "
             "where the line above names such a difference; else run the binary alone";
  }
}

/// The verdict in the format that was asked for.
void PrintVerdict(const GateReport& report, const GateOptions& options, std::ostream& out,
                  std::ostream& err) {
  switch (ParseFormat(options.format)) {
    case Format::kJson: out << Dumped(ToJson(report)); break;
    case Format::kCsv: out << ToCsv(report); break;
    case Format::kMarkdown: out << ToMarkdown(report); break;
    case Format::kTable:
      PrintNote(out, ToText(report, WidthOf(out)));
      PrintNext(err, NextAfter(report, options));
  }
}

void WriteOutputs(const GateOptions& options, const GateReport& report, std::ostream& out,
                  std::ostream& err) {
  bool printed = false;
  const auto write = [&](const std::string& path, const std::string& content) {
    if (path.empty()) return;
    if (path == "-") {
      out << content;
      printed = true;
      return;
    }
    WriteWhole(path, content);
    fmt::print(err, "flopledger: wrote {}\n", path);
  };
  write(options.json, Dumped(ToJson(report)));
  write(options.markdown, ToMarkdown(report));
  write(options.junit, ToJUnit(report));
  write(options.bencher, Dumped(ToBencher(report)));
  if (!printed) PrintVerdict(report, options, out, err);
  // GitHub reads them on either stream; standard output has the result alone.
  if (WantsAnnotations(options.annotations)) err << ToAnnotations(report);
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

constexpr int kPlannedBlocks[] = {10, 20, 30};

Table PlanTable(const Plan& plan, const GateRule& rule) {
  Table table{{{"row", false}, {"blocks"}, {"sigma %"}}, {}};
  for (const int n : kPlannedBlocks) table.columns.push_back({fmt::format("{} blocks catch", n)});
  for (const PlanRow& row : plan.rows) {
    std::vector<std::string> cells{EscapedName(row.name), fmt::format("{}", row.estimate.blocks),
                                   fmt::format("{:.2f}", 100 * row.estimate.sigma)};
    for (const int n : kPlannedBlocks) {
      cells.push_back(SignedPercent(SmallestCaught(row.estimate.sigma, n, rule)));
    }
    table.rows.push_back(std::move(cells));
  }
  return table;
}

nlohmann::json ToJson(const Plan& plan, const GateSettings& settings) {
  const GateRule& rule = settings.rule;
  nlohmann::json rows = nlohmann::json::array();
  for (const PlanRow& row : plan.rows) {
    nlohmann::json catches = nlohmann::json::object();
    for (const int n : kPlannedBlocks) {
      catches[fmt::format("{}", n)] = SmallestCaught(row.estimate.sigma, n, rule);
    }
    rows.push_back({{"name", row.name},
                    {"blocks", row.estimate.blocks},
                    {"sigma", row.estimate.sigma},
                    {"smallest_caught", std::move(catches)}});
  }
  return {{"binary", settings.baseline},
          {"seconds", plan.seconds},
          {"seed", settings.seed},
          {"budget", rule.budget},
          {"power", rule.power},
          {"moved_sentinel", plan.moved_sentinel ? nlohmann::json(*plan.moved_sentinel) : nullptr},
          {"rows", std::move(rows)}};
}

void PrintPlan(const Plan& plan, const GateSettings& settings, Format format, std::ostream& out,
               std::ostream& err) {
  const GateRule& rule = settings.rule;
  PrintNote(out, fmt::format("{}\n{} against itself, {:.0f} s, seed {}", OneLine(DescribeMachine()),
                             settings.baseline, plan.seconds, settings.seed));
  out << '\n' << Drawn(PlanTable(plan, rule), format, out) << '\n';
  PrintNote(out,
            fmt::format("sigma: standard deviation of one block's B/A. The last columns: the "
                        "smallest slowdown that so many blocks put beyond a budget of {:+.4g} % "
                        "with {:.0f} % power.",
                        100 * rule.budget, 100 * rule.power));
  if (plan.rows.front().estimate.blocks < 8) {
    PrintNote(out,
              fmt::format("sigma rests on {} blocks: give it more --plan-seconds, or fewer rows",
                          plan.rows.front().estimate.blocks));
  }
  if (plan.moved_sentinel) {
    PrintNote(
        out, fmt::format("disturbed: the FMA sentinel's own B/A was {:.3f}", *plan.moved_sentinel));
  }
  if (format == Format::kTable) {
    PrintNext(err, "'flopledger gate --baseline OLD --candidate NEW'");
  }
}

int RunThePlan(GateSettings settings, const GateOptions& options, Progress& progress,
               std::ostream& out, std::ostream& err) {
  if (!(options.plan_seconds > 0)) throw InputError("--plan-seconds must be above 0");
  if (settings.baseline.empty()) PlanWithOurOwn(settings);
  settings.candidate = settings.baseline;
  CheckGateSettings(settings);
  const Plan plan = RunPlan(settings, options.plan_seconds, progress);
  switch (const Format format = ParseFormat(options.format)) {
    case Format::kJson: out << Dumped(ToJson(plan, settings)); break;
    case Format::kCsv: out << PlanTable(plan, settings.rule).ToCsv(); break;
    default: PrintPlan(plan, settings, format, out, err);
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
  ParseFormat(options.format);
  CheckBinaries(options);
  GateSettings settings = MakeGateSettings(options);
  settings.baseline = options.baseline;
  settings.candidate = options.candidate;
  settings.time_identical = options.time_identical;
  const bool on_terminal = &err == &std::cerr && isatty(STDERR_FILENO) != 0;
  Progress progress(err, on_terminal, kProgressInterval);
  const InterruptGuard guard(/*second_ends_program=*/false);
  if (options.plan) return RunThePlan(settings, options, progress, out, err);
  const GateReport report = BuildAndGate(options, settings, progress, err);
  WriteOutputs(options, report, out, err);
  return options.bisect_exit ? BisectExitOf(report.decision) : ExitCodeOf(report.decision);
}

void AddGateOutputs(CLI::App* command, GateOptions& options) {
  command->add_option(
      "--profile", options.profile,
      "run rows that fail once more under 'perf record', and leave folded stacks in "
      "this folder");
  command
      ->add_option(
          "--json", options.json,
          "the verdict, with every run; of all four '-' is standard output, in place of the text")
      ->capture_default_str();
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
  AddFormat(command, options->format);
  command->footer(
      "Examples:\n"
      "  flopledger gate --baseline old/bench_forward --candidate build/bench_forward --quick\n"
      "  flopledger gate --baseline-ref main --target bench_forward -- --model gpt2 --layers 1\n"
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
