// Whether measured ceilings can be those of one machine that did nothing else. Arithmetic only.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "analysis/ledger/ceilings.h"

namespace flopledger {

/// A sentence for each contradiction, the first number of threads first; empty where there is none:
/// - a level of cache, or memory, is read faster than the level above it (beyond both spreads);
/// - a ceiling whose median absolute deviation is above 20 % of it;
/// - threads that differ by more than 20 % in the FMA peak, on cores of one kind;
/// - a reference GEMM that drifted by more than 20 %;
/// - an FMA peak below 40 % of the documented one (half is what two hyperthreads have that a
///   virtual machine shows as two cores), or a fifth below that of fewer threads.
std::vector<std::string> Contradictions(std::span<const Ceilings> ceilings);

/// What should be said of a peak, a sentence each: that it is above the documented one by more than
/// 5 %, or that threads differ by more than 10 %.
std::vector<std::string> DoubtsAboutPeak(double flops_per_s,
                                         const std::optional<double>& theoretical_flops_per_s,
                                         const std::optional<double>& thread_spread);

/// By how much of its rate the reference GEMM, at the FMA peak beside it, differs from one part of
/// a session to another: `speeds` in the order of time, in up to eight parts of equal length; the
/// half-width of Student's interval, at 95 %, for one more part, as a share of their mean. Absent
/// for fewer than four measurements.
std::optional<double> DriftOf(std::span<const MachineSpeed> speeds);

}  // namespace flopledger
