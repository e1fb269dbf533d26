#include <fmt/format.h>
#include <fmt/ostream.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <span>

#include "analysis/report/report.h"
#include "analysis/report/side_by_side.h"
#include "analysis/text/stats.h"
#include "analysis/text/table.h"
#include "bench/calibration/calibration_file.h"
#include "bench/cli/cli.h"
#include "bench/cli/commands.h"
#include "bench/counting/counting.h"
#include "bench/machine/files.h"
#include "bench/machine/interrupt.h"
#include "bench/machine/machine.h"
#include "bench/run/decode.h"
#include "bench/run/predictions.h"
#include "bench/run/run.h"
#include "kernels/matmul_library.h"
#include "model/checked.h"
#include "model/input_error.h"

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

RunSettings MakeSettings(const RunOptions& options, const std::string& matmul) {
  WorkloadOptions workload = options.workload;
  workload.matmul = matmul;
  if (options.decode > 0 && !workload.context) {  // room for what is decoded
    const int64_t length = LoadModel(workload.model).context_length;
    workload.context = std::max<int64_t>(1, length - options.decode);
  }
  RunSettings settings = ParseWorkload(workload);
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
  if (options.max_memory) settings.max_memory_bytes = static_cast<int64_t>(*options.max_memory);
  return settings;
}

/// The files that the ledger goes to.
struct Outputs {
  std::vector<std::string> csv, json, html, trace;

  void Write(const Ledger& ledger) const {
    for (const std::string& path : csv) WriteWhole(path, ToCsv(ledger.rows));
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

std::string OrBlank(const std::optional<double>& value, int digits) {
  return value ? fmt::format("{:.{}f}", *value, digits) : "";
}
std::string Milliseconds(const std::optional<double>& seconds) {
  return seconds ? fmt::format("{:.3f}", *seconds * 1e3) : "";
}
std::string OrBlank(const std::optional<int64_t>& value) { return value ? Grouped(*value) : ""; }

Table TimeTable(const Ledger& ledger) {
  const std::string& convention = ledger.rows.front().convention;
  Table table{{{"operation", false},
               {"m"},
               {"n"},
               {"k"},
               {"count"},
               {fmt::format("FLOPs ({})", convention)},
               {"ms"},
               {"MAD ms"},
               {"% of pass"},
               {"predicted ms"},
               {"measured/predicted"},
               {"bound", false},
               {"GFLOP/s"},
               {"% of peak"},
               {"MFU %"},
               {"FLOPs/byte"}},
              {}};
  const auto total = std::ranges::find(ledger.rows, "total", &Record::op);
  for (const Record& row : ledger.rows) {
    const bool in_pass = row.kind != "extrapolated";
    table.rows.push_back({row.op, OrBlank(row.m), OrBlank(row.n), OrBlank(row.k),
                          OrBlank(row.count), OrBlank(row.predicted_flops),
                          Milliseconds(row.time_s), Milliseconds(row.time_mad_s),
                          in_pass ? fmt::format("{:.2f}", 100 * *row.time_s / *total->time_s) : "",
                          Milliseconds(row.predicted_time_s), OrBlank(row.time_ratio, 3), row.bound,
                          OrBlank(row.gflops, 1), OrBlank(row.pct_peak, 1), OrBlank(row.mfu_pct, 1),
                          OrBlank(row.intensity, 1)});
  }
  return table;
}

/// Predicted, executed and measured side by side, and why they differ.
Table FlopsTable(const RunSettings& settings, const Ledger& ledger) {
  Table table{{{"operation", false},
               {fmt::format("FLOPs ({})", ledger.rows.front().convention)},
               {"executed"},
               {"measured"},
               {"source", false},
               {"measured/predicted"},
               {"why executed differs", false}},
              {}};
  const KernelFacts facts = FactsOf(settings.kernels);
  const std::vector<Op> ops = ForwardOps(settings.model, settings.OneLayer());
  for (const Record& row : ledger.rows) {
    if (row.kind == "extrapolated") continue;
    const auto op = std::ranges::find(ops, row.op, &Op::name);
    table.rows.push_back({row.op, OrBlank(row.predicted_flops), OrBlank(row.executed_flops),
                          OrBlank(row.measured_flops), row.flops_source,
                          OrBlank(row.flops_ratio, 6),
                          op == ops.end() ? "" : ExecutedNote(settings.model, *op, facts)});
  }
  return table;
}

/// What was measured and no formula explains, or why nothing was measured.
void PrintResidual(const Ledger& ledger, std::ostream& out) {
  const Record& total = *std::ranges::find(ledger.rows, "total", &Record::op);
  if (total.measured_flops && total.executed_flops) {
    const int64_t residual = *total.measured_flops - *total.executed_flops;
    fmt::print(out, "unexplained residual (measured - executed): {} FLOPs, {:.6f} %\n\n",
               Grouped(residual),
               100 * static_cast<double>(residual) / static_cast<double>(*total.executed_flops));
  } else {
    fmt::print(out, "measured FLOPs: unavailable: {}\n\n", total.flops_note);
  }
}

std::string WhatRan(const RunSettings& settings, const MemoryPlan& plan) {
  return fmt::format("{}: context {}, batch {}, {} of {} layers, {} thread{}", settings.model.name,
                     Grouped(settings.context), settings.batch, plan.layers,
                     settings.model.num_layers, settings.threads, settings.threads == 1 ? "" : "s");
}

/// The machine, the build, and the libraries that ran.
void PrintEnvironment(const Ledger& ledger, std::ostream& out) {
  fmt::print(out, "{}\n", OneLine(ledger.environment));
  for (const LibraryFacts& library : ledger.environment.libraries) {
    fmt::print(out, "{}: {}, {}\n", library.matmul, library.version, library.path);
  }
}

/// What the whole model would take, by each backend.
void PrintExtrapolated(const RunSettings& settings, std::span<const RunResult> results,
                       std::ostream& out) {
  const int64_t layers = results.front().plan.layers;
  if (layers == settings.model.num_layers) return;
  fmt::print(out,
             "total_extrapolated is not measured: it assumes that the other {} layers run like "
             "the {} that ran\n",
             settings.model.num_layers - layers, layers);
  for (const RunResult& result : results) {
    if (result.trials.size() < 2) continue;
    const Extrapolation& whole = *result.extrapolated;
    fmt::print(out,
               "{}, {}, extrapolated to {} layers: {:.4g} s, one pass lies in [{:.4g}, {:.4g}] "
               "({:.0f} %, Student's t; {} repetitions scaled to their median peak)\n",
               settings.model.name, result.ledger.rows.front().matmul, settings.model.num_layers,
               whole.seconds, whole.lower, whole.upper, 100 * kExtrapolationConfidence,
               result.trials.size());
  }
}

/// Several backends: what each took for every operation, and its share of the peak.
void PrintSideBySide(const RunSettings& settings, std::span<const RunResult> results,
                     const Ledger& ledger, std::ostream& out) {
  fmt::print(out, "{}, attention {}\n", WhatRan(settings, results.front().plan),
             NameOf(settings.kernels.attention));
  PrintEnvironment(ledger, out);
  fmt::print(out,
             "repetitions interleaved at random, each verified before it was timed, between two "
             "measurements of the FMA peak\n\n");
  out << SideBySide(ledger.rows, "milliseconds (medians)", &Record::time_s, 1e3, 3).ToText()
      << '\n';
  out << SideBySide(ledger.rows, "% of FMA peak (executed FLOPs; medians of ratios)",
                    &Record::pct_peak, 1, 1)
             .ToText();
  PrintExtrapolated(settings, results, out);
}

/// What the predicted seconds stand on.
void PrintPredicted(const RunSettings& settings, const RunResult& result, std::ostream& out) {
  if (!settings.calibration) return;
  const Calibration& calibration = *settings.calibration;
  const MachineSpeed then = CalibratedSpeed(calibration, settings.threads);
  const MachineSpeed now = SpeedAround(result.trials, calibration, settings.threads);
  fmt::print(out,
             "predicted seconds: calibration of {}, scaled to the FMA peak ({:+.1f} %), the "
             "reference GEMM ({:+.1f} %) and the memory bandwidth ({:+.1f} %) around this run\n",
             calibration.taken, 100 * (now.peak_flops_per_s / then.peak_flops_per_s - 1),
             100 * (now.product_flops_per_s / then.product_flops_per_s - 1),
             100 * (now.read_bytes_per_s / then.read_bytes_per_s - 1));
  if (!result.unpredicted_because.empty()) {
    fmt::print(out, "some are unavailable: {}\n", result.unpredicted_because);
  }
}

void PrintLedger(const RunSettings& settings, const RunResult& result, std::ostream& out) {
  const Ledger& ledger = result.ledger;
  fmt::print(out, "{}, matmul {}, attention {}\n", WhatRan(settings, result.plan),
             settings.kernels.matmul->name, NameOf(settings.kernels.attention));
  PrintEnvironment(ledger, out);
  fmt::print(out,
             "{} repetition{}; verified before timing: {} outputs, worst error {:.2f} of its "
             "bound ({})\n",
             result.trials.size(), result.trials.size() == 1 ? "" : "s",
             Grouped(result.verification.checked), result.verification.worst_ratio,
             result.verification.worst_op);
  fmt::print(out, "start-up: {:.2f} s to take the memory and to fill the weights{}\n\n",
             result.start_up_s, settings.kernels.matmul->packs_weights ? ", packed" : "");
  out << TimeTable(ledger).ToText() << '\n';
  out << FlopsTable(settings, ledger).ToText();
  PrintResidual(ledger, out);

  if (const auto& counters = ledger.environment.counters) {
    fmt::print(out, "{}\n", Summary(*counters));
  }
  std::vector<double> before, after, covered;
  for (const Trial& trial : result.trials) {
    before.push_back(trial.peak_before_flops_per_s / 1e9);
    after.push_back(trial.peak_after_flops_per_s / 1e9);
    double ops = 0;
    for (const double seconds : trial.op_s) ops += seconds;
    covered.push_back(100 * ops / trial.pass_s);
  }
  int64_t executions = 0;
  ForEachExecution(ForwardOps(settings.model, settings.OneLayer()), result.plan.layers,
                   [&](const Op&, int64_t) { ++executions; });
  const double observer_s = result.observer_s * static_cast<double>(executions);
  fmt::print(out, "FMA peak of {} thread{}: {:.1f} GFLOP/s before, {:.1f} after (medians)\n",
             settings.threads, settings.threads == 1 ? "" : "s", Median(before), Median(after));
  fmt::print(out,
             "the operations cover {:.2f} % of the pass; timing one costs {:.0f} ns, all {} "
             "of them {:.4f} % of the pass\n",
             Median(covered), result.observer_s * 1e9, Grouped(executions),
             100 * observer_s / *std::ranges::find(ledger.rows, "total", &Record::op)->time_s);
  PrintPredicted(settings, result, out);
  PrintExtrapolated(settings, {&result, 1}, out);
  if (result.decode) PrintDecode(*result.decode, out);
}

void WriteTrace(const Outputs& outputs, const RunResult& result, std::ostream& err) {
  if (result.trace.empty()) return;
  for (const std::string& path : outputs.trace) {
    WriteWhole(path, ToChromeTrace(result.trace, result.ledger.rows.front().run_id));
    fmt::print(err, "flopledger: wrote {}{}\n", path,
               HasThreadSpans() ? ""
                                : " (the main thread's slices only: of this build's OpenMP the "
                                  "others are not seen)");
  }
}

}  // namespace

int RunRun(const RunOptions& options, std::ostream& out, std::ostream& err) {
  if (options.count == "instructions") {
    if (!options.csv.empty() || !options.json.empty() || !options.trace.empty() ||
        !options.results.empty()) {
      throw InputError(
          "--count instructions times nothing, so it leaves no ledger; 'count-instructions "
          "--format "
          "json' gives its figures");
    }
    CountInstructionsOptions stepped;
    stepped.model = options.workload.model;
    stepped.context = options.workload.context;
    stepped.matmul = options.workload.matmul;
    stepped.attention = options.workload.attention;
    return RunCountInstructions(stepped, out, err);
  }
  std::vector<RunSettings> side_by_side;
  for (const std::string& matmul : MatmulsNamed(options.workload.matmul, err)) {
    side_by_side.push_back(MakeSettings(options, matmul));
  }
  if (side_by_side.size() > 1 && (!options.trace.empty() || options.decode > 0)) {
    throw InputError("--trace and --decode go with one --matmul");
  }
  std::string why_unpredicted;
  const auto calibration = FindCalibration(options.calibration, why_unpredicted);
  for (RunSettings& each : side_by_side) each.calibration = calibration;
  const RunSettings& settings = side_by_side.front();
  const Outputs outputs = PrepareOutputs(options, settings);
  const bool on_terminal = &err == &std::cerr && isatty(STDERR_FILENO) != 0;
  const InterruptGuard guard;
  const MemoryPlan plan = PlanMemory(side_by_side);
  if (plan.cut_by_memory) {
    fmt::print(err,
               "flopledger: the whole of {} needs {}, and {} is available: running {} of its {} "
               "layers\n",
               settings.model.name, HumanBytes(plan.whole_bytes), HumanBytes(*plan.available_bytes),
               plan.layers, settings.model.num_layers);
  }
  std::vector<std::string> flags = options.benchmark_flags;
  if (options.sample) flags.insert(flags.begin(), kSampleRepetitions);
  const std::vector<RunResult> results =
      RunUnderGoogleBenchmark({side_by_side, plan, flags}, err, on_terminal,
                              [&](const Ledger& ledger) { outputs.Write(ledger); });
  int code = kDone;
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (results[i].verification.ok()) continue;
    fmt::print(err, "flopledger: matmul {} not timed, its result is wrong: {}\n",
               side_by_side[i].kernels.matmul->name, results[i].verification.first_failure);
    code = kCheckFailed;
  }
  const Ledger ledger = MergedLedger(results);
  const bool was_interrupted = results.front().was_interrupted;
  if (ledger.rows.empty()) {
    if (code != kDone) return code;
    if (was_interrupted) throw CannotMeasure("interrupted before a repetition had finished");
    const bool listed = std::ranges::any_of(options.benchmark_flags, [](const std::string& flag) {
      return flag.starts_with("--benchmark_list_tests");
    });
    if (listed) return kDone;
    throw InputError("nothing was run: --benchmark_filter matches no benchmark");
  }
  outputs.Write(ledger);
  for (const Record& row : ledger.rows) {
    if (row.pct_peak.value_or(0) <= 100) continue;
    fmt::print(err, "flopledger: {} by {}: {}\n", row.op, row.matmul, row.disturbed);
    code = kCheckFailed;
  }
  if (results.size() == 1) {
    PrintLedger(settings, results.front(), out);
  } else {
    PrintSideBySide(settings, results, ledger, out);
  }
  if (!why_unpredicted.empty()) {
    fmt::print(err, "flopledger: seconds are not predicted: {}\n", OneLine(why_unpredicted));
  }
  for (const auto& paths : {outputs.csv, outputs.json, outputs.html}) {
    for (const std::string& path : paths) fmt::print(err, "flopledger: wrote {}\n", path);
  }
  WriteTrace(outputs, results.front(), err);
  if (was_interrupted) {
    std::size_t finished = 0;
    for (const RunResult& result : results) finished += result.trials.size();
    throw CannotMeasure(
        fmt::format("interrupted: the ledger holds the {} repetitions that finished", finished));
  }
  return code;
}

}  // namespace flopledger
