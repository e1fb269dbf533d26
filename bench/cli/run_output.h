// What `run` prints of its ledger.
#pragma once

#include <ostream>
#include <span>

#include "bench/run/run.h"

namespace flopledger {

/// What disturbed the repetitions, and whether they were timed again; nothing where nothing did.
void PrintDisturbed(std::span<const RunResult> results, std::ostream& out);

/// Which figures are the slowest rank's, and which are all ranks' together; nothing of one process.
void PrintRanks(const Environment& environment, std::ostream& out);

/// The ledger of one backend: seconds, FLOPs, and what they depend on.
void PrintLedger(const RunSettings& settings, const RunResult& result, std::ostream& out);

/// Several backends: what each took for every operation, and its share of the peak.
void PrintSideBySide(const RunSettings& settings, std::span<const RunResult> results,
                     const Ledger& ledger, std::ostream& out);

/// Points of a sweep: a line each, and a chart of seconds and of shares of the peak.
void PrintPoints(const RunSettings& settings, std::span<const RunResult> results,
                 std::ostream& out);

}  // namespace flopledger
