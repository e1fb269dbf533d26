// What `run` prints of its ledger.
#include "bench/cli/run_output.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "analysis/report/side_by_side.h"
#include "analysis/text/stats.h"
#include "analysis/text/table.h"
#include "bench/calibration/calibration_file.h"
#include "bench/cli/terminal.h"
#include "bench/machine/machine.h"
#include "bench/run/decode.h"
#include "bench/run/predictions.h"
#include "kernels/matmul_library.h"
#include "model/all_reduce.h"
#include "model/checked.h"

namespace flopledger {
namespace {

/// "1,024×4,800×1,600", or what there is of it.
std::string Shape(const Record& row) {
  std::string shape;
  for (const auto& size : {row.m, row.n, row.k}) {
    if (size) shape += (shape.empty() ? "" : "×") + Grouped(*size);
  }
  return shape;
}

Table TimeTable(const Ledger& ledger) {
  Table table{{{"operation", false},
               {"shape"},
               {"count", true, 6},
               {"ms"},
               {"± MAD"},
               {"% of pass"},
               {"GFLOP/s"},
               {"% of peak"},
               {"MFU %", true, 4},
               {"FLOPs meas./ pred.", true, 2},
               {"predicted ms", true, 4},
               {"seconds meas./ pred.", true, 1},
               {"bound", false, 3},
               {"FLOPs /byte", true, 5}},
              {}};
  const auto total = std::ranges::find(ledger.rows, "total", &Record::op);
  for (const Record& row : ledger.rows) {
    const bool in_pass = row.kind != "extrapolated";
    table.rows.push_back({row.op, Shape(row), OrBlank(row.count), Milliseconds(row.time_s),
                          Milliseconds(row.time_mad_s),
                          in_pass ? fmt::format("{:.1f}", 100 * *row.time_s / *total->time_s) : "",
                          OrBlank(row.gflops, 1), OrBlank(row.pct_peak, 1), OrBlank(row.mfu_pct, 1),
                          OrBlank(row.flops_ratio, 4), Milliseconds(row.predicted_time_s),
                          OrBlank(row.time_ratio, 3), row.bound, OrBlank(row.intensity, 1)});
  }
  return table;
}

/// Predicted, executed and measured side by side.
Table FlopsTable(const Ledger& ledger) {
  Table table{{{"operation", false},
               {fmt::format("FLOPs ({})", ledger.rows.front().convention)},
               {"executed"},
               {"measured"},
               {"source", false, 2},
               {"measured/predicted", true, 1}},
              {}};
  for (const Record& row : ledger.rows) {
    if (row.kind == "extrapolated") continue;
    table.rows.push_back({row.op, OrBlank(row.predicted_flops), OrBlank(row.executed_flops),
                          OrBlank(row.measured_flops), row.flops_source,
                          OrBlank(row.flops_ratio, 6)});
  }
  return table;
}

/// Why what the kernels execute is not what the convention counts, by operation.
void PrintExecutedNotes(const RunSettings& settings, const Ledger& ledger, std::ostream& out) {
  const KernelFacts facts = FactsOf(settings.kernels);
  std::vector<std::pair<std::string, std::string>> notes;  // the note, the operations
  const ModelConfig model = settings.OwnModel();
  for (const Op& op : ForwardOps(model, settings.OneLayer())) {
    if (std::ranges::find(ledger.rows, op.name(), &Record::op) == ledger.rows.end()) continue;
    const std::string note = ExecutedNote(model, op, facts);
    if (note.empty()) continue;
    auto known = std::ranges::find(notes, note, &std::pair<std::string, std::string>::first);
    if (known == notes.end()) {
      notes.emplace_back(note, op.name());
    } else {
      known->second += fmt::format(", {}", op.name());
    }
  }
  for (const auto& [note, ops] : notes) {
    PrintNote(out, fmt::format("executed differs: {}: {}", ops, note));
  }
}

/// What was measured and no formula explains, or why nothing was measured.
void PrintResidual(const Ledger& ledger, std::ostream& out) {
  const Record& total = *std::ranges::find(ledger.rows, "total", &Record::op);
  if (total.measured_flops && total.executed_flops) {
    const int64_t residual = *total.measured_flops - *total.executed_flops;
    PrintNote(out, fmt::format("unexplained residual (measured - executed): {} FLOPs, {:.6f} %",
                               Grouped(residual),
                               100 * static_cast<double>(residual) /
                                   static_cast<double>(*total.executed_flops)));
    out << '\n';
  } else {
    PrintNote(out, fmt::format("measured FLOPs: unavailable: {}", total.flops_note));
    out << '\n';
  }
}

std::string WhatRan(const RunSettings& settings, const MemoryPlan& plan) {
  const int64_t ranks = settings.shard().ranks;
  return fmt::format("{}: context {}, batch {}, {} of {} layers, {}{} thread{}",
                     settings.model.name, Grouped(settings.context), settings.batch, plan.layers,
                     settings.model.num_layers, ranks > 1 ? fmt::format("{} ranks of ", ranks) : "",
                     settings.threads, settings.threads == 1 ? "" : "s");
}

}  // namespace

void PrintDisturbed(std::span<const RunResult> results, std::ostream& out) {
  std::vector<Disturbance> disturbed, replaced;
  std::size_t repetitions = 0, twice = 0;
  for (const RunResult& result : results) {
    repetitions += result.trials.size();
    twice += static_cast<std::size_t>(std::ranges::count_if(result.trials, [](const Trial& trial) {
      return !trial.disturbed.empty() && !trial.replaces.empty();
    }));
    for (const Disturbance& each : result.ledger.environment.disturbances) {
      (each.replaced ? replaced : disturbed).push_back(each);
    }
  }
  if (!disturbed.empty()) {
    PrintNote(out, fmt::format("DISTURBED: {} of {} repetitions, {} of them also when timed again; "
                               "the first: {}. Do not rely on these times: stop what else runs "
                               "here, and run again",
                               disturbed.size(), repetitions, twice, disturbed.front().reason));
  }
  if (!replaced.empty()) {
    PrintNote(out, fmt::format("{} of {} repetitions {} disturbed and timed again; the first: {}",
                               replaced.size(), repetitions, replaced.size() == 1 ? "was" : "were",
                               replaced.front().reason));
  }
}

void PrintRanks(const Environment& environment, std::ostream& out) {
  const auto& facts = environment.ranks;
  if (!facts) return;
  const int64_t hosts = facts->NumHosts();
  PrintNote(out, fmt::format("{} ranks on {} host{}: seconds are the slowest rank's; FLOPs, bytes, "
                             "rates and the peak are those of all ranks; shapes are the first "
                             "rank's",
                             facts->ranks, hosts, Plural(hosts)));
}

namespace {

/// The machine, the build, and the libraries that ran.
void PrintEnvironment(const Ledger& ledger, std::ostream& out) {
  PrintNote(out, OneLine(ledger.environment));
  for (const LibraryFacts& library : ledger.environment.libraries) {
    PrintNote(out, fmt::format("{}: {}, {}", library.matmul, library.version, library.path));
  }
}

/// What an extrapolation's interval knows of the drift from one run to another.
std::string DriftText(const RunSettings& settings, const RunResult& result) {
  const auto& facts = result.ledger.environment.extrapolation;
  if (facts && facts->drift) {
    return fmt::format("with a drift between runs of {:.1f} %, as calibrated", 100 * *facts->drift);
  }
  return settings.calibration
             ? "without the drift between runs, which this calibration of an older build, or of "
               "too "
               "short a time, does not hold: run 'flopledger calibrate' anew"
             : "without the drift between runs, which 'flopledger calibrate' measures";
}

/// What the whole model would take, by each backend.
void PrintExtrapolated(const RunSettings& settings, std::span<const RunResult> results,
                       std::ostream& out) {
  const int64_t layers = results.front().plan.layers;
  if (layers == settings.model.num_layers) return;
  PrintNote(out,
            fmt::format(
                "total_extrapolated is not measured: it assumes that the other {} layers run like "
                "the {} that ran",
                settings.model.num_layers - layers, layers));
  for (const RunResult& result : results) {
    if (result.trials.size() < 2) continue;
    const Extrapolation& whole = *result.extrapolated;
    PrintNote(out,
              fmt::format(
                  "{}, {}, extrapolated to {} layers: {:.4g} s, one pass lies in [{:.4g}, {:.4g}] "
                  "({:.0f} %, Student's t; {} repetitions scaled to their median peak; {})",
                  settings.model.name, result.ledger.rows.front().matmul, settings.model.num_layers,
                  whole.seconds, whole.lower, whole.upper, 100 * kExtrapolationConfidence,
                  result.trials.size(), DriftText(settings, result)));
  }
}

/// What the predicted seconds stand on.
void PrintPredicted(const RunSettings& settings, const RunResult& result, std::ostream& out) {
  if (!settings.calibration) return;
  const Calibration& calibration = *settings.calibration;
  const MachineSpeed then = CalibratedSpeed(calibration, settings.threads);
  const MachineSpeed now = SpeedAround(result.trials, calibration, settings.threads);
  PrintNote(
      out,
      fmt::format("predicted seconds: calibration of {}, scaled to the FMA peak ({:+.1f} %), the "
                  "reference GEMM ({:+.1f} %) and the memory bandwidth ({:+.1f} %) around this run",
                  calibration.taken, 100 * (now.peak_flops_per_s / then.peak_flops_per_s - 1),
                  100 * (now.product_flops_per_s / then.product_flops_per_s - 1),
                  100 * (now.read_bytes_per_s / then.read_bytes_per_s - 1)));
  if (!result.unpredicted_because.empty()) {
    PrintNote(out, fmt::format("some are unavailable: {}", result.unpredicted_because));
  }
}

/// By how much the ranks' times differ, and what they waited for one another.
void PrintImbalance(const Ledger& ledger, std::ostream& out) {
  const auto& facts = ledger.environment.ranks;
  if (!facts) return;
  const Record& total = *std::ranges::find(ledger.rows, "total", &Record::op);
  PrintNote(out, fmt::format("the pass of the slowest rank takes {:.3f} of the ranks' mean",
                             total.imbalance.value_or(1)));
  for (const CollectiveSplit& split : facts->collectives) {
    const Record& row = *std::ranges::find(ledger.rows, split.op, &Record::op);
    PrintNote(out,
              fmt::format("{} by {}: {:.3f} ms of waiting for the slowest rank, then {:.3f} ms "
                          "(means over the ranks, of one more pass with a barrier before each)",
                          split.op, NameOf(AlgorithmOf(*row.m * *row.n, facts->ranks)),
                          split.waiting_s * 1e3, split.transfer_s * 1e3));
  }
}

/// The peak around the repetitions, and how much of the pass the operations' times add up to.
void PrintCoverage(const RunSettings& settings, const RunResult& result, std::ostream& out) {
  std::vector<double> before, after, covered;
  for (const Trial& trial : result.trials) {
    before.push_back(trial.peak_before_flops_per_s / 1e9);
    after.push_back(trial.peak_after_flops_per_s / 1e9);
    double ops = 0;
    for (const double seconds : trial.op_s) ops += seconds;
    covered.push_back(100 * ops / trial.pass_s);
  }
  int64_t executions = 0;
  ForEachExecution(settings.model, ForwardOps(settings.OwnModel(), settings.OneLayer()),
                   result.plan.layers, [&](const Op&, int64_t) { ++executions; });
  const double observer_s = result.observer_s * static_cast<double>(executions);
  const int64_t ranks = settings.shard().ranks;
  PrintNote(out,
            fmt::format("FMA peak of {}{} thread{}: {:.1f} GFLOP/s before, {:.1f} after (medians)",
                        ranks > 1 ? fmt::format("{} ranks of ", ranks) : "", settings.threads,
                        settings.threads == 1 ? "" : "s", Median(before), Median(after)));
  const double total_s = *std::ranges::find(result.ledger.rows, "total", &Record::op)->time_s;
  PrintNote(
      out, fmt::format("the operations cover {:.2f} % of the pass; timing one costs {:.0f} ns, all "
                       "{} of them {:.4f} % of the pass",
                       Median(covered), result.observer_s * 1e9, Grouped(executions),
                       100 * observer_s / total_s));
}

}  // namespace

void PrintLedger(const RunSettings& settings, const RunResult& result, std::ostream& out) {
  const Ledger& ledger = result.ledger;
  PrintDisturbed({&result, 1}, out);
  PrintNote(out, fmt::format("{}, matmul {}, attention {}", WhatRan(settings, result.plan),
                             settings.kernels.matmul->name, NameOf(settings.kernels.attention)));
  PrintEnvironment(ledger, out);
  PrintNote(
      out,
      fmt::format("{} repetition{}; verified before timing: {} outputs, worst error {:.2f} of its "
                  "bound ({})",
                  result.trials.size(), result.trials.size() == 1 ? "" : "s",
                  Grouped(result.verification.checked), result.verification.worst_ratio,
                  result.verification.worst_op));
  PrintNote(out, fmt::format("start-up: {:.2f} s to take the memory and to fill the weights{}",
                             result.start_up_s,
                             settings.kernels.matmul->packs_weights ? ", packed" : ""));
  out << '\n';
  out << Drawn(TimeTable(ledger), Format::kTable, out) << '\n';
  out << Drawn(FlopsTable(ledger), Format::kTable, out);
  PrintExecutedNotes(settings, ledger, out);
  PrintResidual(ledger, out);

  if (const auto& counters = ledger.environment.counters) PrintNote(out, Summary(*counters));
  PrintRanks(ledger.environment, out);
  PrintImbalance(ledger, out);
  PrintCoverage(settings, result, out);
  PrintPredicted(settings, result, out);
  PrintExtrapolated(settings, {&result, 1}, out);
  if (result.decode) {
    out << '\n' << Drawn(DecodeTable(result.decode->figures), Format::kTable, out);
    PrintNote(out, Sentence(*result.decode));
  }
}

void PrintSideBySide(const RunSettings& settings, std::span<const RunResult> results,
                     const Ledger& ledger, std::ostream& out) {
  PrintDisturbed(results, out);
  PrintNote(out, fmt::format("{}, attention {}", WhatRan(settings, results.front().plan),
                             NameOf(settings.kernels.attention)));
  PrintEnvironment(ledger, out);
  PrintNote(out,
            fmt::format(
                "repetitions interleaved at random, each verified before it was timed, between two "
                "measurements of the FMA peak"));
  PrintRanks(ledger.environment, out);
  out << '\n';
  out << Drawn(SideBySide(ledger.rows, "milliseconds (medians)", &Record::time_s, 1e3, 3),
               Format::kTable, out)
      << '\n';
  out << Drawn(SideBySide(ledger.rows, "% of FMA peak (executed FLOPs; medians of ratios)",
                          &Record::pct_peak, 1, 1),
               Format::kTable, out);
  PrintExtrapolated(settings, results, out);
}

}  // namespace flopledger
