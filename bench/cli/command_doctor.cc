// What this machine can measure. Every line that says no says why, and what to do.
#include <fmt/format.h>
#include <fmt/ostream.h>
#include <omp.h>

#include <Eigen/Core>
#include <nlohmann/json.hpp>
#include <utility>

#include "analysis/text/table.h"
#include "bench/cli/cli.h"
#include "bench/cli/commands.h"
#include "bench/counters/counters.h"
#include "bench/machine/machine.h"
#include "kernels/fma_chains.h"
#include "kernels/matmul_library.h"

namespace flopledger {
namespace {

using nlohmann::json;

constexpr char kUnknown[] = "unavailable: this system does not say";

std::string Text(const json& value) {
  if (value.is_null()) return kUnknown;
  return value.is_string() ? value.get<std::string>() : value.dump();
}

json DescribeCounters() {
  omp_set_num_threads(AvailableProcessors());
  Counters counters(AvailableProcessors());
  json events = json::array();
  for (const std::string& name : counters.available()) {
    events.push_back({{"event", name}, {"available", true}, {"reason", nullptr}});
  }
  for (const UnavailableCounter& counter : counters.unavailable()) {
    events.push_back({{"event", counter.name}, {"available", false}, {"reason", counter.reason}});
  }
  const EventRow* row = counters.row();
  json described = {
      {"microarchitecture", row ? json(row->microarchitecture) : json(nullptr)},
      {"flops_source", row ? json(row->source) : json(nullptr)},
      {"flops_note", row ? json(row->note) : json(nullptr)},
      {"perf_event_paranoid", counters.paranoid() ? json(*counters.paranoid()) : json(nullptr)},
      {"encoder", EncoderName()},
      {"events", events},
      {"flops_available", counters.Has(Quantity::kFlops)},
      {"flops_reason", counters.no_flops_because()}};
  if (counters.Has(Quantity::kFlops)) {
    const TrustCheck check = CheckCounters(counters);
    described["flops_check"] = {
        {"executed", check.executed}, {"counted", check.counted}, {"trusted", check.passed()}};
  }
  return described;
}

json DescribeLibraries() {
  json described = json::array();
  for (const MatmulLibrary& library : MatmulLibraries()) {
    const SharedLibrary& found = library.load();
    const auto text_or_null = [](const std::string& text) {
      return text.empty() ? json(nullptr) : json(text);
    };
    described.push_back({{"matmul", library.backend.name},
                         {"available", found.usable()},
                         {"version", text_or_null(found.version)},
                         {"path", text_or_null(found.path)},
                         {"reason", text_or_null(found.usable() ? "" : AbsenceOf(library))}});
  }
  return described;
}

json Diagnosis() {
  json diagnosis = DescribeEnvironment();
  const auto steal = StealSeconds();
  const auto simd = CpuSimdLevel();
  diagnosis["steal_s"] = steal ? json(*steal) : json(nullptr);
  diagnosis["cpu_simd"] = simd ? json(*simd) : json(nullptr);
  diagnosis["openmp_threads"] = AvailableProcessors();
  diagnosis["eigen_caches"] = {{"l1_bytes", Eigen::l1CacheSize()},
                               {"l2_bytes", Eigen::l2CacheSize()},
                               {"l3_bytes", Eigen::l3CacheSize()}};
  diagnosis["counters"] = DescribeCounters();
  diagnosis["matmul_libraries"] = DescribeLibraries();
  return diagnosis;
}

std::string Simd(const json& diagnosis) {
  const std::string build = BuildSimdLevel(), cpu = Text(diagnosis["cpu_simd"]);
  if (build == cpu) return fmt::format("{}, as wide as the processor's", build);
  return fmt::format("{}; the processor has {}: configure with -DFLOPLEDGER_ARCH=native", build,
                     cpu);
}

/// The kernel's setting and what it means for those who are not root.
std::string Paranoid(const json& value) {
  if (value.is_null()) return "unavailable: /proc/sys/kernel/perf_event_paranoid cannot be read";
  const auto level = value.get<int64_t>();
  return level <= 2 ? fmt::format("{}: every user may count their own processes", level)
                    : fmt::format(
                          "{}: only root or CAP_PERFMON may count (as root: sysctl "
                          "kernel.perf_event_paranoid=2)",
                          level);
}

std::string CachesText(const json& diagnosis) {
  std::string text;
  for (const json& cache : diagnosis["caches"]) {
    text += fmt::format("{}L{} {} {}", text.empty() ? "" : ", ", cache["level"].get<int64_t>(),
                        cache["type"].get<std::string>(), cache["size"].get<std::string>());
  }
  return text.empty() ? kUnknown : text;
}

Table FactsTable(const json& d) {
  const json& counters = d["counters"];
  const json& eigen = d["eigen_caches"];
  Table table{{{"machine and build", false}, {"", false}}, {}};
  const auto add = [&](const char* name, const std::string& value) {
    table.rows.push_back({name, value});
  };
  add("CPU", Text(d["cpu"]));
  add("microarchitecture", counters["microarchitecture"].is_null()
                               ? "unavailable: not in the table of events"
                               : Text(counters["microarchitecture"]));
  add("processors", fmt::format("{}{}", d["processors"].get<int>(),
                                d["virtual_machine"] == true ? ", in a virtual machine" : ""));
  add("OpenMP threads", Text(d["openmp_threads"]));
  add("SMT", Text(d["smt"]));
  add("frequency governor", Text(d["governor"]));
  add("steal since boot",
      d["steal_s"].is_null() ? kUnknown : fmt::format("{:.2f} s", d["steal_s"].get<double>()));
  add("caches", CachesText(d));
  add("caches as Eigen reads them",
      fmt::format("L1 {} KiB, L2 {} KiB, L3 {} KiB", eigen["l1_bytes"].get<int64_t>() / 1024,
                  eigen["l2_bytes"].get<int64_t>() / 1024,
                  eigen["l3_bytes"].get<int64_t>() / 1024));
  add("SIMD level of this build", Simd(d));
  add("free memory", d["memory_available_bytes"].is_null()
                         ? kUnknown
                         : HumanBytes(d["memory_available_bytes"].get<int64_t>()));
  add("compiler and flags", fmt::format("{} {}", Text(d["compiler"]), Text(d["flags"])));
  add("perf_event_paranoid", Paranoid(counters["perf_event_paranoid"]));
  add("events encoded by", Text(counters["encoder"]));
  return table;
}

Table EventsTable(const json& counters) {
  Table table{{{"counter", false}, {"available", false}, {"why not, and what to do", false}}, {}};
  std::string last_reason;
  for (const json& event : counters["events"]) {
    const std::string reason = event["reason"].is_null() ? "" : event["reason"].get<std::string>();
    const bool repeated = !reason.empty() && reason == std::exchange(last_reason, reason);
    const bool available = event["available"].get<bool>();
    table.rows.push_back({event["event"].get<std::string>(), available ? "yes" : "no",
                          repeated ? "as above" : reason});
  }
  return table;
}

Table LibrariesTable(const json& libraries) {
  Table table{{{"matmul", false}, {"available", false}, {"which, or what to do", false}}, {}};
  for (const json& library : libraries) {
    const bool available = library["available"].get<bool>();
    table.rows.push_back(
        {library["matmul"].get<std::string>(), available ? "yes" : "no",
         available ? fmt::format("{}, {}", Text(library["version"]), Text(library["path"]))
                   : Text(library["reason"])});
  }
  return table;
}

std::string Verdict(const json& counters) {
  if (!counters["flops_available"].get<bool>()) {
    return "measured FLOPs by hardware counters: unavailable: " + Text(counters["flops_reason"]);
  }
  const json& check = counters["flops_check"];
  return fmt::format(
      "measured FLOPs by hardware counters: {}: a kernel of {} FLOPs was counted as {:.0f}",
      check["trusted"].get<bool>() ? "available" : "untrusted",
      Grouped(check["executed"].get<int64_t>()), check["counted"].get<double>());
}

}  // namespace

int RunDoctor(const DoctorOptions& options, std::ostream& out) {
  const Format format = ParseFormat(options.format);
  const json diagnosis = Diagnosis();
  const json& counters = diagnosis["counters"];
  switch (format) {
    case Format::kJson: out << diagnosis.dump(2) << '\n'; break;
    case Format::kCsv: out << EventsTable(counters).ToCsv(); break;
    case Format::kMarkdown:
      out << FactsTable(diagnosis).ToMarkdown() << '\n' << EventsTable(counters).ToMarkdown();
      out << '\n' << LibrariesTable(diagnosis["matmul_libraries"]).ToMarkdown();
      break;
    case Format::kTable:
      out << FactsTable(diagnosis).ToText() << '\n' << EventsTable(counters).ToText() << '\n';
      out << LibrariesTable(diagnosis["matmul_libraries"]).ToText() << '\n';
      fmt::print(out, "{}\n", Verdict(counters));
      if (const std::string note = Text(counters["flops_note"]);
          !note.empty() && !counters["flops_note"].is_null()) {
        fmt::print(out, "of these events: {}\n", note);
      }
      fmt::print(out, "exact counting run (--count sample, full): available\n");
  }
  return kDone;
}

}  // namespace flopledger
