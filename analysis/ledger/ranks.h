// What several ranks measured of one run, put together: a pass takes as long as its slowest rank,
// and executes what all of them do.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <vector>

#include "analysis/ledger/flops_evidence.h"
#include "analysis/ledger/trial.h"

namespace flopledger {

/// One repetition, of which each rank has measured its own: the slowest rank's seconds of each op
/// and of the pass, the imbalance beside them, and all ranks' peaks and bandwidths together.
Trial TogetherOf(std::span<const Trial> ranks);

/// The evidence of all ranks: counts are added up; a sample met the formula where it did at every
/// rank; counters where every rank has them.
FlopsEvidence TogetherOf(std::span<const FlopsEvidence> ranks);

/// One rank's list of ops, and what it costs it by.
struct RankList {
  ModelConfig model;
  RunShape shape;
  std::vector<Op> ops;
};
/// The lists of all ranks of a run in `shape`: op i is the same in each, but for its sizes.
std::vector<RankList> ListsOfRanks(const MeasuredRun& run, const RunShape& shape);

// As a rank sends them to the first.
nlohmann::json ToJson(const Trial& trial);
Trial TrialFromJson(const nlohmann::json& json);
nlohmann::json ToJson(const FlopsEvidence& evidence);
FlopsEvidence EvidenceFromJson(const nlohmann::json& json);

}  // namespace flopledger
