// Revisions of a git checkout, built in worktrees of their own; nothing of them is left.
#pragma once

#include <array>
#include <ostream>
#include <string>
#include <vector>

#include "bench/machine/process.h"

namespace flopledger {

struct BuildSettings {
  std::string preset = "release";  // of CMake; empty: none, and a Release build
  std::string target = "bench_forward";
};

/// Worktrees A and B of the checkout that we stand in, with a build each.
class RevisionBuilds {
 public:
  /// Throws InputError outside a checkout.
  RevisionBuilds(BuildSettings settings, std::ostream& log);
  ~RevisionBuilds();
  RevisionBuilds(const RevisionBuilds&) = delete;
  RevisionBuilds& operator=(const RevisionBuilds&) = delete;

  /// The commit of a revision. Throws InputError where there is none.
  std::string Commit(const std::string& revision);
  /// Puts side 0 (A) or 1 (B) at this commit, builds the target there and returns the binary's
  /// path; a second commit of one side is built where the first was. Throws CannotMeasure where the
  /// build fails or is interrupted.
  std::string Build(int side, const std::string& commit);

  /// Runs git in the checkout and returns what it printed. Throws CannotMeasure where it fails.
  std::string Git(const std::vector<std::string>& words);

 private:
  std::string Do(const std::vector<std::string>& words, const std::string& folder,
                 bool until_interrupted = true);
  std::string SourceOf(int side) const;
  void PutAt(int side, const std::string& commit);

  BuildSettings settings_;
  std::ostream& log_;
  PrivateFolder folder_;
  std::string checkout_;
  std::array<bool, 2> begun_{};
};

}  // namespace flopledger
