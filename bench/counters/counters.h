// Hardware counters through perf_event_open: what they counted, or precisely why they cannot.
// One set of counters is opened on every OpenMP thread: workers that exist already are not
// inherited. Where the PMU has fewer counters than events, the kernel multiplexes them; values are
// scaled by time enabled over time running, and that factor is kept.
#pragma once

#include <linux/perf_event.h>

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

/// What a counter holds: its value, and nanoseconds that it was enabled and really ran.
struct CounterReading {
  uint64_t value = 0, enabled_ns = 0, running_ns = 0;
};

/// The kernel's side, so that tests can stand in for it.
struct CounterSystem {
  /// Opens a counter on the calling thread; a descriptor, or −errno.
  std::function<int(const perf_event_attr&)> open;
  std::function<std::optional<CounterReading>(int)> read;
  std::function<void(int)> close;
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
    std::vector<int> descriptors;          // one for each thread
    std::vector<CounterReading> at_start;  // likewise
  };

  void Open(const std::string& name, CounterQuantity quantity, double weight, uint32_t type,
            uint64_t config);
  std::string Reason(int error, bool is_hardware) const;

  CounterSystem system_;
  int threads_;
  const CpuRow* row_ = nullptr;
  std::vector<Event> events_;
  std::vector<std::string> available_;
  std::vector<UnavailableCounter> unavailable_;
  std::string no_flops_because_;
};

/// Runs a kernel of known FLOPs under the counters.
TrustCheck CheckCounters(Counters& counters);

/// What there is to count with on this machine. Where FLOPs are counted, checks them.
CounterFacts Describe(Counters& counters);

}  // namespace flopledger
