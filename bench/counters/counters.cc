#include "bench/counters/counters.h"

#include <fmt/format.h>
#include <omp.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <iterator>
#include <utility>

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

/// Raises the limit of open files to that many more than are usual, as far as it may be.
int64_t AllowFiles(int64_t more) {
  constexpr int64_t kUsual = 256;  // of the program itself
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  const auto wanted = static_cast<rlim_t>(more + kUsual);
  if (limit.rlim_cur < wanted) {
    const rlimit raised{std::min(wanted, limit.rlim_max), limit.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
  }
  return static_cast<int64_t>(limit.rlim_cur);
}

/// Runs a kernel of known FLOPs, and returns them.
int64_t CheckedChains() {
  constexpr int64_t kRounds = 1'000'000;
  volatile float result = RunFmaChains(kRounds);
  static_cast<void>(result);
  return FmaChainsFlops(kRounds);
}

}  // namespace

CounterSystem LinuxCounters() {
  const KernelFiles files;
  return {
      .open =
          [](const perf_event_attr& attributes, int leader) {
            const auto descriptor = static_cast<int>(
                syscall(SYS_perf_event_open, &attributes, 0, -1, leader, PERF_FLAG_FD_CLOEXEC));
            return descriptor < 0 ? -errno : descriptor;
          },
      .read = [](int leader) -> std::optional<GroupReading> {
        GroupReading reading;
        const ssize_t bytes = read(leader, &reading, sizeof(reading));
        constexpr auto kHead = static_cast<ssize_t>(offsetof(GroupReading, values));
        if (bytes < kHead + static_cast<ssize_t>(sizeof(uint64_t))) return std::nullopt;
        return reading;
      },
      .close = [](int descriptor) { close(descriptor); },
      .allow_files = AllowFiles,
      .cpuinfo = files.Text("/proc/cpuinfo").value_or(""),
      .paranoid = files.Integer("/proc/sys/kernel/perf_event_paranoid"),
      .hybrid_type = files.Integer("/sys/bus/event_source/devices/cpu_core/type"),
  };
}

Counters::Counters(int threads, CounterSystem system)
    : system_(std::move(system)), threads_(threads) {
  const auto cpu = IdentifyCpu(system_.cpuinfo);
  if (cpu) row_ = FindCpu(*cpu);
  const std::size_t events = std::size(kGenericEvents) + (row_ == nullptr ? 0 : row_->flops.size());
  files_allowed_ = system_.allow_files(static_cast<int64_t>(events) * threads);
  OpenAll();
  if (!HasStarvedGroup()) return;
  // Another program holds a counter that the group would need: one by one they have their turns.
  CloseAll();
  grouped_ = false;
  OpenAll();
}

Counters::~Counters() { CloseAll(); }

void Counters::OpenAll() {
  if (row_ == nullptr) {
    no_flops_because_ = "this processor is not in the table of events; generic counters are tried";
  } else if (row_->flops.empty()) {
    no_flops_because_ = row_->note;
  } else {
    const auto raw = static_cast<uint32_t>(system_.hybrid_type.value_or(PERF_TYPE_RAW));
    for (const FlopEvent& event : row_->flops) {
      Open({.name = std::string(event.name),
            .quantity = CounterQuantity::kFlops,
            .weight = event.flops,
            .type = raw,
            .config = EncodeEvent(*row_, event).value_or(event.code)});
    }
    // Some of the events would give a part of the FLOPs and look like all of them.
    if (!unavailable_.empty()) {
      no_flops_because_ = unavailable_.front().reason;
      std::vector<UnavailableCounter> refused = std::move(unavailable_);
      CloseAll();
      unavailable_ = std::move(refused);
    }
  }
  for (const GenericEvent& event : kGenericEvents) {
    Open({event.name, event.quantity, 1, event.type, event.config});
  }
}

void Counters::CloseAll() {
  for (const Group& group : groups_) {
    for (const auto* descriptors : {&group.others, &group.leaders}) {
      for (const int descriptor : *descriptors) system_.close(descriptor);
    }
  }
  groups_.clear();
  available_.clear();
  unavailable_.clear();
}

std::vector<int> Counters::OpenOnThreads(const Event& event, const std::vector<int>* leaders) {
  perf_event_attr attributes{};
  attributes.size = sizeof(attributes);
  attributes.type = event.type;
  attributes.config = event.config;
  attributes.exclude_kernel = 1;
  attributes.exclude_hv = 1;
  attributes.read_format =
      PERF_FORMAT_GROUP | PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING;
  std::vector<int> opened(static_cast<std::size_t>(threads_), -EAGAIN);
#pragma omp parallel num_threads(threads_)
  {
    const auto thread = static_cast<std::size_t>(omp_get_thread_num());
    opened[thread] = system_.open(attributes, leaders == nullptr ? -1 : (*leaders)[thread]);
  }
  return opened;
}

void Counters::Open(const Event& event) {
  const auto refused = [](const std::vector<int>& descriptors) {
    return std::ranges::find_if(descriptors, [](int descriptor) { return descriptor < 0; });
  };
  const auto give_up = [&](const std::vector<int>& descriptors) {
    for (const int descriptor : descriptors) {
      if (descriptor >= 0) system_.close(descriptor);
    }
  };
  if (grouped_ && !groups_.empty() && groups_.back().events.size() < GroupReading::kMost) {
    Group& group = groups_.back();
    const std::vector<int> opened = OpenOnThreads(event, &group.leaders);
    if (refused(opened) == opened.end()) {
      group.events.push_back(event);
      group.others.insert(group.others.end(), opened.begin(), opened.end());
      available_.push_back(event.name);
      return;
    }
    give_up(opened);  // the PMU cannot hold it beside the others
  }
  std::vector<int> opened = OpenOnThreads(event, nullptr);
  if (const auto first = refused(opened); first != opened.end()) {
    unavailable_.push_back({event.name, Reason(-*first, event.type != PERF_TYPE_SOFTWARE)});
    return give_up(opened);
  }
  available_.push_back(event.name);
  groups_.push_back({.events = {event},
                     .leaders = std::move(opened),
                     .others = {},
                     .at_start = std::vector<GroupReading>(static_cast<std::size_t>(threads_))});
}

bool Counters::HasStarvedGroup() {
  for (const Group& group : groups_) {
    if (group.events.size() < 2) continue;
    const int leader = group.leaders.front();
    const auto before = system_.read(leader);
    static_cast<void>(CheckedChains());
    const auto after = system_.read(leader);
    if (before && after && after->enabled_ns > before->enabled_ns &&
        after->running_ns == before->running_ns) {
      return true;
    }
  }
  return false;
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
    case EMFILE:
      return fmt::format(
          "too many open files: each event needs {} descriptors, one a thread, and {} files may be "
          "open (raise the hard limit: ulimit -Hn, LimitNOFILE= of a service)",
          threads_, files_allowed_);
    case EBUSY: return "another program holds the counters (such as the NMI watchdog)";
    default: return std::strerror(error);
  }
}

bool Counters::Has(CounterQuantity quantity) const {
  return std::ranges::any_of(groups_, [&](const Group& group) {
    return std::ranges::find(group.events, quantity, &Event::quantity) != group.events.end();
  });
}

void Counters::Start() {
  for (Group& group : groups_) {
    for (std::size_t i = 0; i < group.leaders.size(); ++i) {
      group.at_start[i] = system_.read(group.leaders[i]).value_or(GroupReading{});
    }
  }
}

CounterFigures Counters::Stop() {
  CounterFigures figures;
  std::vector<CounterQuantity> lost;
  for (const Group& group : groups_) {
    for (std::size_t thread = 0; thread < group.leaders.size(); ++thread) {
      const auto now = system_.read(group.leaders[thread]);
      const GroupReading& start = group.at_start[thread];
      // Unsigned differences are right even where a counter wrapped around.
      const auto enabled = now ? static_cast<double>(now->enabled_ns - start.enabled_ns) : 0;
      const auto running = now ? static_cast<double>(now->running_ns - start.running_ns) : 0;
      const bool never_ran = !now || (running == 0 && enabled > 0);
      const double scale = running > 0 ? enabled / running : 1;
      if (!never_ran) figures.scale = std::max(figures.scale, scale);
      for (std::size_t i = 0; i < group.events.size(); ++i) {
        const Event& event = group.events[i];
        if (never_ran) {  // nothing can be scaled from nothing
          lost.push_back(event.quantity);
          continue;
        }
        const auto value = static_cast<double>(now->values[i] - start.values[i]);
        auto& sum = Slot(figures, event.quantity);
        sum = sum.value_or(0) + event.weight * value * scale;
      }
    }
  }
  for (const CounterQuantity quantity : lost) Slot(figures, quantity).reset();
  return figures;
}

TrustCheck CheckCounters(Counters& counters) {
  counters.Start();
  const int64_t flops = CheckedChains();
  const CounterFigures figures = counters.Stop();
  return {.executed = flops, .counted = figures.flops.value_or(0)};
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
