// Independent chains of fused multiply-adds in registers: the most arithmetic that this build's
// SIMD level can do. It computes nothing of use; timing it gives the FMA peak.
#pragma once

#include <cstdint>
#include <vector>

namespace flopledger {

/// Lanes of the SIMD registers that this build can compute with, the widest first.
std::vector<int> FmaWidths();

/// FLOPs that RunFmaChains executes: rounds · chains · lanes · 2; in the widest registers by
/// default.
int64_t FmaChainsFlops(int64_t rounds, int lanes);
int64_t FmaChainsFlops(int64_t rounds);

/// Runs `rounds` steps of every chain on the calling thread, in registers of `lanes` (one of
/// FmaWidths). The result depends on all of them, so none can be left out.
float RunFmaChains(int64_t rounds, int lanes);
float RunFmaChains(int64_t rounds);

/// "AVX-512", "AVX2+FMA", "NEON", …: the SIMD level that this build's kernels use.
const char* BuildSimdLevel();

}  // namespace flopledger
