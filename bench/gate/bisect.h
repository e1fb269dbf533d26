// Finds the commit that made a row of a benchmark slower: builds commits between a good and a bad
// revision and gates each against the good one.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "analysis/regression/compare.h"
#include "analysis/regression/metric.h"
#include "bench/gate/revisions.h"
#include "bench/gate/settings.h"
#include "bench/machine/progress.h"

namespace flopledger {

struct BisectSettings {
  std::string good, bad = "HEAD";
  BuildSettings build;
  GateSettings gate;  // without its binaries
};

/// What the gate of one commit against the good one said of the row that is followed.
struct CommitGate {
  std::string commit;
  std::string verdict;  // PASS, FAIL, or "skipped"
  std::string sentence;
  std::optional<RatioEstimate> estimate;
};

struct BisectReport {
  enum class End {
    kFound,          // `suspects` holds the commit, or those of which it is one
    kNotSlower,      // the bad revision passes
    kInconclusive,   // the bad revision is neither slower nor not
    kNotComparable,  // it, or the good one, cannot be built or compared
    kInterrupted,    // the same command takes it up again
  };
  End end = End::kInterrupted;
  std::string row;  // which is followed: the slowest of the bad revision
  Metric metric;
  std::vector<std::string> suspects;  // full hashes, oldest first
  std::vector<std::string> subjects;  // their first lines
  std::vector<CommitGate> gates;      // in the order in which they ran, resumed ones included
  std::string reason;                 // of an end without a commit
  double seconds = 0;                 // all gates and builds, of interrupted runs too
};

/// Runs to its end, or as far as it came when interrupted; then its state stays in the checkout's
/// git folder, from where the same command goes on. Nothing else is left. Throws InputError for
/// revisions that are none, or where `good` is no ancestor of `bad`.
BisectReport RunBisect(const BisectSettings& settings, Progress& progress, std::ostream& log);

/// "found", "not slower", "inconclusive", "not comparable", "interrupted".
std::string_view NameOf(BisectReport::End end);

nlohmann::json ToJson(const BisectReport& report);

}  // namespace flopledger
