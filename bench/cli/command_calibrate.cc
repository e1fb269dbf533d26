#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ostream.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <ctime>
#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "analysis/prediction/contradictions.h"
#include "analysis/text/table.h"
#include "bench/calibration/calibration_file.h"
#include "bench/calibration/collectives.h"
#include "bench/calibration/probes.h"
#include "bench/cli/cli.h"
#include "bench/cli/commands.h"
#include "bench/cli/options.h"
#include "bench/cli/terminal.h"
#include "bench/machine/activity.h"
#include "bench/machine/busy_processes.h"
#include "bench/machine/files.h"
#include "bench/machine/interrupt.h"
#include "bench/machine/machine.h"
#include "bench/machine/pinning.h"
#include "model/input_error.h"
#include "model/json.h"

namespace flopledger {
namespace {

std::string WithSpread(const std::optional<Measured>& spread, double unit, int digits) {
  if (!spread) return "unavailable";
  const Measured& measured = *spread;
  return fmt::format("{:.{}f} ± {:.1f} %", measured.median / unit, digits,
                     100 * measured.mad / measured.median);
}

/// A ceiling a row, a number of threads a column.
Table CeilingTable(const Calibration& calibration) {
  Table table{{{"ceiling", false}, {"unit", false}}, {}};
  for (const Ceilings& ceilings : calibration.ceilings) {
    table.columns.push_back(
        {fmt::format("{} thread{}", ceilings.threads, ceilings.threads == 1 ? "" : "s")});
  }
  const auto add = [&](const std::string& name, const char* unit, double scale, int digits,
                       auto&& of) {
    std::vector<std::string> row{name, unit};
    for (const Ceilings& ceilings : calibration.ceilings) {
      row.push_back(WithSpread(of(ceilings), scale, digits));
    }
    table.rows.push_back(std::move(row));
  };
  const Ceilings& first = calibration.ceilings.front();
  add("clock", "GHz", 1e9, 3, [](const Ceilings& c) { return c.clock_hz; });
  add("FMA peak, as documented at that clock", "GFLOP/s", 1e9, 1,
      [](const Ceilings& c) { return c.theoretical_flops_per_s; });
  for (std::size_t i = 0; i < first.fma_flops_per_s.size(); ++i) {
    add(fmt::format("FMA peak, {}", first.fma_flops_per_s[i].name), "GFLOP/s", 1e9, 1,
        [&](const Ceilings& c) { return c.fma_flops_per_s[i].value; });
  }
  for (std::size_t i = 0; i < first.bandwidth.size(); ++i) {
    add(fmt::format("{} read", first.bandwidth[i].level), "GB/s", 1e9, 1,
        [&](const Ceilings& c) { return c.bandwidth[i].read; });
    add(fmt::format("{} triad", first.bandwidth[i].level), "GB/s", 1e9, 1,
        [&](const Ceilings& c) { return c.bandwidth[i].triad; });
  }
  if (std::ranges::any_of(calibration.ceilings, [](const Ceilings& c) {
        return c.efficiency_core_flops_per_s.has_value();
      })) {
    add("FMA peak of a performance core", "GFLOP/s", 1e9, 1,
        [](const Ceilings& c) { return c.performance_core_flops_per_s; });
    add("FMA peak of an efficiency core", "GFLOP/s", 1e9, 1,
        [](const Ceilings& c) { return c.efficiency_core_flops_per_s; });
  }
  add("reference GEMM", "GFLOP/s", 1e9, 1, [](const Ceilings& c) { return c.product_flops_per_s; });
  add("fork and join", "us", 1e-6, 2, [](const Ceilings& c) { return c.fork_join_s; });
  add("one exponential", "ns", 1e-9, 3, [](const Ceilings& c) { return c.exp_s; });
  return table;
}

/// What should be known about the ceilings of a number of threads.
void PrintDoubts(const Ceilings& ceilings, std::ostream& out) {
  const auto& theory = ceilings.theoretical_flops_per_s;
  std::vector<std::string> doubts = DoubtsAboutPeak(
      ceilings.peak_flops_per_s(), theory ? std::optional(theory->median) : std::nullopt,
      ceilings.thread_spread);
  if (ceilings.memory_buffer_bounded) {
    doubts.push_back(fmt::format(
        "memory was read in a buffer of {}, for no more memory may be used: less than four times "
        "the caches, which serve a part of it",
        HumanBytes(*ceilings.memory_buffer_bytes)));
  }
  for (const std::string& doubt : doubts) {
    PrintNote(out, fmt::format("{} thread{}: {}", ceilings.threads,
                               ceilings.threads == 1 ? "" : "s", doubt));
  }
}

/// How much the machine drifted meanwhile, and whether the time sufficed.
void PrintSession(const Calibration& calibration, const Sampling& sampling, std::ostream& out) {
  std::string drifts;
  for (const Ceilings& ceilings : calibration.ceilings) {
    if (!ceilings.product_drift) continue;
    drifts += fmt::format("{}{:.1f} % ({} thread{})", drifts.empty() ? "" : ", ",
                          100 * *ceilings.product_drift, ceilings.threads,
                          ceilings.threads == 1 ? "" : "s");
  }
  PrintNote(out, fmt::format("drift of the reference GEMM over this session, at 95 %: {}",
                             drifts.empty() ? "unavailable: too few measurements" : drifts));
  if (sampling.passes_sampled < sampling.passes_planned) {
    PrintNote(out, fmt::format("the time sufficed for {} of {} passes: the others' shapes are "
                               "interpolated",
                               sampling.passes_sampled, sampling.passes_planned));
  }
}

/// Why nothing is stored, and what to stop.
void PrintRefusal(const std::vector<std::string>& contradictions,
                  const std::vector<BusyProcess>& busy, const SystemActivity& activity,
                  std::ostream& err) {
  fmt::print(
      err, "flopledger: nothing is stored, for this cannot be a machine that does nothing else:\n");
  for (const std::string& each : contradictions) fmt::print(err, "flopledger:   {}\n", each);
  std::vector<std::string> causes;
  for (const BusyProcess& process : busy) {
    causes.push_back(fmt::format("stop {} (process {}), which took {:.1f} s of a processor",
                                 process.name, process.id, process.processor_s));
  }
  const auto told = [](const std::optional<double>& seconds) {
    return seconds ? fmt::format("{:.1f} s", *seconds) : std::string("an unknown time");
  };
  causes.push_back(
      fmt::format("in {:.0f} s, other programs took {} of processors and the "
                  "hypervisor {}",
                  activity.seconds, told(activity.others_s), told(activity.stolen_s)));
  fmt::print(err, "flopledger: {}; then run 'flopledger calibrate' again\n",
             fmt::join(causes, "; "));
}

/// SettleCeilings; an interrupt is said as by SampleOps.
std::vector<std::string> Settle(CeilingProbe& ceilings, bool quick, Progress& progress) {
  progress.Show("calibrating: the ceilings");
  try {
    std::vector<std::string> contradictions = SettleCeilings(ceilings, quick ? 5 : 15);
    progress.Clear();
    return contradictions;
  } catch (const Interrupted&) {
    throw CannotMeasure("interrupted: nothing was calibrated");
  }
}

void PrintNotes(const Calibration& calibration, std::ostream& out) {
  out << '\n';
  PrintNote(
      out,
      fmt::format("± is the median absolute deviation. Bandwidths are of all threads together; the "
                  "triad counts 12 bytes an element.\n{} samples of operations, taken {}",
                  Grouped(static_cast<int64_t>(calibration.samples.size())), calibration.taken));
  if (const Ceilings& one = calibration.ceilings.front(); !one.theoretical_flops_per_s) {
    PrintNote(out, fmt::format("the documented FMA peak is unavailable: {}",
                               one.clock_hz ? "this processor's FMA pipes are not in the table"
                                            : "this build cannot time the clock of its processor"));
  }
  for (const Ceilings& ceilings : calibration.ceilings) PrintDoubts(ceilings, out);
  const std::string difference = WhyNotFor(calibration, CalibrationIdentity());
  if (!difference.empty()) {
    PrintNote(out, fmt::format("of another machine or build than this: {}", difference));
  }
}

/// Whether a calibration of this machine and build is there.
bool Holds(const std::string& path) {
  try {
    LoadCalibration(path);
    return true;
  } catch (const std::runtime_error&) {
    return false;
  }
}

/// The sums over ranks that were added, and what MPI's own take.
Table CollectiveTable(const std::vector<CollectiveSample>& samples) {
  Table table{{{"bytes"}, {"all-reduce", false}, {"us"}, {"± %"}, {"GB/s"}, {"MPI_Allreduce us"}},
              {}};
  for (const CollectiveSample& sample : samples) {
    table.rows.push_back(
        {Grouped(sample.bytes), sample.algorithm, fmt::format("{:.1f}", sample.seconds * 1e6),
         fmt::format("{:.1f}", 100 * sample.spread),
         fmt::format("{:.3f}", static_cast<double>(sample.bytes) / sample.seconds / 1e9),
         fmt::format("{:.1f}", sample.mpi_s * 1e6)});
  }
  return table;
}

/// The calibration to which samples of collectives are added. The other ranks are told whether
/// there is one.
std::optional<Calibration> CalibrationToExtend(Team& team, const std::string& path) {
  if (!team.leads()) {
    if (!Broadcast(team.link, "").empty()) return Calibration{};
    return std::nullopt;
  }
  try {
    Calibration calibration = LoadCalibration(path);
    Broadcast(team.link, "there is one");
    return calibration;
  } catch (const std::exception& error) {
    Broadcast(team.link, "");
    throw CannotMeasure(
        fmt::format("no calibration to add collectives to: {}; 'flopledger calibrate' makes one",
                    error.what()));
  }
}

/// Every rank calls it: adds what sums over them take to the calibration at `path`.
int AddCollectives(Team& team, const std::string& path, Format format, std::ostream& out,
                   std::ostream& err) {
  if (path.empty()) throw InputError("--out -: several ranks add to a calibration that is kept");
  auto calibration = CalibrationToExtend(team, path);
  if (!calibration) return kDone;  // the first rank says why
  Progress progress(err, team.leads() && &err == &std::cerr && isatty(STDERR_FILENO) != 0);
  const auto samples = SampleCollectives(team, DefaultThreads(), progress);
  if (!team.leads()) return kDone;
  std::erase_if(calibration->collectives, [&](const CollectiveSample& old) {
    return old.ranks == samples.front().ranks && old.hosts == samples.front().hosts;
  });
  calibration->collectives.insert(calibration->collectives.end(), samples.begin(), samples.end());
  if (const auto wrong = SaveCalibration(path, *calibration); !wrong.empty()) {
    throw CannotMeasure(fmt::format(
        "{}: {}; 'flopledger calibrate' makes it anew, and then collectives can be added", path,
        wrong.front()));
  }
  if (format == Format::kJson) {
    out << ToJson(*calibration).dump(1) << '\n';
  } else {
    out << Drawn(CollectiveTable(samples), format, out);
    if (format != Format::kCsv) {
      PrintNote(out, fmt::format("{} ranks on {} host{}, {} thread{} each: medians of the slowest "
                                 "rank's time after a barrier; GB/s are a rank's bytes over it",
                                 samples.front().ranks, team.hosts, team.hosts == 1 ? "" : "s",
                                 samples.front().threads, samples.front().threads == 1 ? "" : "s"));
    }
  }
  fmt::print(err, "flopledger: added collectives of {} ranks to {}\n", samples.front().ranks, path);
  return kDone;
}

/// The collectives of the calibration that is replaced, where they hold for this machine and build.
std::vector<CollectiveSample> KeptCollectives(const std::string& path) {
  try {
    return LoadCalibration(path).collectives;
  } catch (const std::exception&) {  // there is none to keep
    return {};
  }
}

void PrintCalibration(const Calibration& calibration, Format format, std::ostream& out,
                      std::ostream& err) {
  if (format == Format::kJson) {
    out << ToJson(calibration).dump(1) << '\n';
    return;
  }
  out << Drawn(CeilingTable(calibration), format, out);
  if (format == Format::kCsv) return;
  PrintNotes(calibration, out);
  if (format == Format::kTable) {
    PrintNext(err, "'flopledger predict gpt2', or 'flopledger run' for seconds beside predicted");
  }
}

Calibration Kept(const std::string& path) {
  const std::string from = path.empty() ? CalibrationPath() : path;
  std::error_code ignored;
  if (from.empty() || (path.empty() && !std::filesystem::exists(from, ignored))) {
    throw CannotMeasure("this machine is not calibrated: run 'flopledger calibrate'");
  }
  return CalibrationFromJson(ParseJson(ReadTextFile(from), from), from);
}

void CheckShow(const CalibrateOptions& options) {
  if (options.show && (options.quick || !options.out.empty())) {
    throw InputError("--show measures nothing: it goes with --calibration and --format alone");
  }
  if (!options.show && !options.calibration.empty()) {
    throw InputError("--calibration names what --show prints; --out says where one is kept");
  }
}

/// Where the calibration is kept; empty where it is printed alone. Throws InputError.
std::string CheckedPlace(const CalibrateOptions& options) {
  if (options.out == "-") return "";
  const std::string path = options.out.empty() ? CalibrationPath() : options.out;
  if (path.empty()) throw InputError("neither HOME nor XDG_CACHE_HOME is set; say where by --out");
  for (const char* other : {".csv", ".md", ".html"}) {
    if (!path.ends_with(other)) continue;
    throw InputError(
        fmt::format("--out {}: a calibration is kept as JSON; '--format' says what is "
                    "printed",
                    path));
  }
  if (options.out.empty()) {
    std::error_code ignored;  // the check says what is wrong
    std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ignored);
  }
  return path;
}

/// What was measured, and what shows before all is sampled that it must not be kept.
struct Measurement {
  Calibration calibration;
  Sampling sampling;
  std::vector<std::string> contradictions;
};

Measurement MeasureAll(bool quick, Progress& progress) {
  const std::vector<int> threads = CalibratedThreads(DefaultThreads(), AvailableProcessors());
  const ProbePlan plan = DefaultPlan(quick, threads.size());
  progress.Say(fmt::format("calibrating: {}, or once through all models where that takes longer",
                           RoughSeconds(plan.seconds)));
  Measurement measured;
  Calibration& calibration = measured.calibration;
  calibration.identity = CalibrationIdentity();
  calibration.taken = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)));
  CeilingProbe ceilings(threads);
  measured.contradictions = Settle(ceilings, quick, progress);
  if (!measured.contradictions.empty()) return measured;
  Sampling& sampling = measured.sampling = SampleOps(plan, threads, ceilings, progress);
  calibration.samples = std::move(sampling.samples);
  measured.contradictions =
      Settle(ceilings, quick, progress);  // some more rounds where a few moments spoiled a ceiling
  calibration.ceilings = ceilings.Result();
  for (Ceilings& each : calibration.ceilings) each.product_drift = sampling.drift[each.threads];
  if (sampling.gave_up) {
    measured.contradictions = {fmt::format(
        "the time sufficed for {} of {} passes, and not for those that predictions stand on",
        sampling.passes_sampled, sampling.passes_planned)};
  }
  return measured;
}

}  // namespace

int RunCalibrate(const CalibrateOptions& options, std::ostream& out, std::ostream& err) {
  const bool only_printed = options.out == "-" && !options.show;
  const Format format = ParseFormat(!options.format.empty() ? options.format
                                    : only_printed          ? "json"
                                                            : "table");
  CheckShow(options);
  if (options.show) {
    PrintCalibration(Kept(options.calibration), format, out, err);
    return kDone;
  }
  const ThreadPinning pinning(ParsePin(options.pin));
  const std::string path = CheckedPlace(options);
  if (options.team != nullptr) return AddCollectives(*options.team, path, format, out, err);
  if (options.if_needed && !path.empty() && Holds(path)) {
    fmt::print(err, "flopledger: {} holds for this machine and build: kept\n", path);
    return kDone;
  }
  if (!path.empty()) CheckWritable(path);
  const bool on_terminal = &err == &std::cerr && isatty(STDERR_FILENO) != 0;
  const InterruptGuard guard;
  Progress progress(err, on_terminal);
  const ProcessTimes before = ReadProcessTimes();
  const ActivityWatch watch;
  Measurement measured = MeasureAll(options.quick, progress);
  std::vector<std::string> contradictions = measured.contradictions;
  if (contradictions.empty()) {
    if (!path.empty()) measured.calibration.collectives = KeptCollectives(path);
    contradictions = path.empty() ? Contradictions(measured.calibration.ceilings)
                                  : SaveCalibration(path, measured.calibration);
  }
  if (!contradictions.empty()) {
    const SystemActivity activity = watch.Stop();
    PrintRefusal(contradictions,
                 BusyBetween(before, ReadProcessTimes(), activity.seconds, getpid()), activity,
                 err);
    return kNoAnswer;
  }
  if (!path.empty()) fmt::print(err, "flopledger: wrote {}\n", path);
  if (format == Format::kTable) PrintSession(measured.calibration, measured.sampling, out);
  PrintCalibration(measured.calibration, format, out, err);
  return kDone;
}

void AddCalibrate(CLI::App& app, Session& session) {
  const auto options = std::make_shared<CalibrateOptions>();
  CLI::App* command = app.add_subcommand(
      "calibrate",
      "Measures the machine's ceilings and samples of every operation, from which seconds are "
      "predicted. Takes at most two minutes, on a machine that does nothing else. Several ranks of "
      "flopledger-mpi add what sums over them take.");
  command->add_option("--out", options->out,
                      "keep the calibration here, as JSON; '-': print it, keep none; default: the "
                      "user's cache, where 'run' and 'predict' look");
  AddPin(command, options->pin);
  AddFormat(command, options->format);
  command->get_option("--format")->default_str("table");
  command->add_flag("--quick", options->quick, "half a minute: fewer shapes, wider spread");
  command->add_flag("--if-needed", options->if_needed,
                    "measure nothing where there is a calibration of this machine and build");
  command->add_flag("--show", options->show, "print the calibration that is kept, measure nothing");
  command->add_option("--calibration", options->calibration,
                      "with --show: a file of 'flopledger calibrate'; default: the user's own");
  command->footer(
      "Examples:\n"
      "  flopledger calibrate\n"
      "  flopledger calibrate --show --format csv\n"
      "  flopledger calibrate --quick --out - | jq .ceilings");
  command->final_callback([options, &session] {
    options->team = session.team;
    session.run = [options, &session] { return RunCalibrate(*options, session.out, session.err); };
  });
}

}  // namespace flopledger
