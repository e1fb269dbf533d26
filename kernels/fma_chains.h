// Independent chains of fused multiply-adds in registers: the most arithmetic that this build's
// SIMD level can do. It computes nothing of use; timing it gives the FMA peak.
#pragma once

#include <cstdint>

namespace flopledger {

/// FLOPs that RunFmaChains(rounds) executes: rounds · chains · lanes · 2.
int64_t FmaChainsFlops(int64_t rounds);

/// Runs `rounds` steps of every chain on the calling thread. The result depends on all of them, so
/// none can be left out.
float RunFmaChains(int64_t rounds);

/// "AVX-512", "AVX2+FMA", "NEON", …: the SIMD level that this build's kernels use.
const char* BuildSimdLevel();

}  // namespace flopledger
