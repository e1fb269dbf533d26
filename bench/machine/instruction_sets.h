// Which instruction sets the kernels were compiled for, and whether this processor has them all.
// The program must be able to say so on a processor that has not: whatever is compiled for the
// kernels' instructions may die of SIGILL there, a constructor of a global object included.
#pragma once

#include <cstddef>

namespace flopledger {

/// The instruction sets beyond the architecture's first that the compiler was allowed to use for
/// the kernels, each with a space before it: " sse3 avx fma". Data alone: no code of its file ever
/// runs.
extern const char* const kInstructionSetsOfTheBuild;

/// Writes those of `wanted` that this processor, or its operating system, lacks to `lacking`, both
/// in the form above; what does not fit into its `size` bytes is left out. Returns how many lack.
int LackingInstructionSets(const char* wanted, char* lacking, std::size_t size);

}  // namespace flopledger
