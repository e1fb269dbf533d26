#include "bench/machine/limits.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <sstream>

namespace flopledger {
namespace {

/// The affinity mask before any library's constructor has run: libgomp's binds the main thread.
cpu_set_t initial_affinity;
bool has_initial_affinity = false;

/// Runs before a sanitizer has set itself up.
__attribute__((no_sanitize("address", "undefined"))) void KeepInitialAffinity(int, char**, char**) {
  has_initial_affinity = sched_getaffinity(0, sizeof(initial_affinity), &initial_affinity) == 0;
}

/// The dynamic linker calls this before the constructors of shared libraries.
[[gnu::section(".preinit_array"),
  gnu::used]] void (*keep_initial_affinity)(int, char**, char**) = KeepInitialAffinity;

/// The folders of the process's control group that has `controller` and of all above it, its own
/// first. In a container the path may lie outside of what is mounted; the topmost is there.
std::vector<std::string> ControlGroups(const KernelFiles& files, const std::string& controller) {
  std::vector<std::string> folders;
  std::istringstream lines(files.Text("/proc/self/cgroup").value_or(""));
  for (std::string line; std::getline(lines, line);) {  // "4:cpu,cpuacct:/path", "0::/path"
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string names = line.substr(first + 1, second - first - 1);
    const bool version_2 = names.empty();
    if (!version_2 && ("," + names + ",").find("," + controller + ",") == std::string::npos) {
      continue;
    }
    const std::string mount = version_2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/" + names;
    std::string path = line.substr(second + 1);
    while (path.ends_with('/')) path.pop_back();
    for (;; path.resize(path.rfind('/'))) {
      folders.push_back(mount + path);
      if (path.empty()) break;
    }
  }
  return folders;
}

/// Whole processors of the quota of one control group; absent where it sets none.
std::optional<int64_t> QuotaProcessors(const KernelFiles& files, const std::string& folder) {
  std::optional<int64_t> quota, period;
  if (const auto line = files.FirstLine(folder + "/cpu.max")) {  // version 2: "200000 100000"
    std::istringstream words(*line);
    int64_t quota_us = 0, period_us = 0;
    if (words >> quota_us >> period_us) quota = quota_us, period = period_us;
  } else {
    quota = files.Integer(folder + "/cpu.cfs_quota_us");  // version 1: −1 for none
    period = files.Integer(folder + "/cpu.cfs_period_us");
  }
  if (quota.value_or(0) <= 0 || period.value_or(0) <= 0) return std::nullopt;
  return std::max<int64_t>(1, *quota / *period);
}

/// The first number of a variable such as OMP_NUM_THREADS=4,2; absent where it is not set, or to
/// what OpenMP ignores.
std::optional<int64_t> FirstNumber(const char* text) {
  if (text == nullptr) return std::nullopt;
  std::string_view words = text;
  words.remove_prefix(std::min(words.size(), words.find_first_not_of(" \t")));
  int64_t value = 0;
  const auto read = std::from_chars(words.data(), words.data() + words.size(), value);
  const bool ends = read.ptr == words.data() + words.size() || *read.ptr == ',' || *read.ptr == ' ';
  if (read.ec != std::errc() || !ends || value < 1) return std::nullopt;
  return value;
}

/// The number after `key` in lines such as "inactive_file 4096".
int64_t Field(const std::string& text, const std::string& key) {
  std::istringstream words(text);
  std::string name;
  for (int64_t value = 0; words >> name >> value;) {
    if (name == key) return value;
  }
  return 0;
}

}  // namespace

const ProcessorLimit& ProcessorLimits::Decisive() const {
  return *std::ranges::min_element(limits, {}, &ProcessorLimit::processors);
}

std::vector<int> InitialAffinity() {
  std::vector<int> processors;
  const int64_t count = has_initial_affinity ? CPU_SETSIZE : sysconf(_SC_NPROCESSORS_ONLN);
  for (int i = 0; i < count; ++i) {
    if (!has_initial_affinity || CPU_ISSET(i, &initial_affinity)) processors.push_back(i);
  }
  return processors;
}

LimitSources SystemLimitSources() {
  return {.files = KernelFiles(),
          .affinity = static_cast<int64_t>(InitialAffinity().size()),
          .variable = getenv,
          .online = sysconf(_SC_NPROCESSORS_ONLN)};
}

ProcessorLimits FindProcessorLimits(const LimitSources& sources) {
  ProcessorLimits found;
  if (sources.online > 0) found.limits.push_back({"the machine's processors", sources.online});
  found.limits.push_back({"the affinity of the process", sources.affinity});
  for (const std::string& folder : ControlGroups(sources.files, "cpu")) {
    if (const auto quota = QuotaProcessors(sources.files, folder)) {
      found.limits.push_back({"the control group's CPU quota", *quota});
    }
  }
  for (const char* name : {"OMP_THREAD_LIMIT", "OMP_NUM_THREADS"}) {
    if (const auto number = FirstNumber(sources.variable(name))) {
      found.limits.push_back({name, *number});
    }
  }
  return found;
}

ProcessorLimits FindThreadLimits(ProcessorLimits processors, const Topology& topology,
                                 int64_t ranks) {
  const auto all = static_cast<int64_t>(topology.cores.size());
  const int64_t performance = topology.performance_cores();
  const bool is_hybrid = performance > 0 && performance < all;
  if (all > 0) {
    processors.limits.push_back(
        {is_hybrid ? "the physical performance cores" : "the physical cores",
         std::max<int64_t>(1, (is_hybrid ? performance : all) / ranks)});
  }
  return processors;
}

std::optional<double> ThrottledSeconds(const KernelFiles& files) {
  std::optional<double> longest;
  for (const std::string& folder : ControlGroups(files, "cpu")) {
    const auto stat = files.Text(folder + "/cpu.stat");
    if (!stat) continue;
    // Version 2 counts in us, version 1 in ns.
    const double seconds = 1e-6 * static_cast<double>(Field(*stat, "throttled_usec")) +
                           1e-9 * static_cast<double>(Field(*stat, "throttled_time"));
    longest = std::max(longest.value_or(0), seconds);
  }
  return longest;
}

std::optional<int64_t> ControlGroupBytes(const KernelFiles& files) {
  // What version 1 calls no limit: the largest number of whole pages.
  constexpr int64_t kNoLimit = int64_t{1} << 60;
  std::optional<int64_t> least;
  for (const std::string& folder : ControlGroups(files, "memory")) {
    const bool version_2 = files.FirstLine(folder + "/memory.max").has_value();
    const auto limit =
        files.Integer(folder + (version_2 ? "/memory.max" : "/memory.limit_in_bytes"));
    const auto used =
        files.Integer(folder + (version_2 ? "/memory.current" : "/memory.usage_in_bytes"));
    if (!limit || !used || *limit >= kNoLimit) continue;
    const std::string stat = files.Text(folder + "/memory.stat").value_or("");
    const std::string prefix = version_2 ? "" : "total_";  // with the groups below it
    const int64_t cache =
        Field(stat, prefix + "active_file") + Field(stat, prefix + "inactive_file");
    const int64_t left = *limit - std::max<int64_t>(0, *used - cache);
    least = std::min(least.value_or(left), left);
  }
  return least;
}

}  // namespace flopledger
