#include "bench/gate/identical.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>
#include <sstream>
#include <vector>

#include "bench/gate/runner.h"
#include "bench/machine/process.h"
#include "model/input_error.h"
#include "model/json.h"

namespace flopledger {
namespace {

namespace fs = std::filesystem;

bool HaveSameContent(const fs::path& a, const fs::path& b) {
  std::error_code unreadable;
  if (fs::equivalent(a, b, unreadable)) return true;
  const auto size_a = fs::file_size(a, unreadable), size_b = fs::file_size(b, unreadable);
  return !unreadable && size_a == size_b && ReadTextFile(a.string()) == ReadTextFile(b.string());
}

/// The files that the loader takes for a binary, by ldd; absent where it cannot tell.
std::optional<std::set<std::string>> LibrariesOf(const std::string& binary) {
  const PrivateFolder folder;
  const std::string log = folder.path("log.txt");
  const ChildResult child =
      RunChild({"ldd", binary}, {.folder = "", .log = log, .errors = "", .time_limit_s = 10});
  const std::string text = ReadTextFile(log);
  if (!child.ok()) {
    const bool is_static = text.find("not a dynamic executable") != std::string::npos;
    return is_static ? std::optional(std::set<std::string>{}) : std::nullopt;
  }
  std::set<std::string> libraries;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    libraries.insert(line.substr(0, line.rfind(" (0x")));  // without the address of this time
  }
  return libraries;
}

/// Whether the program can look for files whose names it does not hold.
bool LoadsAtRunTime(std::string_view content) {
  return std::ranges::any_of(
      std::vector<std::string_view>{"dlopen", "dlmopen", "$ORIGIN", "/proc/self"},
      [&](std::string_view word) { return content.find(word) != std::string_view::npos; });
}

/// Whether a file beside either binary, whose name stands in them, differs or is missing there.
bool NeighboursDiffer(const fs::path& a, const fs::path& b, std::string_view content) {
  std::set<std::string> names;
  for (const fs::path& folder : {a.parent_path(), b.parent_path()}) {
    for (const auto& entry : fs::directory_iterator(folder)) {
      names.insert(entry.path().filename().string());
    }
  }
  for (const std::string& name : names) {
    if (name == a.filename() || name == b.filename()) continue;
    if (content.find(name) == std::string_view::npos) continue;
    if (!HaveSameContent(a.parent_path() / name, b.parent_path() / name)) return true;
  }
  return false;
}

}  // namespace

bool AreIdentical(const std::string& baseline, const std::string& candidate) {
  if (!IsElf(baseline) || !HaveSameContent(baseline, candidate)) return false;
  const fs::path a = fs::absolute(baseline), b = fs::absolute(candidate);
  if (a == b) return true;
  try {
    const std::string content = ReadTextFile(baseline);
    if (LoadsAtRunTime(content) || NeighboursDiffer(a, b, content)) return false;
    const auto libraries = LibrariesOf(baseline);
    return libraries && libraries == LibrariesOf(candidate);
  } catch (const std::exception&) {  // no ldd, a folder that cannot be listed
    return false;
  }
}

}  // namespace flopledger
