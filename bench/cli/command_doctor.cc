// What this machine can measure. Every line that says no says why, and what to do.
#include <fmt/format.h>
#include <fmt/ostream.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "analysis/prediction/contradictions.h"
#include "analysis/text/table.h"
#include "bench/calibration/calibrate.h"
#include "bench/calibration/calibration_file.h"
#include "bench/cli/cli.h"
#include "bench/cli/commands.h"
#include "bench/cli/options.h"
#include "bench/cli/terminal.h"
#include "bench/counters/counters.h"
#include "bench/machine/machine.h"
#include "bench/machine/threads.h"
#include "kernels/matmul_library.h"

namespace flopledger {
namespace {

using nlohmann::json;

constexpr char kUnknown[] = "unavailable: this system does not say";

std::string OrUnknown(const std::optional<std::string>& fact) { return fact.value_or(kUnknown); }

std::vector<LibraryFacts> DescribeLibraries() {
  std::vector<LibraryFacts> described;
  for (const MatmulLibrary& library : MatmulLibraries()) {
    const SharedLibrary& found = library.load();
    described.push_back({.matmul = std::string(library.backend.name),
                         .version = found.version,
                         .path = found.path,
                         .reason = found.usable() ? "" : AbsenceOf(library)});
  }
  return described;
}

Environment Diagnosis() {
  Environment diagnosis = DescribeMachine();
  diagnosis.steal_s = StealSeconds();
  UseThreads(DefaultThreads());
  Counters counters(DefaultThreads());
  diagnosis.counters = Describe(counters);
  diagnosis.libraries = DescribeLibraries();
  return diagnosis;
}

std::string Simd(const Environment& diagnosis) {
  const std::string build = OrUnknown(diagnosis.build.simd);
  const std::string cpu = OrUnknown(diagnosis.machine.cpu_simd);
  if (build == cpu) return fmt::format("{}, as wide as the processor's", build);
  return fmt::format("{}; the processor has {}: configure with -DFLOPLEDGER_ARCH=native", build,
                     cpu);
}

/// The kernel's setting and what it means for those who are not root.
std::string Paranoid(const std::optional<int64_t>& level) {
  if (!level) return "unavailable: /proc/sys/kernel/perf_event_paranoid cannot be read";
  return *level <= 2 ? fmt::format("{}: every user may count their own processes", *level)
                     : fmt::format(
                           "{}: only root or CAP_PERFMON may count (as root: sysctl "
                           "kernel.perf_event_paranoid=2)",
                           *level);
}

std::string CachesText(const Environment::Machine& machine) {
  std::string text;
  for (const CacheFacts& cache : machine.caches) {
    text += fmt::format(
        "{}L{} {} {}{}", text.empty() ? "" : ", ", cache.level, cache.type,
        cache.instances.value_or(1) > 1 ? fmt::format("{} × ", *cache.instances) : "", cache.size);
  }
  return text.empty() ? kUnknown : text;
}

std::string Cores(const Environment::Machine& machine) {
  const int64_t cores = machine.physical_cores.value_or(0);
  const int64_t efficient = machine.efficiency_cores.value_or(0);
  const int64_t nodes = machine.numa_nodes.value_or(1);
  return fmt::format(
      "{} physical{}, on {} NUMA node{}", cores,
      efficient > 0 ? fmt::format(" ({} performance, {} efficiency)", cores - efficient, efficient)
                    : "",
      nodes, nodes == 1 ? "" : "s");
}

/// "351.9 GFLOP/s of 2 threads, 99.8 % of the documented one at this clock".
std::string PeakText(const PeakFacts& peak, int64_t threads) {
  const double flops_per_s = peak.flops_per_s.per_s;
  std::string text = fmt::format("{:.1f} GFLOP/s of {} thread{}", flops_per_s / 1e9, threads,
                                 threads == 1 ? "" : "s");
  if (const auto& theory = peak.theoretical_flops_per_s) {
    text +=
        fmt::format(", {:.1f} % of the documented one at this clock", 100 * flops_per_s / *theory);
  }
  if (const auto& efficiency = peak.flops_per_s.efficiency_core_per_s) {
    text += fmt::format("; {:.1f} a performance core, {:.1f} an efficiency core",
                        *peak.flops_per_s.performance_core_per_s / 1e9, *efficiency / 1e9);
  }
  for (const std::string& doubt :
       DoubtsAboutPeak(flops_per_s, peak.theoretical_flops_per_s, peak.flops_per_s.spread)) {
    text += "; " + doubt;
  }
  return text;
}

json PeakToJson(const PeakFacts& peak) {
  const auto or_null = [](const std::optional<double>& value) {
    return value ? json(*value) : json(nullptr);
  };
  const TeamRate& rate = peak.flops_per_s;
  return {{"flops_per_s", rate.per_s},
          {"thread_spread", rate.spread},
          {"theoretical_flops_per_s", or_null(peak.theoretical_flops_per_s)},
          {"performance_core_flops_per_s", or_null(rate.performance_core_per_s)},
          {"efficiency_core_flops_per_s", or_null(rate.efficiency_core_per_s)},
          {"doubts", DoubtsAboutPeak(rate.per_s, peak.theoretical_flops_per_s, rate.spread)}};
}

Table FactsTable(const Environment& diagnosis, const PeakFacts& peak) {
  const Environment::Machine& machine = diagnosis.machine;
  const CounterFacts& counters = *diagnosis.counters;
  const EigenCaches eigen = machine.eigen_caches.value_or(EigenCaches{});
  Table table{{{"machine and build", false}, {"", false}}, {}};
  const auto add = [&](const char* name, const std::string& value) {
    table.rows.push_back({name, value});
  };
  add("CPU", OrUnknown(machine.cpu));
  add("microarchitecture",
      counters.microarchitecture.value_or("unavailable: not in the table of events"));
  add("processors",
      fmt::format("{}{}, limited by {}", *machine.processors,
                  machine.virtual_machine.value_or(false) ? ", in a virtual machine" : "",
                  OrUnknown(machine.processors_limited_by)));
  add("cores", Cores(machine));
  add("threads by default", fmt::format("{}, limited by {}", *machine.openmp_threads,
                                        OrUnknown(machine.openmp_threads_limited_by)));
  add("FMA peak now", PeakText(peak, *machine.openmp_threads));
  add("threads bound to cores", OrUnknown(diagnosis.settings.pin));
  add("SMT", OrUnknown(machine.smt));
  add("frequency governor", OrUnknown(machine.governor));
  add("steal since boot",
      diagnosis.steal_s ? fmt::format("{:.2f} s", *diagnosis.steal_s) : kUnknown);
  add("caches", CachesText(machine));
  add("caches as Eigen reads them",
      fmt::format("L1 {} KiB, L2 {} KiB, L3 {} KiB", eigen.l1_bytes / 1024, eigen.l2_bytes / 1024,
                  eigen.l3_bytes / 1024));
  add("SIMD level of this build", Simd(diagnosis));
  add("free memory",
      machine.memory_available_bytes ? HumanBytes(*machine.memory_available_bytes) : kUnknown);
  add("compiler and flags",
      fmt::format("{} {}", OrUnknown(diagnosis.build.compiler), OrUnknown(diagnosis.build.flags)));
  add("perf_event_paranoid", Paranoid(counters.perf_event_paranoid));
  add("events encoded by", counters.encoder);
  return table;
}

Table EventsTable(const CounterFacts& counters) {
  Table table{{{"counter", false}, {"available", false}, {"why not, and what to do", false}}, {}};
  std::string last_reason;
  for (const EventFacts& event : counters.events) {
    const std::string reason = event.reason.value_or("");
    const bool repeated = !reason.empty() && reason == std::exchange(last_reason, reason);
    table.rows.push_back(
        {event.event, event.reason ? "no" : "yes", repeated ? "as above" : reason});
  }
  return table;
}

Table LibrariesTable(const std::vector<LibraryFacts>& libraries) {
  Table table{{{"matmul", false}, {"available", false}, {"which, or what to do", false}}, {}};
  for (const LibraryFacts& library : libraries) {
    const bool available = library.reason.empty();
    table.rows.push_back(
        {library.matmul, available ? "yes" : "no",
         available ? fmt::format("{}, {}", library.version, library.path) : library.reason});
  }
  return table;
}

std::string CountersVerdict(const CounterFacts& counters) {
  if (!counters.flops_available) {
    return "measured FLOPs by hardware counters: unavailable: " + counters.flops_reason;
  }
  const TrustCheck& check = *counters.flops_check;
  return fmt::format(
      "measured FLOPs by hardware counters: {}: a kernel of {} FLOPs was counted as {:.0f}",
      check.passed() ? "available" : "untrusted", Grouped(check.executed), check.counted);
}

/// Whether seconds can be predicted here, and what to call next.
void PrintCalibration(std::ostream& out, std::ostream& err) {
  try {
    PrintNote(out, fmt::format("calibration: of {}", RequireCalibration("").taken));
    PrintNext(err, "'flopledger run gpt2 --layers 1' measures a small pass");
  } catch (const std::runtime_error& why_not) {
    PrintNote(out, fmt::format("calibration: unavailable: {}", why_not.what()));
    PrintNext(err, "'flopledger calibrate' measures peaks and bandwidths, in two minutes");
  }
}

}  // namespace

int RunDoctor(const DoctorOptions& options, std::ostream& out, std::ostream& err) {
  const Format format = ParseFormat(options.format);
  const Environment diagnosis = Diagnosis();
  const CounterFacts& counters = *diagnosis.counters;
  const PeakFacts peak = DescribePeak(DefaultThreads());
  switch (format) {
    case Format::kJson: {
      json described = ToJson(diagnosis);
      described["peak"] = PeakToJson(peak);
      out << described.dump(2) << '\n';
      break;
    }
    case Format::kCsv: out << EventsTable(counters).ToCsv(); break;
    case Format::kMarkdown:
      out << FactsTable(diagnosis, peak).ToMarkdown() << '\n' << EventsTable(counters).ToMarkdown();
      out << '\n' << LibrariesTable(diagnosis.libraries).ToMarkdown();
      break;
    case Format::kTable:
      out << Drawn(FactsTable(diagnosis, peak), Format::kTable, out) << '\n'
          << Drawn(EventsTable(counters), Format::kTable, out) << '\n';
      out << Drawn(LibrariesTable(diagnosis.libraries), Format::kTable, out) << '\n';
      PrintNote(out, CountersVerdict(counters));
      if (const std::string note = counters.flops_note.value_or(""); !note.empty()) {
        PrintNote(out, fmt::format("of these events: {}", note));
      }
      PrintNote(out, "exact counting run (--count sample, full): available");
      PrintCalibration(out, err);
  }
  return kDone;
}

void AddDoctor(CLI::App& app, Session& session) {
  const auto options = std::make_shared<DoctorOptions>();
  CLI::App* command = app.add_subcommand(
      "doctor", "What this machine can measure, and precisely why not what it cannot.");
  AddFormat(command, options->format);
  command->footer(
      "Examples:\n"
      "  flopledger doctor\n"
      "  flopledger doctor --format json --out machine.json");
  command->final_callback([options, &session] {
    session.run = [options, &session] { return RunDoctor(*options, session.out, session.err); };
  });
}

}  // namespace flopledger
