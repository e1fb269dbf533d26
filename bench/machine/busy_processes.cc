#include "bench/machine/busy_processes.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <optional>
#include <sstream>

namespace flopledger {
namespace {

/// A line of /proc/<id>/stat: "4711 (a name) S 1 …", its 14th and 15th field ticks of a processor.
std::optional<BusyProcess> ParseStat(int64_t id, const std::string& line) {
  const std::size_t open = line.find('('), close = line.rfind(')');  // a name may hold both
  if (open == std::string::npos || close == std::string::npos || close < open) return std::nullopt;
  std::istringstream fields(line.substr(close + 1));
  std::string skipped;
  for (int field = 3; field < 14; ++field) fields >> skipped;
  int64_t user = 0, system = 0;
  if (!(fields >> user >> system)) return std::nullopt;
  return BusyProcess{.id = id,
                     .name = line.substr(open + 1, close - open - 1),
                     .processor_s = static_cast<double>(user + system) /
                                    static_cast<double>(sysconf(_SC_CLK_TCK))};
}

}  // namespace

ProcessTimes ReadProcessTimes(const KernelFiles& files) {
  ProcessTimes times;
  for (const std::string& name : files.Names("/proc")) {
    int64_t id = 0;
    const auto read = std::from_chars(name.data(), name.data() + name.size(), id);
    if (read.ec != std::errc() || read.ptr != name.data() + name.size()) continue;
    const auto line = files.FirstLine("/proc/" + name + "/stat");
    if (!line) continue;
    if (auto process = ParseStat(id, *line)) times.emplace(id, std::move(*process));
  }
  return times;
}

std::vector<BusyProcess> BusyBetween(const ProcessTimes& before, const ProcessTimes& after,
                                     double elapsed_s, int64_t self) {
  constexpr double kLeastShare = 0.05;
  constexpr std::size_t kMost = 3;
  std::vector<BusyProcess> busy;
  for (const auto& [id, process] : after) {
    if (id == self) continue;
    const auto earlier = before.find(id);
    BusyProcess taken = process;
    if (earlier != before.end()) taken.processor_s -= earlier->second.processor_s;
    if (taken.processor_s >= kLeastShare * elapsed_s) busy.push_back(std::move(taken));
  }
  std::ranges::sort(busy, std::greater<>(), &BusyProcess::processor_s);
  busy.resize(std::min(busy.size(), kMost));
  return busy;
}

}  // namespace flopledger
