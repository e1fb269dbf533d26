// Hardware counters through perf_event_open: what they counted, or precisely why they cannot.
// One group of counters is opened on every OpenMP thread: workers that exist already are not
// inherited, and what a group counts, it counts in the same time. What the PMU cannot hold beside
// the others is a group of its own; the kernel multiplexes groups, values are scaled by time
// enabled over time running, and that factor is kept.
#pragma once

#include <linux/perf_event.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "analysis/ledger/environment.h"
#include "analysis/ledger/flops_evidence.h"
#include "bench/counters/cpu_table.h"

namespace flopledger {

/// What a counter gives.
enum class CounterQuantity {
  kFlops,
  kInstructions,
  kCycles,
  kCacheMisses,
  kTaskClockNs,
  kPageFaults,
  kContextSwitches,
};

/// One event that cannot be counted, and why, with what to do.
struct UnavailableCounter {
  std::string name;
  std::string reason;
};

/// What a group of counters holds: nanoseconds that it was enabled and really ran, and the values
/// in the order in which they were opened.
struct GroupReading {
  static constexpr std::size_t kMost = 16;
  uint64_t count = 0, enabled_ns = 0, running_ns = 0;  // as the kernel lays them out
  std::array<uint64_t, kMost> values{};
};

/// The kernel's side, so that tests can stand in for it.
struct CounterSystem {
  /// Opens a counter on the calling thread, in the group of `leader`, or as the leader of its own
  /// where that is −1; a descriptor, or −errno.
  std::function<int(const perf_event_attr&, int leader)> open;
  std::function<std::optional<GroupReading>(int leader)> read;
  std::function<void(int)> close;
  /// Raises the limit of open files where fewer than `more` would be left, as far as it may be;
  /// returns how many may be open.
  std::function<int64_t(int64_t more)> allow_files;
  std::string cpuinfo;                 // the text of /proc/cpuinfo
  std::optional<int64_t> paranoid;     // /proc/sys/kernel/perf_event_paranoid
  std::optional<int64_t> hybrid_type;  // the PMU type of a hybrid processor's performance cores
};
CounterSystem LinuxCounters();

class Counters {
 public:
  /// Opens what can be opened on each of `threads` OpenMP threads.
  explicit Counters(int threads, CounterSystem system = LinuxCounters());
  ~Counters();
  Counters(const Counters&) = delete;
  Counters& operator=(const Counters&) = delete;

  bool Has(CounterQuantity quantity) const;
  const std::vector<std::string>& available() const { return available_; }
  const std::vector<UnavailableCounter>& unavailable() const { return unavailable_; }
  /// Why FLOPs cannot be counted; empty where they can.
  const std::string& no_flops_because() const { return no_flops_because_; }
  /// /proc/sys/kernel/perf_event_paranoid; absent where it cannot be read.
  std::optional<int64_t> paranoid() const { return system_.paranoid; }
  /// The microarchitecture's row, or null for a processor that the table does not know.
  const CpuRow* row() const { return row_; }

  void Start();
  /// Counts since Start.
  CounterFigures Stop();

 private:
  struct Event {
    std::string name;
    CounterQuantity quantity;
    double weight;
    uint32_t type;
    uint64_t config;
  };
  struct Group {
    std::vector<Event> events;
    std::vector<int> leaders;            // one for each thread
    std::vector<int> others;             // descriptors
    std::vector<GroupReading> at_start;  // one for each thread
  };

  void OpenAll();
  void Open(const Event& event);
  std::vector<int> OpenOnThreads(const Event& event, const std::vector<int>* leaders);
  void CloseAll();
  bool HasStarvedGroup();
  std::string Reason(int error, bool is_hardware) const;

  CounterSystem system_;
  int threads_;
  const CpuRow* row_ = nullptr;
  int64_t files_allowed_ = 0;
  bool grouped_ = true;
  std::vector<Group> groups_;
  std::vector<std::string> available_;
  std::vector<UnavailableCounter> unavailable_;
  std::string no_flops_because_;
};

/// Runs a kernel of known FLOPs under the counters.
TrustCheck CheckCounters(Counters& counters);

/// What there is to count with on this machine. Where FLOPs are counted, checks them.
CounterFacts Describe(Counters& counters);

}  // namespace flopledger
