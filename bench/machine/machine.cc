#include "bench/machine/machine.h"

#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <Eigen/Core>
#include <algorithm>
#include <bit>
#include <charconv>
#include <fstream>
#include <set>
#include <sstream>
#include <string_view>

#include "bench/machine/build_info.h"
#include "kernels/fma_chains.h"

namespace flopledger {
namespace {

using nlohmann::json;

std::optional<std::string> FirstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  return line;
}

std::optional<int64_t> ReadInteger(const std::string& path) {
  const auto line = FirstLine(path);
  int64_t value = 0;
  if (!line ||
      std::from_chars(line->data(), line->data() + line->size(), value).ec != std::errc()) {
    return std::nullopt;  // such as a control group's "max": no limit
  }
  return value;
}

/// The value after "key" and a colon in a file such as /proc/cpuinfo or /proc/meminfo.
std::optional<std::string> ValueOf(const char* path, std::string_view key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos || !line.starts_with(key)) continue;
    if (line.find_last_not_of(" \t", colon - 1) + 1 != key.size()) continue;
    const std::size_t value = line.find_first_not_of(" \t", colon + 1);
    return value == std::string::npos ? "" : line.substr(value);
  }
  return std::nullopt;
}

std::optional<int64_t> MeminfoBytes(std::string_view key) {
  const auto text = ValueOf("/proc/meminfo", key);
  if (!text) return std::nullopt;
  return std::strtoll(text->c_str(), nullptr, 10) * 1024;
}

/// What the control groups from this process's own up to the root leave, if any sets a limit.
std::optional<int64_t> ControlGroupBytes() {
  const auto line = FirstLine("/proc/self/cgroup");  // version 2: "0::/path"
  if (!line || !line->starts_with("0::")) return std::nullopt;
  std::optional<int64_t> least;
  for (std::string path = line->substr(3);; path = path.substr(0, path.rfind('/'))) {
    const std::string group = "/sys/fs/cgroup" + (path == "/" ? "" : path);
    const auto limit = ReadInteger(group + "/memory.max");
    const auto used = ReadInteger(group + "/memory.current");
    if (limit && used) least = std::min(least.value_or(*limit - *used), *limit - *used);
    if (path.find('/') == std::string::npos) break;
  }
  return least;
}

std::optional<int64_t> AddressSpaceBytes() {
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return std::nullopt;
  const auto pages = FirstLine("/proc/self/statm");
  const int64_t used =
      pages ? std::strtoll(pages->c_str(), nullptr, 10) * sysconf(_SC_PAGESIZE) : 0;
  return static_cast<int64_t>(limit.rlim_cur) - used;
}

std::string CacheFolder(int index) {
  return fmt::format("/sys/devices/system/cpu/cpu0/cache/index{}/", index);
}

json Caches() {
  json caches = json::array();
  for (int index = 0;; ++index) {
    const auto folder = CacheFolder(index);
    const auto level = ReadInteger(folder + "level");
    if (!level) return caches;
    caches.push_back({{"level", *level},
                      {"type", FirstLine(folder + "type").value_or("")},
                      {"size", FirstLine(folder + "size").value_or("")},
                      {"shared_cpus", FirstLine(folder + "shared_cpu_list").value_or("")}});
  }
}

json Hypervisor() {
  const auto flags = ValueOf("/proc/cpuinfo", "flags");
  if (!flags) return nullptr;
  return flags->find("hypervisor") != std::string::npos;
}

template <class T>
json OrNull(const std::optional<T>& value) {
  return value ? json(*value) : json(nullptr);
}

}  // namespace

int AvailableProcessors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return CPU_COUNT(&set);
  return static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
}

int AvailableCores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return AvailableProcessors();
  std::set<std::string> cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &set)) continue;
    const std::string folder = fmt::format("/sys/devices/system/cpu/cpu{}/topology/", cpu);
    cores.insert(FirstLine(folder + "thread_siblings_list").value_or(folder));
  }
  return static_cast<int>(cores.size());
}

std::optional<int64_t> AvailableMemoryBytes() {
  std::optional<int64_t> least;
  for (const auto& bytes :
       {MeminfoBytes("MemAvailable"), ControlGroupBytes(), AddressSpaceBytes()}) {
    if (bytes) least = std::min(least.value_or(*bytes), *bytes);
  }
  return least;
}

std::vector<CacheLevel> DataCaches() {
  std::vector<CacheLevel> caches;
  for (int index = 0;; ++index) {
    const std::string folder = CacheFolder(index);
    const auto level = ReadInteger(folder + "level");
    if (!level) break;
    const auto size = FirstLine(folder + "size");  // such as "32K"
    if (!size || FirstLine(folder + "type") == "Instruction") continue;
    int shared_by = 0;  // a bit for each processor, in hexadecimal
    for (const char digit : FirstLine(folder + "shared_cpu_map").value_or("1")) {
      if (digit != ',') shared_by += std::popcount(std::stoul(std::string(1, digit), nullptr, 16));
    }
    caches.push_back({static_cast<int>(*level), std::strtoll(size->c_str(), nullptr, 10) * 1024,
                      std::max(1, shared_by)});
  }
  std::ranges::sort(caches, {}, &CacheLevel::level);
  return caches;
}

std::optional<double> StealSeconds() {
  const auto line =
      FirstLine("/proc/stat");  // cpu user nice system idle iowait irq softirq steal …
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
  const auto flags = ValueOf("/proc/cpuinfo", "flags");
  if (!flags) {
    const auto features = ValueOf("/proc/cpuinfo", "Features");  // ARM's
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

json DescribeEnvironment() {
  utsname system{};
  uname(&system);
  const BuildInfo& build = GetBuildInfo();
  return {
      {"cpu", OrNull(ValueOf("/proc/cpuinfo", "model name"))},
      {"cpu_family", OrNull(ValueOf("/proc/cpuinfo", "cpu family"))},
      {"cpu_model", OrNull(ValueOf("/proc/cpuinfo", "model"))},
      {"architecture", system.machine},
      {"kernel", system.release},
      {"processors", AvailableProcessors()},
      {"virtual_machine", Hypervisor()},
      {"governor", OrNull(FirstLine("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"))},
      {"smt", OrNull(FirstLine("/sys/devices/system/cpu/smt/control"))},
      {"caches", Caches()},
      {"memory_bytes", OrNull(MeminfoBytes("MemTotal"))},
      {"memory_available_bytes", OrNull(AvailableMemoryBytes())},
      {"version", build.version},
      {"commit", build.commit},
      {"kernels", build.kernels},
      {"compiler", build.compiler},
      {"flags", build.flags},
      {"build_type", build.build_type},
      {"simd", BuildSimdLevel()},
      {"eigen",
       fmt::format("{}.{}.{}", EIGEN_WORLD_VERSION, EIGEN_MAJOR_VERSION, EIGEN_MINOR_VERSION)},
  };
}

std::string EnvironmentLine(const json& environment) {
  const json& cpu = environment.at("cpu");
  return fmt::format(
      "{}, {} processor{}{}, {}, {} ({})", cpu.is_string() ? cpu.get<std::string>() : "unknown CPU",
      environment.at("processors").get<int>(), environment.at("processors") == 1 ? "" : "s",
      environment.at("virtual_machine") == true ? " in a virtual machine" : "",
      environment.at("simd").get<std::string>(), environment.at("compiler").get<std::string>(),
      environment.at("build_type").get<std::string>());
}

}  // namespace flopledger
