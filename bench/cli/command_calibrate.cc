#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ostream.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <ctime>
#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "analysis/text/table.h"
#include "bench/calibration/calibration_file.h"
#include "bench/calibration/collectives.h"
#include "bench/calibration/probes.h"
#include "bench/cli/cli.h"
#include "bench/cli/commands.h"
#include "bench/cli/options.h"
#include "bench/cli/terminal.h"
#include "bench/machine/files.h"
#include "bench/machine/interrupt.h"
#include "bench/machine/machine.h"
#include "model/input_error.h"

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
  add("reference GEMM", "GFLOP/s", 1e9, 1, [](const Ceilings& c) { return c.product_flops_per_s; });
  add("fork and join", "us", 1e-6, 2, [](const Ceilings& c) { return c.fork_join_s; });
  add("one exponential", "ns", 1e-9, 3, [](const Ceilings& c) { return c.exp_s; });
  return table;
}

void PrintNotes(const Calibration& calibration, std::ostream& out) {
  PrintNote(out,
            fmt::format(
                "\n± is the median absolute deviation. Bandwidths are of all threads together; the "
                "triad counts 12 bytes an element.\n{} samples of operations",
                Grouped(static_cast<int64_t>(calibration.samples.size()))));
  if (const Ceilings& one = calibration.ceilings.front(); !one.theoretical_flops_per_s) {
    PrintNote(out, fmt::format("the documented FMA peak is unavailable: {}",
                               one.clock_hz ? "this processor's FMA pipes are not in the table"
                                            : "this build cannot time the clock of its processor"));
  }
  PrintNote(out,
            "next: 'flopledger predict gpt2', or 'flopledger run' for seconds beside predicted");
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
int AddCollectives(const CalibrateOptions& options, const std::string& path, std::ostream& out,
                   std::ostream& err) {
  const Format format = ParseFormat(options.format);
  Team& team = *options.team;
  auto calibration = CalibrationToExtend(team, path);
  if (!calibration) return kDone;  // the first rank says why
  Progress progress(err, team.leads() && &err == &std::cerr && isatty(STDERR_FILENO) != 0);
  const auto samples = SampleCollectives(team, AvailableProcessors(), progress);
  if (!team.leads()) return kDone;
  std::erase_if(calibration->collectives, [&](const CollectiveSample& old) {
    return old.ranks == samples.front().ranks && old.hosts == samples.front().hosts;
  });
  calibration->collectives.insert(calibration->collectives.end(), samples.begin(), samples.end());
  SaveCalibration(path, *calibration);
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

}  // namespace

int RunCalibrate(const CalibrateOptions& options, std::ostream& out, std::ostream& err) {
  const Format format = ParseFormat(options.format);
  const std::string path = options.out.empty() ? CalibrationPath() : options.out;
  if (path.empty()) throw InputError("neither HOME nor XDG_CACHE_HOME is set; say where by --out");
  if (options.out.empty()) {
    std::error_code ignored;  // the check says what is wrong
    std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ignored);
  }
  if (options.team != nullptr) return AddCollectives(options, path, out, err);
  CheckWritable(path);
  if (options.if_needed && Holds(path)) {
    fmt::print(err, "flopledger: {} holds for this machine and build: kept\n", path);
    return kDone;
  }
  const bool on_terminal = &err == &std::cerr && isatty(STDERR_FILENO) != 0;
  const InterruptGuard guard;
  Progress progress(err, on_terminal);

  Calibration calibration;
  calibration.identity = CalibrationIdentity();
  calibration.taken = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)));
  const std::vector<int> threads = CalibratedThreads(AvailableProcessors());
  CeilingProbe ceilings(threads);
  calibration.samples = SampleOps(DefaultPlan(options.quick), threads, ceilings, progress);
  calibration.ceilings = ceilings.Result();
  calibration.collectives = KeptCollectives(path);
  SaveCalibration(path, calibration);
  if (format == Format::kJson) {
    out << ToJson(calibration).dump(1) << '\n';
  } else {
    out << Drawn(CeilingTable(calibration), format, out);
    if (format != Format::kCsv) PrintNotes(calibration, out);
  }
  fmt::print(err, "flopledger: wrote {}\n", path);
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
                      "write the calibration here; default: the user's cache, where 'run' and "
                      "'predict' look");
  AddFormat(command, options->format);
  command->add_flag("--quick", options->quick, "half a minute: fewer shapes, wider spread");
  command->add_flag("--if-needed", options->if_needed,
                    "measure nothing where there is a calibration of this machine and build");
  command->final_callback([options, &session] {
    options->team = session.team;
    session.run = [options, &session] { return RunCalibrate(*options, session.out, session.err); };
  });
}

}  // namespace flopledger
