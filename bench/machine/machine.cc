#include "bench/machine/machine.h"

#include <fmt/format.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <Eigen/Core>
#include <algorithm>
#include <bit>
#include <set>
#include <sstream>
#include <string_view>

#include "bench/machine/build_info.h"
#include "bench/machine/kernel_files.h"
#include "bench/machine/limits.h"
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

std::string CacheFolder(int index) {
  return fmt::format("/sys/devices/system/cpu/cpu0/cache/index{}/", index);
}

std::vector<CacheFacts> Caches() {
  const KernelFiles files;
  std::vector<CacheFacts> caches;
  for (int index = 0;; ++index) {
    const auto folder = CacheFolder(index);
    const auto level = files.Integer(folder + "level");
    if (!level) return caches;
    caches.push_back({.level = *level,
                      .type = files.FirstLine(folder + "type").value_or(""),
                      .size = files.FirstLine(folder + "size").value_or(""),
                      .shared_cpus = files.FirstLine(folder + "shared_cpu_list").value_or("")});
  }
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

}  // namespace

namespace {

ProcessorLimits& MutableProcessors() {
  static ProcessorLimits limits = FindProcessorLimits(SystemLimitSources());
  return limits;
}

int64_t processors_of_host = 0;  // 0: this process is alone

}  // namespace

const ProcessorLimits& Processors() { return MutableProcessors(); }

void DivideProcessors(int64_t of_host, int64_t ranks) {
  LimitSources sources = SystemLimitSources();
  sources.affinity = of_host;
  processors_of_host = FindProcessorLimits(sources).Decisive().processors;
  if (ranks == 1) return;
  MutableProcessors().limits.push_back(
      {"the ranks on this host", std::max<int64_t>(1, processors_of_host / ranks)});
}

int AvailableProcessors() { return static_cast<int>(Processors().Decisive().processors); }

int AvailableCores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return AvailableProcessors();
  std::set<std::string> cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &set)) continue;
    const std::string folder = fmt::format("/sys/devices/system/cpu/cpu{}/topology/", cpu);
    cores.insert(KernelFiles().FirstLine(folder + "thread_siblings_list").value_or(folder));
  }
  return static_cast<int>(cores.size());
}

std::optional<int64_t> AvailableMemoryBytes() {
  std::optional<int64_t> least;
  for (const auto& bytes :
       {MeminfoBytes("MemAvailable"), ControlGroupBytes(KernelFiles()), AddressSpaceBytes()}) {
    if (bytes) least = std::min(least.value_or(*bytes), *bytes);
  }
  return least;
}

std::vector<CacheLevel> DataCaches() {
  std::vector<CacheLevel> caches;
  for (int index = 0;; ++index) {
    const std::string folder = CacheFolder(index);
    const auto level = KernelFiles().Integer(folder + "level");
    if (!level) break;
    const auto size = KernelFiles().FirstLine(folder + "size");  // such as "32K"
    if (!size || KernelFiles().FirstLine(folder + "type") == "Instruction") continue;
    int shared_by = 0;  // a bit for each processor, in hexadecimal
    for (const char digit : KernelFiles().FirstLine(folder + "shared_cpu_map").value_or("1")) {
      if (digit != ',') shared_by += std::popcount(std::stoul(std::string(1, digit), nullptr, 16));
    }
    caches.push_back({static_cast<int>(*level), std::strtoll(size->c_str(), nullptr, 10) * 1024,
                      std::max(1, shared_by)});
  }
  std::ranges::sort(caches, {}, &CacheLevel::level);
  return caches;
}

std::optional<double> StealSeconds() {
  const auto line = KernelFiles().FirstLine(
      "/proc/stat");  // cpu user nice system idle iowait irq softirq steal …
  if (!line) return std::nullopt;
  std::istringstream fields(*line);
  std::string name;
  int64_t ticks = 0;
  fields >> name;
  for (int i = 0; i < 8; ++i) fields >> ticks;
  if (!fields) return std::nullopt;
  return static_cast<double>(ticks) / static_cast<double>(sysconf(_SC_CLK_TCK));
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
      .openmp_threads = AvailableProcessors(),
      .virtual_machine = UnderHypervisor(),
      .governor = files.FirstLine("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
      .smt = files.FirstLine("/sys/devices/system/cpu/smt/control"),
      .cpu_simd = CpuSimdLevel(),
      .memory_bytes = MeminfoBytes("MemTotal"),
      .memory_available_bytes = AvailableMemoryBytes(),
      .caches = Caches(),
      .eigen_caches = EigenCaches{.l1_bytes = Eigen::l1CacheSize(),
                                  .l2_bytes = Eigen::l2CacheSize(),
                                  .l3_bytes = Eigen::l3CacheSize()}};
  environment.build = DescribeBuild();
  return environment;
}

}  // namespace flopledger
