#include "bench/counters/counters.h"

#include <fmt/format.h>
#include <omp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "bench/machine/kernel_files.h"
#include "kernels/fma_chains.h"

namespace flopledger {
namespace {

std::optional<double>& Slot(CounterFigures& figures, CounterQuantity quantity) {
  switch (quantity) {
    case CounterQuantity::kFlops: return figures.flops;
    case CounterQuantity::kInstructions: return figures.instructions;
    case CounterQuantity::kCycles: return figures.cycles;
    case CounterQuantity::kCacheMisses: return figures.cache_misses;
    case CounterQuantity::kTaskClockNs: return figures.task_clock_ns;
    case CounterQuantity::kPageFaults: return figures.page_faults;
    case CounterQuantity::kContextSwitches: break;
  }
  return figures.context_switches;
}

struct GenericEvent {
  const char* name;
  CounterQuantity quantity;
  uint32_t type;
  uint64_t config;
};
constexpr GenericEvent kGenericEvents[] = {
    {"instructions", CounterQuantity::kInstructions, PERF_TYPE_HARDWARE,
     PERF_COUNT_HW_INSTRUCTIONS},
    {"cycles", CounterQuantity::kCycles, PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES},
    {"cache-misses", CounterQuantity::kCacheMisses, PERF_TYPE_HARDWARE, PERF_COUNT_HW_CACHE_MISSES},
    {"task-clock", CounterQuantity::kTaskClockNs, PERF_TYPE_SOFTWARE, PERF_COUNT_SW_TASK_CLOCK},
    {"page-faults", CounterQuantity::kPageFaults, PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS},
    {"context-switches", CounterQuantity::kContextSwitches, PERF_TYPE_SOFTWARE,
     PERF_COUNT_SW_CONTEXT_SWITCHES},
};

}  // namespace

CounterSystem LinuxCounters() {
  const KernelFiles files;
  return {
      .open =
          [](const perf_event_attr& attributes) {
            const auto descriptor = static_cast<int>(
                syscall(SYS_perf_event_open, &attributes, 0, -1, -1, PERF_FLAG_FD_CLOEXEC));
            return descriptor < 0 ? -errno : descriptor;
          },
      .read = [](int descriptor) -> std::optional<CounterReading> {
        CounterReading reading;
        if (read(descriptor, &reading, sizeof(reading)) != sizeof(reading)) return std::nullopt;
        return reading;
      },
      .close = [](int descriptor) { close(descriptor); },
      .cpuinfo = files.Text("/proc/cpuinfo").value_or(""),
      .paranoid = files.Integer("/proc/sys/kernel/perf_event_paranoid"),
      .hybrid_type = files.Integer("/sys/bus/event_source/devices/cpu_core/type"),
  };
}

Counters::Counters(int threads, CounterSystem system)
    : system_(std::move(system)), threads_(threads) {
  const auto cpu = IdentifyCpu(system_.cpuinfo);
  if (cpu) row_ = FindCpu(*cpu);
  if (row_ == nullptr) {
    no_flops_because_ = "this processor is not in the table of events; generic counters are tried";
  } else if (row_->flops.empty()) {
    no_flops_because_ = row_->note;
  } else {
    const auto raw = static_cast<uint32_t>(system_.hybrid_type.value_or(PERF_TYPE_RAW));
    for (const FlopEvent& event : row_->flops) {
      Open(std::string(event.name), CounterQuantity::kFlops, event.flops, raw,
           EncodeEvent(*row_, event).value_or(event.code));
    }
    // Some of the events would give a part of the FLOPs and look like all of them.
    if (!unavailable_.empty()) {
      no_flops_because_ = unavailable_.front().reason;
      std::erase_if(events_, [&](const Event& event) {
        for (const int descriptor : event.descriptors) system_.close(descriptor);
        return true;
      });
      available_.clear();
    }
  }
  for (const GenericEvent& event : kGenericEvents) {
    Open(event.name, event.quantity, 1, event.type, event.config);
  }
}

Counters::~Counters() {
  for (const Event& event : events_) {
    for (const int descriptor : event.descriptors) system_.close(descriptor);
  }
}

void Counters::Open(const std::string& name, CounterQuantity quantity, double weight, uint32_t type,
                    uint64_t config) {
  perf_event_attr attributes{};
  attributes.size = sizeof(attributes);
  attributes.type = type;
  attributes.config = config;
  attributes.exclude_kernel = 1;
  attributes.exclude_hv = 1;
  attributes.read_format = PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING;
  std::vector<int> opened(static_cast<std::size_t>(threads_), -EAGAIN);
#pragma omp parallel num_threads(threads_)
  opened[static_cast<std::size_t>(omp_get_thread_num())] = system_.open(attributes);
  const auto refused = std::ranges::find_if(opened, [](int descriptor) { return descriptor < 0; });
  if (refused != opened.end()) {
    unavailable_.push_back({name, Reason(-*refused, type != PERF_TYPE_SOFTWARE)});
    for (const int descriptor : opened) {
      if (descriptor >= 0) system_.close(descriptor);
    }
    return;
  }
  available_.push_back(name);
  const std::size_t size = opened.size();
  events_.push_back({name, quantity, weight, std::move(opened), std::vector<CounterReading>(size)});
}

std::string Counters::Reason(int error, bool is_hardware) const {
  const std::string paranoid =
      system_.paranoid ? fmt::format("{}", *system_.paranoid) : std::string("unreadable");
  switch (error) {
    case ENOENT:
    case ENODEV:
    case EOPNOTSUPP:
    case EINVAL:
      if (is_hardware && system_.cpuinfo.find(" hypervisor") != std::string::npos) {
        return "no PMU under this hypervisor: the virtual machine is given no hardware counters "
               "(ask its host for a virtual PMU, or run on bare metal; --count full counts exactly "
               "without one)";
      }
      return "this kernel or processor does not offer the event";
    case EACCES:
    case EPERM:
      if (system_.paranoid.value_or(0) > 2) {
        return fmt::format(
            "perf_event_paranoid is {}, which keeps counters from ordinary users (as root: sysctl "
            "kernel.perf_event_paranoid=2, or give the program CAP_PERFMON)",
            paranoid);
      }
      return fmt::format(
          "refused although perf_event_paranoid is {}: most likely by a container's seccomp filter "
          "(allow perf_event_open there)",
          paranoid);
    case ENOSYS: return "this kernel has no perf_event_open, or a seccomp filter hides it";
    case EMFILE: return "too many open files (raise ulimit -n)";
    case EBUSY: return "another program holds the counters (such as the NMI watchdog)";
    default: return std::strerror(error);
  }
}

bool Counters::Has(CounterQuantity quantity) const {
  return std::ranges::find(events_, quantity, &Event::quantity) != events_.end();
}

void Counters::Start() {
  for (Event& event : events_) {
    for (std::size_t i = 0; i < event.descriptors.size(); ++i) {
      event.at_start[i] = system_.read(event.descriptors[i]).value_or(CounterReading{});
    }
  }
}

CounterFigures Counters::Stop() {
  CounterFigures figures;
  std::vector<CounterQuantity> lost;
  for (const Event& event : events_) {
    for (std::size_t i = 0; i < event.descriptors.size(); ++i) {
      const auto now = system_.read(event.descriptors[i]);
      const CounterReading& start = event.at_start[i];
      // Unsigned differences are right even where a counter wrapped around.
      const auto enabled = now ? static_cast<double>(now->enabled_ns - start.enabled_ns) : 0;
      const auto running = now ? static_cast<double>(now->running_ns - start.running_ns) : 0;
      const auto value = now ? static_cast<double>(now->value - start.value) : 0;
      if (!now || (running == 0 && enabled > 0)) {
        lost.push_back(
            event.quantity);  // it never had its turn: nothing can be scaled from nothing
        continue;
      }
      const double scale = running > 0 ? enabled / running : 1;
      auto& sum = Slot(figures, event.quantity);
      sum = sum.value_or(0) + event.weight * value * scale;
      figures.scale = std::max(figures.scale, scale);
    }
  }
  for (const CounterQuantity quantity : lost) Slot(figures, quantity).reset();
  return figures;
}

TrustCheck CheckCounters(Counters& counters) {
  constexpr int64_t kRounds = 1'000'000;
  counters.Start();
  volatile float result = RunFmaChains(kRounds);
  static_cast<void>(result);
  const CounterFigures figures = counters.Stop();
  return {.executed = FmaChainsFlops(kRounds), .counted = figures.flops.value_or(0)};
}

CounterFacts Describe(Counters& counters) {
  CounterFacts facts;
  if (const CpuRow* row = counters.row()) {
    facts.microarchitecture = row->microarchitecture;
    facts.flops_source = row->source;
    facts.flops_note = row->note;
  }
  facts.perf_event_paranoid = counters.paranoid();
  facts.encoder = EncoderName();
  for (const std::string& name : counters.available()) facts.events.push_back({name, {}});
  for (const UnavailableCounter& counter : counters.unavailable()) {
    facts.events.push_back({counter.name, counter.reason});
  }
  facts.flops_available = counters.Has(CounterQuantity::kFlops);
  facts.flops_reason = counters.no_flops_because();
  if (facts.flops_available) facts.flops_check = CheckCounters(counters);
  return facts;
}

}  // namespace flopledger
