#include <fmt/format.h>
#include <fmt/ostream.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "analysis/report/report.h"
#include "analysis/text/figure.h"
#include "analysis/text/table.h"
#include "bench/calibration/calibration_file.h"
#include "bench/cli/benchmark_flags.h"
#include "bench/cli/cli.h"
#include "bench/cli/commands.h"
#include "bench/cli/options.h"
#include "bench/cli/run_output.h"
#include "bench/cli/run_plan.h"
#include "bench/cli/terminal.h"
#include "bench/counting/counting.h"
#include "bench/machine/files.h"
#include "bench/machine/interrupt.h"
#include "bench/machine/machine.h"
#include "bench/machine/pinning.h"
#include "bench/run/decode.h"
#include "bench/run/run.h"
#include "model/checked.h"
#include "model/input_error.h"
#include "model/runnable.h"

namespace flopledger {
namespace {

// Two layers' weights may stay in the last cache from one pass to the next.
constexpr int64_t kSampleLayers = 3;
constexpr char kSampleRepetitions[] = "--benchmark_repetitions=15";

/// The calibration asked for; else the user's own, where it is there and holds; else null, and
/// `why_not` says why.
std::shared_ptr<const Calibration> FindCalibration(const std::string& path, std::string& why_not) {
  try {
    return std::make_shared<const Calibration>(RequireCalibration(path));
  } catch (const std::runtime_error& error) {
    if (!path.empty()) throw;
    why_not = error.what();
    return nullptr;
  }
}

/// --max-memory as bytes; nothing where it is empty.
std::optional<int64_t> MaxMemory(const std::string& text) {
  if (text.empty()) return std::nullopt;
  const Figure figure = ParseFigure(text, Unit::kBytes, "--max-memory");
  return static_cast<int64_t>(figure.value.convert_to<double>());
}

RunSettings MakeSettings(const RunOptions& options, WorkloadOptions workload) {
  if (options.decode > 0 && !workload.context) {  // room for what is decoded
    const int64_t length = LoadModel(workload.model).context_length;
    workload.context = std::max<int64_t>(1, length - options.decode);
  }
  RunSettings settings = ParseWorkload(workload);
  CheckComputed(settings.model, "run");
  settings.team = options.team;
  CheckRanks(settings.model, settings.shard().ranks);
  settings.decode = options.decode;
  ValidateRunShape(settings.model, CheckedAdd(settings.context, settings.decode), settings.batch);
  if (options.sample && !settings.layers) {
    settings.layers = std::min(kSampleLayers, settings.model.num_layers);
  }
  settings.convention = ParseConvention(options.convention);
  if (settings.convention == Convention::kRuleOfThumb) {
    throw InputError("the rule of thumb has no figure for single operations; 'account' prints it");
  }
  settings.count = ParseCountMode(options.count);
  if (options.counters != "auto" && options.counters != "off") {
    throw InputError(fmt::format("unknown counters '{}'{}", options.counters,
                                 Suggest(options.counters, {"auto", "off"})));
  }
  settings.counters = options.counters == "auto";
  settings.seed = options.seed;
  settings.trace = !options.trace.empty();
  settings.warm_up = options.warm_up;
  settings.max_memory_bytes = MaxMemory(options.max_memory);
  return settings;
}

/// The files that the ledger goes to.
struct Outputs {
  std::vector<std::string> csv, json, html, trace;

  void Write(const Ledger& ledger) const {
    for (const std::string& path : csv) WriteWhole(path, ToCsv(ledger));
    for (const std::string& path : json) WriteWhole(path, ToJson(ledger).dump(1) + "\n");
    for (const std::string& path : html) {
      const NamedLedger named{std::filesystem::path(path).filename().string(), ledger};
      WriteWhole(path, ToHtml({&named, 1}));
    }
  }
};

Outputs PrepareOutputs(const RunOptions& options, const RunSettings& settings) {
  Outputs outputs;
  if (!options.csv.empty()) outputs.csv.push_back(options.csv);
  if (!options.json.empty()) outputs.json.push_back(options.json);
  if (!options.results.empty()) {
    std::error_code error;
    std::filesystem::create_directories(options.results, error);
    if (error) {
      throw InputError(fmt::format("{}: cannot be made: {}", options.results, error.message()));
    }
    const std::time_t now = std::time(nullptr);
    char stamp[32];
    std::strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", std::gmtime(&now));
    std::string name = settings.model.name;  // of a file, whatever the model calls itself
    std::ranges::replace(name, '/', '_');
    const std::string base = fmt::format("{}/{}-{}", options.results, name, stamp);
    outputs.csv.push_back(base + ".csv");
    outputs.json.push_back(base + ".json");
    outputs.html.push_back(base + ".html");
  }
  if (!options.trace.empty()) outputs.trace.push_back(options.trace);
  for (const auto& paths : {outputs.csv, outputs.json, outputs.html, outputs.trace}) {
    for (const std::string& path : paths) CheckWritable(path);
  }
  return outputs;
}

void WriteTrace(const Outputs& outputs, const RunResult& result, std::ostream& err) {
  if (result.trace.slices.empty()) return;
  for (const std::string& path : outputs.trace) {
    WriteWhole(path, ToChromeTrace(result.trace, result.ledger.rows.front().run_id));
    fmt::print(err, "flopledger: wrote {}{}\n", path,
               HasThreadSpans() ? ""
                                : " (the main thread's slices only: of this build's OpenMP the "
                                  "others are not seen)");
  }
}

/// One layer under the instruction counter: it times nothing, so there is no ledger.
int CountInstructions(const RunOptions& options, std::ostream& out, std::ostream& err) {
  if (!options.csv.empty() || !options.json.empty() || !options.trace.empty() ||
      !options.results.empty()) {
    throw InputError(
        "--count instructions times nothing, so it leaves no ledger; 'count-instructions --format "
        "json' gives its figures");
  }
  CountInstructionsOptions stepped;
  stepped.model = options.workload.model;
  stepped.context = PointsOf(options.workload, options.sweep).front().context;
  stepped.matmul = options.workload.matmul;
  stepped.attention = options.workload.attention;
  stepped.format = options.format;
  return RunCountInstructions(stepped, out, err);
}

/// The settings of every combination of --context, --batch, --threads and --matmul.
std::vector<RunSettings> SettingsOfPoints(const RunOptions& options) {
  std::vector<RunSettings> points;
  for (const WorkloadOptions& point : PointsOf(options.workload, options.sweep)) {
    points.push_back(MakeSettings(options, point));
  }
  if (points.size() > 1 && (!options.trace.empty() || options.decode > 0)) {
    throw InputError("--trace and --decode go with one --matmul, --context, --batch and --threads");
  }
  return points;
}

bool FitsWhole(const RunOptions& options) {
  try {
    return !PlanMemory(SettingsOfPoints(options)).cut_by_memory;
  } catch (const CannotMeasure&) {  // not one layer
    return false;
  }
}

/// The default model, or the largest of its family that fits in memory whole.
std::string ModelThatFits(RunOptions options, std::ostream& err) {
  const std::string wanted = options.workload.model;
  if (options.workload.layers || options.sample) return wanted;
  for (const char* model : {"gpt2-xl", "gpt2-large", "gpt2-medium", "gpt2"}) {
    options.workload.model = model;
    if (!FitsWhole(options)) continue;
    if (model != wanted) {
      fmt::print(err, "flopledger: no --model was given, and {} does not fit in memory: {} runs\n",
                 wanted, model);
    }
    return model;
  }
  return wanted;
}

/// Flags for Google Benchmark; later ones win.
std::vector<std::string> BenchmarkFlags(const RunOptions& options) {
  std::vector<std::string> flags;
  if (options.sample) flags.emplace_back(kSampleRepetitions);
  if (options.repetitions) {
    flags.push_back(fmt::format("--benchmark_repetitions={}", *options.repetitions));
  }
  flags.insert(flags.end(), options.benchmark_flags.begin(), options.benchmark_flags.end());
  return flags;
}

bool OnlyMatmulDiffers(const std::vector<RunSettings>& points) {
  return std::ranges::all_of(points, [&](const RunSettings& point) {
    const RunSettings& first = points.front();
    return point.context == first.context && point.batch == first.batch &&
           point.threads == first.threads;
  });
}

/// The result, in the format that was asked for.
void PrintResult(const std::vector<RunSettings>& settings, const std::vector<RunResult>& results,
                 Format format, std::ostream& out) {
  const Ledger ledger = MergedLedger(results);
  const NamedLedger named{ledger.rows.front().model, ledger};
  switch (format) {
    case Format::kJson: out << ToJson(ledger).dump(1) << '\n'; break;
    case Format::kCsv: out << ToCsv(ledger); break;
    case Format::kMarkdown:
      out << ToMarkdown({&named, 1});
      if (const auto& decode = results.front().decode) {
        out << '\n' << DecodeTable(decode->figures).ToMarkdown() << '\n' << Sentence(*decode);
        out << '\n';
      }
      break;
    case Format::kTable:
      if (results.size() == 1) {
        PrintLedger(settings.front(), results.front(), out);
      } else if (OnlyMatmulDiffers(settings)) {
        PrintSideBySide(settings.front(), results, ledger, out);
      } else {
        PrintPoints(settings.front(), results, out);
      }
  }
}

/// What stands beside the result: why seconds are not predicted, and the files that were written.
void PrintBeside(const Outputs& outputs, const std::string& why_unpredicted, std::ostream& err) {
  if (!why_unpredicted.empty()) {
    PrintNote(err, "flopledger: seconds are not predicted: " + OneLine(why_unpredicted));
  }
  for (const auto& paths : {outputs.csv, outputs.json, outputs.html}) {
    for (const std::string& path : paths) fmt::print(err, "flopledger: wrote {}\n", path);
  }
}

constexpr char kPlainest[] = "'--matmul reference', the plainest kernel";

/// What to call after this run.
std::string NextAfter(const Outputs& outputs, const RunSettings& settings, int code) {
  if (code != kDone) return "the same again while this machine does nothing else";
  if (!settings.calibration) {
    return "'flopledger calibrate' (two minutes); then seconds are predicted beside the measured";
  }
  if (!outputs.html.empty()) return fmt::format("the page, {}, in a browser", outputs.html.front());
  const bool saved = !outputs.json.empty();
  return fmt::format("{}'flopledger report {} --out run.html' draws the page",
                     saved ? "" : "with '--json run.json', ",
                     saved ? outputs.json.front() : "run.json");
}

/// kCheckFailed, and a line for each, where a backend's result was wrong.
int PrintFailures(const std::vector<RunResult>& results, const std::vector<RunSettings>& settings,
                  std::ostream& err) {
  int code = kDone;
  for (std::size_t i = 0; i < results.size(); ++i) {
    const auto say = [&](const char* what, const std::string& failure) {
      fmt::print(err, "flopledger: {} by matmul {} not timed, its result is wrong: {}\n", what,
                 settings[i].kernels.matmul->name, failure);
      code = kCheckFailed;
    };
    if (!results[i].verification.ok()) say("the pass", results[i].verification.first_failure);
    if (!results[i].decode_failure.empty()) say("decoding", results[i].decode_failure);
  }
  return code;
}

/// kCheckFailed, and a line for each, where a row is above the peak, which cannot be.
int PrintImpossible(const Ledger& ledger, std::ostream& err) {
  int code = kDone;
  for (const Record& row : ledger.rows) {
    if (row.pct_peak.value_or(0) <= 100) continue;
    fmt::print(err, "flopledger: {} by {}: {}\n", row.op, row.matmul, row.disturbed);
    code = kCheckFailed;
  }
  return code;
}

/// The exit code of a run that left no row: kDone where none was asked for. Throws for the rest.
int CodeOfNoRows(const RunOptions& options, bool was_interrupted) {
  if (was_interrupted) throw CannotMeasure("interrupted before a repetition had finished");
  const bool listed = std::ranges::any_of(options.benchmark_flags, [](const std::string& flag) {
    return flag.starts_with("--benchmark_list_tests");
  });
  if (listed) return kDone;
  throw InputError(
      "nothing was run: --benchmark_filter matches no benchmark, or is no regular expression");
}

/// "--csv -" and "--json -" print the ledger in place of the table. Throws InputError where both
/// do.
void TakeStandardOutput(RunOptions& options) {
  if (options.csv == "-" && options.json == "-") {
    throw InputError("--csv - and --json - do not go together: both are standard output");
  }
  if (options.trace == "-") throw InputError("--trace - : the trace goes to a file");
  const auto take = [&](std::string& path, const char* format) {
    if (path != "-") return;
    options.format = format;
    path.clear();
  };
  take(options.csv, "csv");
  take(options.json, "json");
}

/// What is measured, and with what.
void AddMeasurement(CLI::App* command, RunOptions& options) {
  command
      ->add_option("--count", options.count,
                   "measure executed FLOPs by an exact, untimed counting run: off; sample (small "
                   "shapes, to confirm the formulas); full (this very shape; kept for next time); "
                   "auto (full where it takes at most a minute and no trusted hardware counter "
                   "gives them; else sample); instructions (times nothing: one layer as "
                   "'count-instructions --model' does)")
      ->capture_default_str();
  command
      ->add_option("--counters", options.counters,
                   "hardware counters, read in a pass of its own after those that are timed: auto "
                   "(where the machine has them; see 'flopledger doctor'); off")
      ->capture_default_str();
  command->add_flag("--sample", options.sample,
                    "measure three layers, and what is outside of the layers, fifteen times, and "
                    "extrapolate to the whole pass, with an interval");
  AddCalibration(command, options.calibration);
  AtLeast(0, command->add_option("--seed", options.seed, "the seed of the weights"))
      ->capture_default_str();
  AtLeast(1, command->add_option("-r,--repetitions", options.repetitions,
                                 "how often the pass is timed; default: 3"));
  AtLeast(1, command->add_option("--warmup", options.warm_up,
                                 "passes before those that are timed; the first is verified, so "
                                 "there is always one"))
      ->capture_default_str();
  command->add_option("--max-memory", options.max_memory,
                      "take at most this much, e.g. 8GiB or 1.5GB; default: what is available");
  AtLeast(1, command->add_option("-n,--decode", options.decode,
                                 "then decode this many tokens, one at a time, with a key/value "
                                 "cache: tokens/s and the share of the memory's bandwidth"));
  command->add_flag("--dry-run", options.dry_run,
                    "only say what would run, the memory that it needs, and how long it takes");
}

void AddOutputs(CLI::App* command, RunOptions& options) {
  command->add_option("--csv", options.csv,
                      "write the ledger here as CSV; '-': to standard output");
  command->add_option("--json", options.json,
                      "write the ledger here as JSON, with every sample; '-': to standard output");
  command->add_option("--trace", options.trace,
                      "write a Chrome trace here (for Perfetto or speedscope): a slice for each "
                      "layer, operation and thread's share, of one more pass after those timed");
  command->add_option("--results", options.results,
                      "write <model>-<time>.csv, .json and .html into this folder");
}

}  // namespace

int RunRun(const RunOptions& asked, std::ostream& out, std::ostream& err) {
  RunOptions options = asked;
  TakeStandardOutput(options);
  const Format format = ParseFormat(options.format);
  const ThreadPinning pinning(ParsePin(options.workload.pin));
  if (options.count == "instructions") return CountInstructions(options, out, err);
  if (!options.model_given) options.workload.model = ModelThatFits(options, err);
  std::vector<RunSettings> side_by_side = SettingsOfPoints(options);
  std::string why_unpredicted;
  const auto calibration = FindCalibration(options.calibration, why_unpredicted);
  for (RunSettings& each : side_by_side) each.calibration = calibration;
  const std::vector<std::string> flags = BenchmarkFlags(options);
  CheckBenchmarkFlags(flags);
  const MemoryPlan plan = PlanMemory(side_by_side);
  const std::string plan_text = PlanText(side_by_side, plan, RepetitionsOf(flags), WidthOf(out));
  if (options.dry_run) {
    out << plan_text;
    PrintNext(err, "the same without --dry-run");
    return kDone;
  }
  if (options.team != nullptr && !options.team->leads()) {
    const IgnoredInterrupts first_rank_decides;
    RunUnderGoogleBenchmark({side_by_side, plan, flags}, err, false, {});
    return kDone;
  }
  const Outputs outputs = PrepareOutputs(options, side_by_side.front());
  PrintLeftOut(options.workload.matmul, err);
  const bool on_terminal = &err == &std::cerr && isatty(STDERR_FILENO) != 0;
  if (on_terminal || !options.model_given || plan.cut_by_memory) err << plan_text << std::flush;
  const InterruptGuard guard;
  const std::vector<RunResult> results =
      RunUnderGoogleBenchmark({side_by_side, plan, flags, RepetitionsOf(flags)}, err, on_terminal,
                              [&](const Ledger& ledger) { outputs.Write(ledger); });
  const int failures = PrintFailures(results, side_by_side, err);
  int code = failures;
  const bool was_interrupted = results.front().was_interrupted;
  const Ledger ledger = MergedLedger(results);
  if (ledger.rows.empty()) {
    if (code == kDone) return CodeOfNoRows(options, was_interrupted);
    PrintNext(err, kPlainest);
    return code;
  }
  outputs.Write(ledger);
  code = std::max(code, PrintImpossible(ledger, err));
  PrintResult(side_by_side, results, format, out);
  PrintBeside(outputs, why_unpredicted, err);
  WriteTrace(outputs, results.front(), err);
  if (format == Format::kTable && !was_interrupted) {
    PrintNext(err, failures != kDone ? kPlainest : NextAfter(outputs, side_by_side.front(), code));
  }
  if (was_interrupted) {
    std::size_t finished = 0;
    for (const RunResult& result : results) finished += result.trials.size();
    throw CannotMeasure(
        fmt::format("interrupted: the ledger holds the {} repetition{} that finished", finished,
                    Plural(static_cast<int64_t>(finished))));
  }
  return code;
}

void AddRun(CLI::App& app, Session& session) {
  const auto options = std::make_shared<RunOptions>();
  CLI::App* command = app.add_subcommand(
      "run",
      "Runs the forward pass with seeded weights under Google Benchmark and prints the "
      "ledger: every operation predicted and timed, beside the machine's FMA peak.");
  AddModel(command, options->workload.model);
  command->add_option("-p,--context", options->sweep.context,
                      "positions in each sequence, or a list: 64,128 or 128:1024:x2; default: the "
                      "model's context_length");
  command->add_option("--batch", options->sweep.batch, "sequences, or a list")
      ->capture_default_str();
  command->add_option("--layers", options->workload.layers,
                      "run only the first N layers; default: all, or as many as fit in memory");
  command->add_option("-t,--threads", options->sweep.threads,
                      "OpenMP threads, or a list; default: one for each physical performance core "
                      "that may be used");
  AddPin(command, options->workload.pin);
  command
      ->add_option("--matmul", options->workload.matmul,
                   MatmulHelp() +
                       "; all (all but reference and packed-fused, side by side: repetitions "
                       "interleaved, one table); or a list")
      ->capture_default_str();
  AddAttention(command, options->workload.attention);
  command->add_option("--convention", options->convention, ConventionHelp())->capture_default_str();
  AddMeasurement(command, *options);
  AddOutputs(command, *options);
  AddFormat(command, options->format);
  command->footer(
      "Examples:\n"
      "  flopledger run -m gpt2 --layers 1 -p 128\n"
      "  flopledger run -m gpt2-xl --sample --results results\n"
      "  flopledger run -m gpt2 --layers 1 -t 1,2 -p 64:512:x2\n"
      "  flopledger run -m gpt2 --matmul all -r 5 --format json --out gpt2.json\n\n"
      "Flags of Google Benchmark are passed on: --benchmark_repetitions=N (default 3),\n"
      "--benchmark_min_time=S, --benchmark_filter=RE, --benchmark_out=FILE, …\n"
      "A run that is interrupted (Ctrl-C) still reports the repetitions that it finished.");
  command->final_callback([options, command, &session] {
    options->model_given = command->get_option("--model")->count() > 0;
    session.run = [options, &session] {
      options->benchmark_flags = session.benchmark_flags;
      options->team = session.team;
      return RunRun(*options, session.out, session.err);
    };
  });
}

}  // namespace flopledger
