// One chain of integer additions: each waits for the one before it, and takes a cycle on every
// processor that bench/counters/theoretical_peak.h knows. It computes nothing of use; timing it
// gives the clock that a core holds, which a virtual machine does not tell.
#pragma once

#include <cstdint>

namespace flopledger {

inline constexpr int kAddsOfRound = 64;

/// Whether this build has such a chain: the compiler may fold one that is not in the processor's
/// own instructions.
#if defined(__x86_64__) || defined(__aarch64__)
inline constexpr bool kHasAddChain = true;
#else
inline constexpr bool kHasAddChain = false;
#endif

/// Adds 1 to 0, kAddsOfRound times in each of `rounds`, and returns the sum.
int64_t RunAddChain(int64_t rounds);

}  // namespace flopledger
