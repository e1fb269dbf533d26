// The shape of a register tile, in plain numbers: what packing a weight, closed formulas and the
// command line need to know of it without the SIMD code behind it (kernels/microkernel.h).
#pragma once

#include <algorithm>

namespace flopledger {

/// Bytes of the SIMD registers that this build computes with, and whether there are 32 of them
/// (else 16). kernels/simd.h asserts that they are those of Eigen's packets.
#if defined(__AVX512F__)
inline constexpr int kVectorBytes = 64;
inline constexpr bool kManyRegisters = true;
#elif defined(__AVX__)
inline constexpr int kVectorBytes = 32;
inline constexpr bool kManyRegisters = false;
#elif defined(__aarch64__)
inline constexpr int kVectorBytes = 16;
inline constexpr bool kManyRegisters = true;
#elif defined(__SSE2__) || defined(__ARM_NEON)
inline constexpr int kVectorBytes = 16;
inline constexpr bool kManyRegisters = false;
#else
inline constexpr int kVectorBytes = sizeof(float);  // no SIMD
inline constexpr bool kManyRegisters = false;
#endif

inline constexpr int kVectorFloats = kVectorBytes / static_cast<int>(sizeof(float));

// A register tile: with 32 registers 12 rows of two packets, with 16 four rows of three. Both leave
// registers for a step's packets of the panel and for the broadcast. With 16, four by three loads
// seven packets for its twelve FMAs where six by two loads eight: 5 to 8 % faster on two Zen 3
// cores at GPT-2 XL's shapes.
inline constexpr int kTileRows = kManyRegisters ? 12 : 4;
inline constexpr int kPackets = kManyRegisters ? 2 : 3;

/// Columns of a register tile: kPackets packets of a row. Counted<float> has those of float.
template <class Scalar>
inline constexpr int kTileColumns = kPackets* std::max(1, kVectorBytes /
                                                              static_cast<int>(sizeof(Scalar)));

}  // namespace flopledger
