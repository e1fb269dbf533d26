// The `executed` convention: what the chosen kernels execute by construction, in closed formulas.
// It is what counted and retired FLOPs are held against; the difference is the unexplained
// residual. Kernels are named and their blocking comes in as plain numbers: nothing of kernels/ is
// seen here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "model/config.h"
#include "model/ops.h"

namespace flopledger {

/// What the formulas must know of the kernels that ran; supplied by the harness.
struct KernelFacts {
  std::string matmul;     // packed, packed-fused, eigen, reference; other backends have no formula
  std::string attention;  // "fused", "reference"
  int64_t panel = 0;      // columns of a packed weight's panel; the last is padded to it
  int64_t queries = 0;    // of a tile of fused attention; the last is padded to it
  int64_t keys = 0;       // of a block of the online softmax
  int64_t tile_m = 0;     // rows of a tile of Eigen's product (the last takes what is left over)
  int64_t tile_n = 0;     // columns of a tile, likewise
  int64_t k_block = 0;    // K is cut into ceil(K / k_block) blocks
};

/// FLOPs that every execution of `op` in one pass executes, at the level of the kernels' source: a
/// fused multiply-add is two, exp, tanh, erf, sqrt, division and max are one, comparisons and moves
/// none. Absent where the kernel is not ours (an external library). Throws InputError on overflow.
std::optional<int64_t> ExecutedFlops(const ModelConfig& config, const RunShape& shape, const Op& op,
                                     const KernelFacts& facts);

/// Why executed differs from `matmul` for this op: one line, for people. Empty where it does not.
std::string ExecutedNote(const ModelConfig& config, const Op& op, const KernelFacts& facts);

}  // namespace flopledger
