// What Counted<float> (kernels/counted.h) has executed, by kind of operation.
#pragma once

#include <cstdint>

namespace flopledger {

/// Operations by kind. Moves, conversions and integer work are none of them.
struct Tally {
  int64_t add = 0;  // and subtract
  int64_t mul = 0;
  int64_t fma = 0;
  int64_t div = 0;
  int64_t sqrt = 0;
  int64_t exp = 0;
  int64_t tanh = 0;
  int64_t erf = 0;
  int64_t max = 0;
  int64_t negate = 0;
  int64_t compare = 0;  // shown, but no FLOP

  /// FLOPs: a fused multiply-add is two, a transcendental is one, a comparison is none.
  int64_t flops() const {
    return add + mul + 2 * fma + div + sqrt + exp + tanh + erf + max + negate;
  }
  Tally& operator+=(const Tally& other);
  bool operator==(const Tally&) const = default;
};

/// The calling thread's tally. Every OpenMP worker has its own.
inline thread_local Tally thread_tally;

/// Sets the tallies of the calling thread and of every OpenMP worker to zero.
void ResetTallies();
/// The sum of the tallies of the calling thread and of every OpenMP worker.
Tally SumTallies();

}  // namespace flopledger
