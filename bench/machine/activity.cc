#include "bench/machine/activity.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>
#include <string>

#include "bench/machine/limits.h"

namespace flopledger {

std::optional<ProcessorTime> ReadProcessorTime(const KernelFiles& files,
                                               const std::vector<int>& processors) {
  const auto text = files.Text("/proc/stat");
  if (!text) return std::nullopt;
  std::istringstream lines(*text);
  int64_t busy = 0, stolen = 0;
  std::size_t found = 0;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::string name;  // "cpu7"; the line "cpu" is the sum over all
    int64_t user = 0, nice = 0, system = 0, idle = 0, waiting = 0, irq = 0, soft_irq = 0, steal = 0;
    fields >> name >> user >> nice >> system >> idle >> waiting >> irq >> soft_irq >> steal;
    if (!fields || name.size() < 4 || !name.starts_with("cpu")) continue;
    if (std::ranges::find(processors, std::atoi(name.c_str() + 3)) == processors.end()) continue;
    busy += user + nice + system + irq + soft_irq;
    stolen += steal;
    ++found;
  }
  if (found == 0 || found != processors.size()) return std::nullopt;
  const auto ticks_per_s = static_cast<double>(sysconf(_SC_CLK_TCK));
  return ProcessorTime{static_cast<double>(busy) / ticks_per_s,
                       static_cast<double>(stolen) / ticks_per_s};
}

ActivityWatch::ActivityWatch() : start_(Clock::now()), before_(Read()) {}

ActivityWatch::Snapshot ActivityWatch::Read() {
  rusage own{};
  getrusage(RUSAGE_SELF, &own);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return {.all = ReadProcessorTime(KernelFiles(), InitialAffinity()),
          .throttled_s = ThrottledSeconds(KernelFiles()),
          .own_s = seconds(own.ru_utime) + seconds(own.ru_stime),
          .involuntary_switches = own.ru_nivcsw};
}

SystemActivity ActivityWatch::Stop() const {
  const Snapshot after = Read();
  SystemActivity activity;
  activity.seconds = SecondsSince(start_);
  activity.involuntary_switches = after.involuntary_switches - before_.involuntary_switches;
  if (before_.throttled_s && after.throttled_s) {
    activity.throttled_s = *after.throttled_s - *before_.throttled_s;
  }
  if (before_.all && after.all) {
    activity.stolen_s = after.all->stolen_s - before_.all->stolen_s;
    activity.others_s =
        std::max(0.0, after.all->busy_s - before_.all->busy_s - (after.own_s - before_.own_s));
  }
  return activity;
}

}  // namespace flopledger
