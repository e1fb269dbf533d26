// Two revisions of a git checkout, built alike in worktrees of their own; nothing of them is left.
#pragma once

#include <ostream>
#include <string>

#include "bench/machine/process.h"

namespace flopledger {

struct RevisionSettings {
  std::string baseline, candidate = "HEAD";
  std::string preset = "release";  // of CMake; empty: none, and a Release build
  std::string target = "bench_forward";
};

class RevisionBuilds {
 public:
  /// Builds both, in the git checkout that we stand in; says on `log` what it does. Throws
  /// InputError outside a checkout and for a revision that does not exist, CannotMeasure where a
  /// build fails or is interrupted.
  RevisionBuilds(const RevisionSettings& settings, std::ostream& log);
  ~RevisionBuilds();
  RevisionBuilds(const RevisionBuilds&) = delete;
  RevisionBuilds& operator=(const RevisionBuilds&) = delete;

  const std::string& baseline() const { return binaries_[0]; }
  const std::string& candidate() const { return binaries_[1]; }
  const std::string& baseline_commit() const { return commits_[0]; }
  const std::string& candidate_commit() const { return commits_[1]; }

 private:
  /// Runs a command to its end and returns what it printed. Throws CannotMeasure where it fails.
  std::string Do(const std::vector<std::string>& words, const std::string& folder,
                 bool until_interrupted = true);
  std::string Commit(const std::string& revision);
  void Build(int side, const std::string& commit, const RevisionSettings& settings);
  void RemoveWorktrees();

  PrivateFolder folder_;
  std::string checkout_;
  std::string commits_[2], binaries_[2];
};

}  // namespace flopledger
