#include "bench/machine/topology.h"

#include <hwloc.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string_view>
#include <type_traits>

#include "bench/machine/limits.h"

namespace flopledger {
namespace {

struct BitmapFree {
  void operator()(hwloc_bitmap_t bitmap) const { hwloc_bitmap_free(bitmap); }
};
using Bitmap = std::unique_ptr<std::remove_pointer_t<hwloc_bitmap_t>, BitmapFree>;

/// The processors of `set` that are among `usable`.
std::vector<int> ProcessorsOf(hwloc_const_cpuset_t set, hwloc_const_cpuset_t usable) {
  std::vector<int> processors;
  for (int i = hwloc_bitmap_first(set); i != -1; i = hwloc_bitmap_next(set, i)) {
    if (hwloc_bitmap_isset(usable, static_cast<unsigned>(i))) processors.push_back(i);
  }
  return processors;
}

/// The kinds of efficiency cores: those that Intel calls so, else the least efficient in hwloc's
/// order, which rises with performance.
std::vector<bool> EfficientKinds(hwloc_topology_t loaded) {
  const int kinds = std::max(0, hwloc_cpukinds_get_nr(loaded, 0));
  std::vector<bool> efficient(static_cast<std::size_t>(kinds), false);
  if (kinds < 2) return efficient;
  for (int kind = 0; kind < kinds; ++kind) {
    int rank = -1;
    unsigned count = 0;
    hwloc_info_s* infos = nullptr;
    hwloc_cpukinds_get_info(loaded, static_cast<unsigned>(kind), nullptr, &rank, &count, &infos, 0);
    std::string_view type;
    for (unsigned i = 0; i < count; ++i) {
      if (std::string_view(infos[i].name) == "CoreType") type = infos[i].value;
    }
    efficient[static_cast<std::size_t>(kind)] = type.empty() ? rank == 0 : type != "IntelCore";
  }
  return efficient;
}

bool IsEfficient(hwloc_topology_t loaded, const std::vector<bool>& efficient_kinds,
                 hwloc_const_cpuset_t set) {
  const int kind = hwloc_cpukinds_get_by_cpuset(loaded, set, 0);
  return kind >= 0 && efficient_kinds[static_cast<std::size_t>(kind)];
}

std::vector<Topology::Core> CoresOf(hwloc_topology_t loaded, hwloc_const_cpuset_t usable) {
  const std::vector<bool> efficient_kinds = EfficientKinds(loaded);
  // Some systems do not say which processors make a core.
  const hwloc_obj_type_t type =
      hwloc_get_nbobjs_by_type(loaded, HWLOC_OBJ_CORE) > 0 ? HWLOC_OBJ_CORE : HWLOC_OBJ_PU;
  std::vector<Topology::Core> cores;
  for (hwloc_obj_t core = nullptr;
       (core = hwloc_get_next_obj_by_type(loaded, type, core)) != nullptr;) {
    std::vector<int> processors = ProcessorsOf(core->cpuset, usable);
    if (processors.empty()) continue;
    cores.push_back({.processors = std::move(processors),
                     .efficient = IsEfficient(loaded, efficient_kinds, core->cpuset),
                     .numa_node = std::max(0, hwloc_bitmap_first(core->nodeset))});
  }
  std::ranges::stable_sort(cores, {}, &Topology::Core::efficient);
  return cores;
}

std::vector<Topology::Cache> CachesOf(hwloc_topology_t loaded, hwloc_const_cpuset_t usable) {
  std::vector<Topology::Cache> caches;
  for (const hwloc_obj_type_t type :
       {HWLOC_OBJ_L1CACHE, HWLOC_OBJ_L1ICACHE, HWLOC_OBJ_L2CACHE, HWLOC_OBJ_L2ICACHE,
        HWLOC_OBJ_L3CACHE, HWLOC_OBJ_L3ICACHE, HWLOC_OBJ_L4CACHE, HWLOC_OBJ_L5CACHE}) {
    for (hwloc_obj_t cache = nullptr;
         (cache = hwloc_get_next_obj_by_type(loaded, type, cache)) != nullptr;) {
      std::vector<int> processors = ProcessorsOf(cache->cpuset, usable);
      const auto& is = cache->attr->cache;
      if (processors.empty() || is.size == 0) continue;
      caches.push_back({.level = is.depth,
                        .type = is.type == HWLOC_OBJ_CACHE_UNIFIED ? "Unified"
                                : is.type == HWLOC_OBJ_CACHE_DATA  ? "Data"
                                                                   : "Instruction",
                        .bytes = static_cast<int64_t>(is.size),
                        .processors = std::move(processors)});
    }
  }
  return caches;
}

Topology ReadMachine() {
  const std::vector<int> usable = InitialAffinity();
  Topology found;
  hwloc_topology_t loaded = nullptr;
  if (hwloc_topology_init(&loaded) == 0) {
    // Reading must not move this thread from processor to processor.
    hwloc_topology_set_flags(loaded, HWLOC_TOPOLOGY_FLAG_DONT_CHANGE_BINDING);
    hwloc_topology_set_icache_types_filter(loaded, HWLOC_TYPE_FILTER_KEEP_ALL);
    if (hwloc_topology_load(loaded) == 0) found = DescribeTopology(loaded, usable);
    hwloc_topology_destroy(loaded);
  }
  if (found.cores.empty()) {
    found.caches.clear();
    for (const int processor : usable) found.cores.push_back({.processors = {processor}});
  }
  return found;
}

bool Share(const std::vector<int>& a, const std::vector<int>& b) {
  return std::ranges::find_first_of(a, b) != a.end();
}

}  // namespace

int64_t Topology::processors() const {
  int64_t count = 0;
  for (const Core& core : cores) count += static_cast<int64_t>(core.processors.size());
  return count;
}

int64_t Topology::performance_cores() const {
  return std::ranges::count(cores, false, &Core::efficient);
}

bool Topology::IsEfficient(int processor) const {
  const auto core = std::ranges::find_if(cores, [&](const Core& each) {
    return std::ranges::find(each.processors, processor) != each.processors.end();
  });
  return core != cores.end() && core->efficient;
}

Topology DescribeTopology(hwloc_topology* loaded, const std::vector<int>& usable) {
  const Bitmap allowed(hwloc_bitmap_dup(hwloc_topology_get_allowed_cpuset(loaded)));
  if (!usable.empty()) {
    const Bitmap asked(hwloc_bitmap_alloc());
    for (const int processor : usable) {
      hwloc_bitmap_set(asked.get(), static_cast<unsigned>(processor));
    }
    hwloc_bitmap_and(allowed.get(), allowed.get(), asked.get());
  }
  Topology topology{.cores = CoresOf(loaded, allowed.get()),
                    .caches = CachesOf(loaded, allowed.get())};
  std::set<int64_t> nodes;
  for (const Topology::Core& core : topology.cores) nodes.insert(core.numa_node);
  topology.numa_nodes = std::max<int64_t>(1, static_cast<int64_t>(nodes.size()));
  return topology;
}

const Topology& MachineTopology() {
  static const Topology topology = ReadMachine();
  return topology;
}

std::vector<std::vector<int>> PinPlan(const Topology& topology, int threads) {
  const std::size_t cores = topology.cores.size();
  std::vector<std::vector<int>> plan;
  for (std::size_t thread = 0; thread < static_cast<std::size_t>(threads); ++thread) {
    const std::vector<int>& processors = topology.cores[thread % cores].processors;
    if (static_cast<std::size_t>(threads) <= cores) {
      plan.push_back(processors);
    } else {
      plan.push_back({processors[thread / cores % processors.size()]});
    }
  }
  return plan;
}

std::vector<TeamCache> CachesOfTeam(const Topology& topology, int threads) {
  std::vector<int> close;  // processors of the first cores
  for (std::size_t i = 0; i < topology.cores.size() && i < static_cast<std::size_t>(threads); ++i) {
    const std::vector<int>& processors = topology.cores[i].processors;
    close.insert(close.end(), processors.begin(), processors.end());
  }
  std::map<int64_t, TeamCache> levels;
  std::map<int64_t, std::vector<int64_t>> sizes;
  for (const Topology::Cache& cache : topology.caches) {
    if (cache.type == "Instruction") continue;
    TeamCache& level = levels[cache.level];
    level.level = cache.level;
    if (Share(cache.processors, close)) level.close_bytes += cache.bytes;
    sizes[cache.level].push_back(cache.bytes);
  }
  std::vector<TeamCache> caches;
  for (auto& [number, level] : levels) {
    std::vector<int64_t>& largest_first = sizes[number];
    std::ranges::sort(largest_first, std::greater<>());
    for (std::size_t i = 0; i < largest_first.size() && i < static_cast<std::size_t>(threads);
         ++i) {
      level.reachable_bytes += largest_first[i];
    }
    caches.push_back(level);
  }
  return caches;
}

}  // namespace flopledger
