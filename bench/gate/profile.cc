#include "bench/gate/profile.h"

#include <fmt/format.h>

#include <cctype>
#include <map>

#include "bench/gate/runner.h"
#include "bench/machine/files.h"
#include "bench/machine/interrupt.h"
#include "bench/machine/process.h"
#include "model/input_error.h"
#include "model/json.h"

namespace flopledger {
namespace {

/// "\t  55d0 Multiply+0x1f (/path/to/binary)" → "Multiply".
std::string FrameOf(std::string_view line) {
  const auto address = line.find_first_not_of(" \t");
  const auto symbol = line.find(' ', address);
  if (symbol == std::string_view::npos) return "?";
  std::string_view name = line.substr(symbol + 1);
  name = name.substr(0, name.rfind(" ("));
  name = name.substr(0, name.rfind("+0x"));
  std::string frame(name.empty() ? "?" : name);
  for (char& c : frame) c = c == ';' ? ':' : c;  // ';' separates frames
  return frame;
}

std::string FileName(std::string row) {
  for (char& c : row) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '-' && c != '.') c = '_';
  }
  return row.substr(0, 150);
}

/// Folded stacks of one binary at one row. Throws CannotMeasure where perf gives none.
std::string ProfileOne(const GateSettings& settings, const std::string& binary,
                       const std::string& row) {
  const PrivateFolder folder;
  const std::string data = folder.path("perf.data"), log = folder.path("log.txt"),
                    errors = folder.path("errors.txt");
  const auto run = [&](const std::vector<std::string>& words) {
    const ChildResult child = RunChild(
        words, {.folder = "", .log = log, .errors = errors, .time_limit_s = settings.time_limit_s});
    if (!child.ok()) {
      throw CannotMeasure(fmt::format("{} {} {}; it said: {}", words[0], words[1], child.ToText(),
                                      LastWords(errors)));
    }
  };
  std::vector<std::string> record{"perf", "record", "--quiet", "-g", "-o", data, "--", binary};
  record.insert(record.end(), settings.arguments.begin(), settings.arguments.end());
  record.push_back(FilterOf({row}));
  record.push_back("--benchmark_repetitions=1");
  record.push_back("--benchmark_min_time=1");
  run(record);
  run({"perf", "script", "-i", data});
  const std::string folded = FoldStacks(ReadTextFile(log));
  if (folded.empty()) throw CannotMeasure("perf took no samples");
  return folded;
}

}  // namespace

std::string FoldStacks(std::string_view perf_script) {
  std::map<std::string, int64_t> counts;
  std::string command, stack;
  const auto finish = [&] {
    if (!stack.empty()) ++counts[command + stack];
    stack.clear();
  };
  while (!perf_script.empty()) {
    const auto end = perf_script.find('\n');
    const std::string_view line = perf_script.substr(0, end);
    perf_script.remove_prefix(end == std::string_view::npos ? perf_script.size() : end + 1);
    if (line.find_first_not_of(' ') == std::string_view::npos) {
      finish();
    } else if (line.front() == '\t') {
      stack = ";" + FrameOf(line) + stack;  // perf prints the leaf first
    } else if (line.front() != '#') {
      finish();
      const auto first = line.find_first_not_of(' ');
      command = line.substr(first, line.find(' ', first) - first);
    }
  }
  finish();
  std::string folded;
  for (const auto& [frames, count] : counts) folded += fmt::format("{} {}\n", frames, count);
  return folded;
}

std::vector<std::string> ProfileRows(const GateSettings& settings,
                                     const std::vector<std::string>& rows,
                                     const std::string& folder) {
  std::vector<std::string> lines;
  for (const std::string& row : rows) {
    for (const char* side : {"baseline", "candidate"}) {
      if (interrupted) return lines;
      const std::string path = fmt::format("{}/{}.{}.folded", folder, FileName(row), side);
      try {
        WriteWhole(path, ProfileOne(settings,
                                    std::string_view(side) == "baseline" ? settings.baseline
                                                                         : settings.candidate,
                                    row));
        lines.push_back("wrote " + path);
      } catch (const std::exception& error) {  // the verdict stands without it
        lines.push_back(fmt::format("unavailable for {} ({}): {}", row, side, error.what()));
      }
    }
  }
  return lines;
}

}  // namespace flopledger
