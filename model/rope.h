// How fast RoPE turns each pair of a head, under every scaling for contexts beyond the trained one.
// Pure functions of the config, in double; kernels/rope.h makes its table of them.
#pragma once

#include <cstdint>
#include <vector>

#include "model/config.h"

namespace flopledger {

/// The rotation of one position to the next.
struct RopeRotation {
  std::vector<double> frequencies;  // [D/2] radians a position, D the rotated size of a head
  double magnitude = 1;             // what a rotated pair's length is multiplied by
};

/// The rotation in a sequence of `length` positions: with dynamic scaling and LongRoPE it depends
/// on how many there are, those in the cache among them. Sources: RopeScaling in model/config.h.
RopeRotation RotationOf(const ModelConfig& config, int64_t length);

}  // namespace flopledger
