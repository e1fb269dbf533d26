#include "bench/gate/revisions.h"

#include <fmt/format.h>
#include <fmt/ostream.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <filesystem>
#include <utility>

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

RevisionBuilds::RevisionBuilds(BuildSettings settings, std::ostream& log)
    : settings_(std::move(settings)), log_(log) {
  try {
    checkout_ = Do({"git", "rev-parse", "--show-toplevel"}, "");
  } catch (const CannotMeasure& error) {
    throw InputError(fmt::format("revisions need a git checkout: {}", error.what()));
  }
  if (!Git({"status", "--porcelain", "--untracked-files=no"}).empty()) {
    fmt::print(log_, "flopledger: changes that are not committed are in no build\n");
  }
}

RevisionBuilds::~RevisionBuilds() {
  for (const int side : {0, 1}) {
    if (!begun_[side]) continue;
    std::error_code ignored;
    std::filesystem::remove_all(SourceOf(side), ignored);
    try {  // git's own entry of it; twice --force: it may be locked, being half made
      Do({"git", "worktree", "remove", "--force", "--force", SourceOf(side)}, checkout_,
         /*until_interrupted=*/false);
    } catch (const std::exception&) {  // it was never made
    }
  }
}

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

std::string RevisionBuilds::Git(const std::vector<std::string>& words) {
  std::vector<std::string> all{"git"};
  all.insert(all.end(), words.begin(), words.end());
  return Do(all, checkout_);
}

std::string RevisionBuilds::Commit(const std::string& revision) {
  try {
    return Git({"rev-parse", "--verify", "--quiet", "--end-of-options", revision + "^{commit}"});
  } catch (const CannotMeasure&) {
    if (interrupted) throw;
    throw InputError(fmt::format("'{}' is no revision of {}", revision, checkout_));
  }
}

std::string RevisionBuilds::SourceOf(int side) const {
  return folder_.path(side == 0 ? "a/source" : "b/source");  // equally long
}

void RevisionBuilds::PutAt(int side, const std::string& commit) {
  const std::string source = SourceOf(side);
  if (begun_[side]) {
    Do({"git", "checkout", "--quiet", "--force", "--detach", commit}, source);
  } else {
    begun_[side] = true;
    Do({"git", "worktree", "add", "--detach", source, commit}, checkout_);
  }
  if (std::filesystem::exists(source + "/.gitmodules")) {
    Do({"git", "submodule", "update", "--init", "--recursive"}, source);
  }
}

std::string RevisionBuilds::Build(int side, const std::string& commit) {
  fmt::print(log_, "flopledger: building {} {}\n", side == 0 ? "A" : "B", commit.substr(0, 10));
  log_.flush();
  PutAt(side, commit);
  const std::string source = SourceOf(side);
  const std::string build = folder_.path(side == 0 ? "a/build" : "b/build");
  std::vector<std::string> configure{"cmake", "-S", source, "-B", build};
  configure.push_back(settings_.preset.empty() ? "-DCMAKE_BUILD_TYPE=Release"
                                               : "--preset=" + settings_.preset);
  Do(configure, source);
  Do({"cmake", "--build", build, "--parallel", "--target", settings_.target}, source);
  return FindExecutable(build, settings_.target);
}

}  // namespace flopledger
