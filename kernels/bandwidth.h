// Loops that do nothing but move memory or exponentiate: timing them gives the machine's ceilings.
#pragma once

#include <cstdint>

namespace flopledger {

/// Elements that the loops below take at a time; sizes are multiples of it.
inline constexpr int64_t kStreamStep = 256;

/// Reads x [n] once. The result depends on every element, so none can be left out.
float StreamRead(const float* x, int64_t n);

/// a = b + s·c, all [n] (the triad of STREAM, McCalpin 1995).
void StreamTriad(float* a, const float* b, const float* c, float s, int64_t n);

/// y = 2^x for x ≤ 0, both [n]: the exponential of fused attention.
void ExponentiateAll(const float* x, float* y, int64_t n);

}  // namespace flopledger
