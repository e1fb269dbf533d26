// How the sum over all ranks is made: which algorithm, for how much. What executes it
// (model/collectives.h) and what costs it (analysis/accounting/collectives.h) meet here.
// Source of both: Thakur, Rabenseifner and Gropp 2005, "Optimization of Collective Communication
// Operations in MPICH", section 4.5; the ring's reduce-scatter: Patarasu and Yuan 2009.
#pragma once

#include <cstdint>
#include <string_view>

namespace flopledger {

enum class AllReduceAlgorithm {
  // In P − 1 steps each rank passes one of P chunks on, adding its own: each then has the sum of
  // one. In P − 1 more the sums go round. The fewest bytes, and many messages.
  kRing,
  // In log2 P steps each rank exchanges all that it has with a partner, and adds. Where P is no
  // power of two, some ranks first give theirs to a neighbour, and have the sum from it at the end.
  kRecursiveDoubling,
};
/// "ring", "recursive doubling".
std::string_view NameOf(AllReduceAlgorithm algorithm);

/// It is the ring where a chunk has so many numbers (16 KiB of fp32): below, its many messages cost
/// more than the bytes that it saves.
inline constexpr int64_t kRingChunk = 4096;
AllReduceAlgorithm AlgorithmOf(int64_t elements, int64_t ranks);

/// Numbers that a rank receives at once, beside its own.
int64_t AllReduceScratch(int64_t elements, int64_t ranks);

/// The largest power of two that is no more than `ranks`.
int64_t PowerOfTwoWithin(int64_t ranks);

}  // namespace flopledger
