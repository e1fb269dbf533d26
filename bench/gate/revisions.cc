#include "bench/gate/revisions.h"

#include <fmt/format.h>
#include <fmt/ostream.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <filesystem>

#include "bench/machine/interrupt.h"
#include "model/input_error.h"
#include "model/json.h"

namespace flopledger {
namespace {

/// The executable file of that name below `folder`.
std::string FindExecutable(const std::string& folder, const std::string& name) {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.path().filename() == name && entry.is_regular_file() &&
        access(entry.path().c_str(), X_OK) == 0) {
      return entry.path().string();
    }
  }
  throw CannotMeasure(fmt::format("the build left no executable named '{}' (--target)", name));
}

}  // namespace

RevisionBuilds::RevisionBuilds(const RevisionSettings& settings, std::ostream& log) {
  try {
    checkout_ = Do({"git", "rev-parse", "--show-toplevel"}, "");
  } catch (const CannotMeasure& error) {
    throw InputError(fmt::format("--baseline-ref needs a git checkout: {}", error.what()));
  }
  commits_[0] = Commit(settings.baseline);
  commits_[1] = Commit(settings.candidate);
  if (!Do({"git", "status", "--porcelain", "--untracked-files=no"}, checkout_).empty()) {
    fmt::print(log, "flopledger: changes that are not committed are in neither build\n");
  }
  try {
    for (const int side : {0, 1}) {
      fmt::print(log, "flopledger: building {} {} ({})\n", side == 0 ? "baseline" : "candidate",
                 side == 0 ? settings.baseline : settings.candidate, commits_[side].substr(0, 10));
      log.flush();
      Build(side, commits_[side], settings);
    }
  } catch (...) {
    RemoveWorktrees();  // no destructor runs for what was never made
    throw;
  }
}

RevisionBuilds::~RevisionBuilds() { RemoveWorktrees(); }

std::string RevisionBuilds::Do(const std::vector<std::string>& words, const std::string& folder,
                               bool until_interrupted) {
  const std::string log = folder_.path("log.txt");
  const ChildResult child = RunChild(words, {.folder = folder,
                                             .log = log,
                                             .errors = "",
                                             .time_limit_s = 0,
                                             .until_interrupted = until_interrupted});
  if (child.end == ChildResult::End::kInterrupted)
    throw CannotMeasure("interrupted while building");
  if (!child.ok()) {
    throw CannotMeasure(
        fmt::format("{} {}; it said: {}", fmt::join(words, " "), child.ToText(), LastWords(log)));
  }
  std::string said = ReadTextFile(log);
  while (said.ends_with('\n')) said.pop_back();
  return said;
}

std::string RevisionBuilds::Commit(const std::string& revision) {
  try {
    return Do(
        {"git", "rev-parse", "--verify", "--quiet", "--end-of-options", revision + "^{commit}"},
        checkout_);
  } catch (const CannotMeasure& error) {
    if (interrupted) throw;
    throw InputError(fmt::format("'{}' is no revision of {}", revision, checkout_));
  }
}

void RevisionBuilds::Build(int side, const std::string& commit, const RevisionSettings& settings) {
  const std::string letter = side == 0 ? "a" : "b";  // paths of both are equally long
  const std::string source = folder_.path(letter + "/source"),
                    build = folder_.path(letter + "/build");
  Do({"git", "worktree", "add", "--detach", source, commit}, checkout_);
  if (std::filesystem::exists(source + "/.gitmodules")) {
    Do({"git", "submodule", "update", "--init", "--recursive"}, source);
  }
  std::vector<std::string> configure{"cmake", "-S", source, "-B", build};
  configure.push_back(settings.preset.empty() ? "-DCMAKE_BUILD_TYPE=Release"
                                              : "--preset=" + settings.preset);
  Do(configure, source);
  Do({"cmake", "--build", build, "--parallel", "--target", settings.target}, source);
  binaries_[side] = FindExecutable(build, settings.target);
}

void RevisionBuilds::RemoveWorktrees() {
  for (const char* letter : {"a", "b"}) {
    const std::string source = folder_.path(letter) + "/source";
    std::error_code ignored;
    std::filesystem::remove_all(source, ignored);
    try {  // git's own entry of it; twice --force: it may be locked, being half made
      Do({"git", "worktree", "remove", "--force", "--force", source}, checkout_,
         /*until_interrupted=*/false);
    } catch (const std::exception&) {  // it was never made
    }
  }
}

}  // namespace flopledger
