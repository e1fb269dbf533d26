// The ledger's rows from what was measured: arithmetic on trials, no clock.
#pragma once

#include <span>
#include <vector>

#include "analysis/ledger/flops_evidence.h"
#include "analysis/ledger/record.h"
#include "analysis/ledger/trial.h"

namespace flopledger {

/// The FLOPs that an op executes in one pass, on which its share of the peak stands; of libraries,
/// which have no formula, those that the mask keeps.
int64_t FlopsExecuted(const ModelConfig& model, const RunShape& shape, const Op& op,
                      const KernelFacts& kernels);

/// One row for each op in the order of ForwardOps, the total, and the extrapolated total where not
/// all layers ran. `evidence` fills the columns of measured FLOPs. At least one trial.
std::vector<Record> MakeRecords(const MeasuredRun& run, std::span<const Trial> trials,
                                const FlopsEvidence& evidence = {});

}  // namespace flopledger
