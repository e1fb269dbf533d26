// What the ranks of a run measured, put together at the first.
#pragma once

#include <string>
#include <vector>

#include "analysis/ledger/decode_figures.h"
#include "analysis/ledger/environment.h"
#include "analysis/ledger/flops_evidence.h"
#include "analysis/ledger/trial.h"
#include "bench/machine/team.h"
#include "bench/run/trace.h"
#include "bench/run/verify.h"

namespace flopledger {

// Each rank calls these with its own; the first has what all of them say, the others their own. A
// null team is one process.
Trial Together(Team* team, const Trial& own);
FlopsEvidence Together(Team* team, const FlopsEvidence& own);
/// The worst of all; a failure says which rank's it is, and every rank has it.
Verification Together(Team* team, const Verification& own);
/// The means over the ranks.
std::vector<CollectiveSplit> Together(Team* team, const std::vector<CollectiveSplit>& own);
/// The slices of all, each with its rank, and the peak of each.
PassTrace Together(Team* team, const PassTrace& own);
/// Decoding's seconds by repetition are the slowest rank's, its bandwidths those of all.
DecodeFigures Together(Team* team, const DecodeFigures& own);

/// The ranks and their hosts; every rank calls it.
RankFacts DescribeRanks(Team& team);

}  // namespace flopledger
