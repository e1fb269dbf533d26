// Where a ledger's rows come from: the machine, the build, the settings, and what was measured
// beside the rows. One struct, one list of its facts, one JSON writer and one reader. A fact that
// could not be read is absent, never guessed.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "analysis/ledger/ceilings.h"
#include "analysis/ledger/decode_figures.h"
#include "analysis/ledger/extrapolation.h"
#include "analysis/ledger/flops_evidence.h"

namespace flopledger {

/// One cache of the first processor.
struct CacheFacts {
  int64_t level = 1;
  std::string type;                  // "Data", "Instruction", "Unified"
  std::string size;                  // "32K"
  std::string shared_cpus;           // "0-1"
  std::optional<int64_t> instances;  // of such caches among the processors that may be used

  bool operator==(const CacheFacts&) const = default;
};

/// What Eigen takes the caches to be.
struct EigenCaches {
  int64_t l1_bytes = 0, l2_bytes = 0, l3_bytes = 0;

  bool operator==(const EigenCaches&) const = default;
};

/// A library of products.
struct LibraryFacts {
  std::string matmul;  // the backend's name
  std::string version, path;
  std::string reason;  // why it cannot be used; empty where it can

  bool operator==(const LibraryFacts&) const = default;
};

/// One hardware event; without a reason it can be counted.
struct EventFacts {
  std::string event;
  std::optional<std::string> reason;  // why it cannot be counted, and what to do

  bool operator==(const EventFacts&) const = default;
};

/// What hardware counters there are, or why not.
struct CounterFacts {
  std::optional<std::string> microarchitecture;  // absent where the table of events lacks it
  std::optional<std::string> flops_source, flops_note;
  std::optional<int64_t> perf_event_paranoid;
  std::string encoder;
  std::vector<EventFacts> events;
  bool flops_available = false;
  std::string flops_reason;  // why there are no FLOPs; empty where there are
  std::optional<TrustCheck> flops_check;

  bool operator==(const CounterFacts&) const = default;
};
/// "hardware counters: instructions, cycles; no FLOPs: …", or why there are none.
std::string Summary(const CounterFacts& counters);

/// The calibration that predicted seconds stand on.
struct CalibrationFacts {
  std::string taken;  // UTC
  std::vector<Ceilings> ceilings;
  std::optional<MachineSpeed> scaled_to;            // around the run
  std::optional<double> total_by_the_peak_alone_s;  // predicted, were all scaled with the FMA peak

  bool operator==(const CalibrationFacts&) const = default;
};

/// The time of a whole model, from layers that ran.
struct ExtrapolationFacts {
  int64_t layers_run = 0, layers_total = 0;
  Extrapolation pass;
  double confidence = kExtrapolationConfidence;
  // Between runs, that the interval holds; absent: none was calibrated.
  std::optional<double> drift{};

  bool operator==(const ExtrapolationFacts&) const = default;
};

/// Something that makes a repetition's time doubtful.
struct Disturbance {
  std::string matmul;
  int64_t repetition = 0;  // from 1 on
  std::string reason;
  bool replaced = false;  // by a repetition that was not disturbed

  bool operator==(const Disturbance&) const = default;
};

/// The sum over ranks in a pass of its own, with a barrier before each: what a rank waited for the
/// slowest, and what the sum then took. Seconds of one pass, the mean over the ranks.
struct CollectiveSplit {
  std::string op;
  double waiting_s = 0, transfer_s = 0;

  bool operator==(const CollectiveSplit&) const = default;
};

/// The processes of a run that share each pass.
struct RankFacts {
  int64_t ranks = 1;
  std::vector<std::string> hosts;  // of each rank, in order
  std::vector<CollectiveSplit> collectives;

  /// Different ones.
  int64_t NumHosts() const;
  bool operator==(const RankFacts&) const = default;
};

struct Environment {
  struct Machine {
    std::optional<std::string> cpu, cpu_family, cpu_model, architecture, kernel;
    std::optional<int64_t> processors;                     // that this process may use
    std::optional<std::string> processors_limited_by;      // what decides that number
    std::optional<int64_t> openmp_threads;                 // where none are asked for
    std::optional<std::string> openmp_threads_limited_by;  // what decides that number
    std::optional<int64_t> physical_cores, efficiency_cores, numa_nodes;  // of those processors
    std::optional<bool> virtual_machine;
    std::optional<std::string> governor, smt;
    std::optional<std::string> cpu_simd;  // the widest that the processor has
    std::optional<int64_t> memory_bytes, memory_available_bytes;
    std::vector<CacheFacts> caches;
    std::optional<EigenCaches> eigen_caches;

    bool operator==(const Machine&) const = default;
  } machine;

  struct Build {
    std::optional<std::string> version, commit, kernels, compiler, flags, build_type, simd, eigen;

    bool operator==(const Build&) const = default;
  } build;

  struct Settings {
    std::optional<std::string> run_id;
    std::string model;  // the configuration as JSON text; empty: the ledger has none
    std::optional<uint64_t> seed;
    std::optional<double> start_up_s;          // taking the memory, filling and packing the weights
    std::optional<double> observer_ns_per_op;  // what timing one op costs
    std::optional<std::string> pin;            // what binds threads to cores: "none", "cores", …
    std::optional<int64_t> warm_up_passes;     // before those timed; the first was verified

    bool operator==(const Settings&) const = default;
  } settings;

  std::vector<LibraryFacts> libraries;
  std::optional<CounterFacts> counters;
  std::optional<CalibrationFacts> calibration;
  std::optional<ExtrapolationFacts> extrapolation;
  std::optional<DecodeFigures> decode;
  std::optional<RankFacts> ranks;  // absent of one process
  std::optional<double> steal_s;  // that the hypervisor withheld during the run; doctor: since boot
  std::vector<Disturbance> disturbances;

  bool operator==(const Environment&) const = default;
};

/// What a fact decides, besides being shown.
enum FactUse : unsigned {
  kShown = 0,
  kCompared = 1,    // two runs that differ in it are not compared
  kCalibrated = 2,  // a calibration holds for one value of it only
};

/// The one list of single facts: visit(name, field, uses).
template <class AnyEnvironment, class Visit>
void ForEachFact(AnyEnvironment& environment, Visit&& visit) {
  constexpr unsigned kBoth = kCompared | kCalibrated;
  auto& machine = environment.machine;
  visit("cpu", machine.cpu, kBoth);
  visit("cpu_family", machine.cpu_family, kCalibrated);
  visit("cpu_model", machine.cpu_model, kCalibrated);
  visit("architecture", machine.architecture, kBoth);
  visit("kernel", machine.kernel, kShown);
  visit("processors", machine.processors, kBoth);
  visit("processors_limited_by", machine.processors_limited_by, kShown);
  visit("openmp_threads", machine.openmp_threads, kShown);
  visit("openmp_threads_limited_by", machine.openmp_threads_limited_by, kShown);
  visit("physical_cores", machine.physical_cores, kCalibrated);
  visit("efficiency_cores", machine.efficiency_cores, kCalibrated);
  visit("numa_nodes", machine.numa_nodes, kShown);
  visit("virtual_machine", machine.virtual_machine, kCompared);
  visit("governor", machine.governor, kShown);
  visit("smt", machine.smt, kShown);
  visit("cpu_simd", machine.cpu_simd, kShown);
  visit("memory_bytes", machine.memory_bytes, kShown);
  visit("memory_available_bytes", machine.memory_available_bytes, kShown);
  auto& build = environment.build;
  visit("version", build.version, kShown);
  visit("commit", build.commit, kShown);
  visit("kernels", build.kernels, kCalibrated);
  visit("compiler", build.compiler, kBoth);
  visit("flags", build.flags, kBoth);
  visit("build_type", build.build_type, kBoth);
  visit("simd", build.simd, kBoth);
  visit("eigen", build.eigen, kCalibrated);
  auto& settings = environment.settings;
  visit("run_id", settings.run_id, kShown);
  visit("seed", settings.seed, kShown);
  visit("start_up_s", settings.start_up_s, kShown);
  visit("observer_ns_per_op", settings.observer_ns_per_op, kShown);
  visit("pin", settings.pin, kShown);
  visit("warm_up_passes", settings.warm_up_passes, kShown);
  visit("steal_s", environment.steal_s, kShown);
}

/// The facts of that use as text, by name; those that are absent are left out.
std::map<std::string, std::string> FactsUsed(const Environment& environment, FactUse use);

/// One line for people: CPU, processors, SIMD level, compiler.
std::string OneLine(const Environment& environment);

nlohmann::json ToJson(const Environment& environment);
/// Reads what ToJson writes, and the ledgers of older builds: what they lack is absent. Throws
/// InputError for a value of another type.
Environment EnvironmentFromJson(const JsonReader& in);

}  // namespace flopledger
