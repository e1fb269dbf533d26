// Which cores, caches and NUMA nodes this process may use, as hwloc finds them. The description is
// plain data, and what follows from it is arithmetic: tests describe machines that are not here.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

struct hwloc_topology;

namespace flopledger {

/// Processors are the system's numbers of logical processors, rising; only those that this process
/// may use are named.
struct Topology {
  struct Core {
    std::vector<int> processors;  // SMT siblings; at least one
    bool efficient = false;       // an efficiency core of a hybrid processor
    int64_t numa_node = 0;
  };
  struct Cache {
    int64_t level = 1;
    std::string type;  // "Data", "Instruction", "Unified"
    int64_t bytes = 0;
    std::vector<int> processors;  // that share it
  };
  std::vector<Core> cores;    // performance cores first, else in the machine's order
  std::vector<Cache> caches;  // the nearest level first
  int64_t numa_nodes = 1;     // of those cores

  int64_t processors() const;
  int64_t performance_cores() const;
  /// Whether that processor is of an efficiency core; false where it is none of these.
  bool IsEfficient(int processor) const;
};

/// Describes what hwloc has loaded, as far as it is among `usable` processors; all of it where that
/// is empty. Without a usable processor there are no cores.
Topology DescribeTopology(hwloc_topology* loaded, const std::vector<int>& usable);

/// That of this machine and process, read once. Where hwloc cannot read it, each usable processor
/// counts as a core, and no cache is known; there is at least one core.
const Topology& MachineTopology();

/// Which processors each of `threads` threads is bound to: a core of its own, in the order of
/// Topology::cores; where there are more threads than cores, one processor of a core for each.
std::vector<std::vector<int>> PinPlan(const Topology& topology, int threads);

/// A level of cache for data, as a team of threads has it.
struct TeamCache {
  int64_t level = 1;
  int64_t close_bytes = 0;      // of the caches of the first cores, a core for each thread
  int64_t reachable_bytes = 0;  // of the most caches that so many threads can run on at a time
};
/// The nearest level first; empty where no cache is known.
std::vector<TeamCache> CachesOfTeam(const Topology& topology, int threads);

}  // namespace flopledger
