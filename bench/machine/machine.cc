#include "bench/machine/machine.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <Eigen/Core>
#include <algorithm>
#include <string_view>

#include "bench/machine/activity.h"
#include "bench/machine/build_info.h"
#include "bench/machine/kernel_files.h"
#include "bench/machine/limits.h"
#include "bench/machine/pinning.h"
#include "bench/machine/topology.h"
#include "kernels/fma_chains.h"

namespace flopledger {
namespace {

std::optional<int64_t> MeminfoBytes(std::string_view key) {
  const auto text = KernelFiles().Value("/proc/meminfo", key);
  if (!text) return std::nullopt;
  return std::strtoll(text->c_str(), nullptr, 10) * 1024;
}

std::optional<int64_t> AddressSpaceBytes() {
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return std::nullopt;
  const auto pages = KernelFiles().FirstLine("/proc/self/statm");
  const int64_t used =
      pages ? std::strtoll(pages->c_str(), nullptr, 10) * sysconf(_SC_PAGESIZE) : 0;
  return static_cast<int64_t>(limit.rlim_cur) - used;
}

/// "32K", "1M": the largest unit in which it is a whole number.
std::string CacheSize(int64_t bytes) {
  const bool in_mebibytes = bytes % (int64_t{1} << 20) == 0;
  return in_mebibytes ? fmt::format("{}M", bytes >> 20) : fmt::format("{}K", bytes >> 10);
}

/// "0-3,8": as the kernel writes a list of processors.
std::string ProcessorList(const std::vector<int>& processors) {
  std::string list;
  for (std::size_t first = 0; first < processors.size();) {
    std::size_t last = first;
    while (last + 1 < processors.size() && processors[last + 1] == processors[last] + 1) ++last;
    list += fmt::format("{}{}", list.empty() ? "" : ",", processors[first]);
    if (last > first) list += fmt::format("-{}", processors[last]);
    first = last + 1;
  }
  return list;
}

/// The caches of the first core, with the number of their like.
std::vector<CacheFacts> Caches(const Topology& topology) {
  std::vector<CacheFacts> facts;
  for (const Topology::Cache& cache : topology.caches) {
    const int first = topology.cores.front().processors.front();
    const auto alike = std::ranges::count_if(topology.caches, [&](const Topology::Cache& other) {
      return other.level == cache.level && other.type == cache.type;
    });
    if (std::ranges::find(cache.processors, first) == cache.processors.end()) continue;
    facts.push_back({.level = cache.level,
                     .type = cache.type,
                     .size = CacheSize(cache.bytes),
                     .shared_cpus = ProcessorList(cache.processors),
                     .instances = alike});
  }
  return facts;
}

std::optional<bool> UnderHypervisor() {
  const auto flags = KernelFiles().Value("/proc/cpuinfo", "flags");
  if (!flags) return std::nullopt;
  return flags->find("hypervisor") != std::string::npos;
}

Environment::Build DescribeBuild() {
  const BuildInfo& build = GetBuildInfo();
  return {.version = std::string(build.version),
          .commit = std::string(build.commit),
          .kernels = std::string(build.kernels),
          .compiler = std::string(build.compiler),
          .flags = std::string(build.flags),
          .build_type = std::string(build.build_type),
          .simd = BuildSimdLevel(),
          .eigen = fmt::format("{}.{}.{}", EIGEN_WORLD_VERSION, EIGEN_MAJOR_VERSION,
                               EIGEN_MINOR_VERSION)};
}

ProcessorLimits& MutableProcessors() {
  static ProcessorLimits limits = FindProcessorLimits(SystemLimitSources());
  return limits;
}

LimitSources WithoutVariables(LimitSources sources) {
  sources.variable = [](const char*) -> const char* { return nullptr; };
  return sources;
}

int64_t processors_of_host = 0;  // 0: this process is alone
int64_t ranks_sharing = 1;

}  // namespace

const ProcessorLimits& Processors() { return MutableProcessors(); }

std::optional<int64_t> ProcessorsOfMachine() {
  if (processors_of_host > 0) return std::nullopt;
  return FindProcessorLimits(WithoutVariables(SystemLimitSources())).Decisive().processors;
}

void DivideProcessors(int64_t of_host, int64_t ranks) {
  LimitSources sources = WithoutVariables(SystemLimitSources());  // they hold for each rank
  const int64_t own = FindProcessorLimits(sources).Decisive().processors;
  sources.affinity = of_host;
  processors_of_host = FindProcessorLimits(sources).Decisive().processors;
  ranks_sharing = ranks;
  if (ranks == 1) return;
  MutableProcessors().limits.push_back(
      {"the ranks on this host", std::max<int64_t>(1, own / ranks)});
}

int64_t RanksSharingProcessors() { return ranks_sharing; }

int AvailableProcessors() { return static_cast<int>(Processors().Decisive().processors); }

const ProcessorLimits& Threads() {
  static const ProcessorLimits limits =
      FindThreadLimits(Processors(), MachineTopology(), ranks_sharing);
  return limits;
}

int DefaultThreads() { return static_cast<int>(Threads().Decisive().processors); }

std::optional<int64_t> AvailableMemoryBytes() {
  std::optional<int64_t> least;
  for (const auto& bytes :
       {MeminfoBytes("MemAvailable"), ControlGroupBytes(KernelFiles()), AddressSpaceBytes()}) {
    if (bytes) least = std::min(least.value_or(*bytes), *bytes);
  }
  return least;
}

std::optional<double> StealSeconds() {
  const auto time = ReadProcessorTime(KernelFiles(), InitialAffinity());
  return time ? std::optional(time->stolen_s) : std::nullopt;
}

std::optional<std::string> CpuSimdLevel() {
  const auto flags = KernelFiles().Value("/proc/cpuinfo", "flags");
  if (!flags) {
    const auto features = KernelFiles().Value("/proc/cpuinfo", "Features");  // ARM's
    if (features && features->find("asimd") != std::string::npos) return "NEON";
    return std::nullopt;
  }
  const auto has = [&](const char* flag) {
    return (" " + *flags + " ").find(fmt::format(" {} ", flag)) != std::string::npos;
  };
  if (has("avx512f")) return "AVX-512";
  if (has("avx2") && has("fma")) return "AVX2+FMA";
  if (has("avx")) return "AVX";
  return "SSE2";
}

Environment DescribeMachine() {
  const KernelFiles files;
  const Topology& topology = MachineTopology();
  const auto cores = static_cast<int64_t>(topology.cores.size());
  utsname system{};
  uname(&system);
  Environment environment;
  environment.machine = {
      .cpu = files.Value("/proc/cpuinfo", "model name"),
      .cpu_family = files.Value("/proc/cpuinfo", "cpu family"),
      .cpu_model = files.Value("/proc/cpuinfo", "model"),
      .architecture = system.machine,
      .kernel = system.release,
      .processors = processors_of_host > 0 ? processors_of_host : AvailableProcessors(),
      .processors_limited_by = Processors().Decisive().name,
      .openmp_threads = DefaultThreads(),
      .openmp_threads_limited_by = Threads().Decisive().name,
      .physical_cores = cores,
      .efficiency_cores = cores - topology.performance_cores(),
      .numa_nodes = topology.numa_nodes,
      .virtual_machine = UnderHypervisor(),
      .governor = files.FirstLine("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
      .smt = files.FirstLine("/sys/devices/system/cpu/smt/control"),
      .cpu_simd = CpuSimdLevel(),
      .memory_bytes = MeminfoBytes("MemTotal"),
      .memory_available_bytes = AvailableMemoryBytes(),
      .caches = Caches(topology),
      .eigen_caches = EigenCaches{.l1_bytes = Eigen::l1CacheSize(),
                                  .l2_bytes = Eigen::l2CacheSize(),
                                  .l3_bytes = Eigen::l3CacheSize()}};
  environment.settings.pin = PinningText();
  environment.build = DescribeBuild();
  return environment;
}

}  // namespace flopledger
