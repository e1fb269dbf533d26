// Samples of the sum over ranks, as a pass makes it: seconds by size, as the OSU micro-benchmarks
// (osu_allreduce) take them.
#pragma once

#include <vector>

#include "analysis/prediction/predict.h"
#include "bench/machine/progress.h"
#include "bench/machine/team.h"

namespace flopledger {

/// Every rank calls it; the first has the samples, the others none. From one number to 64 MiB, each
/// repetition after a barrier, its time that of the slowest rank.
std::vector<CollectiveSample> SampleCollectives(Team& team, int threads, Progress& progress);

}  // namespace flopledger
