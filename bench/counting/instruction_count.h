// The instruction-level count: runs a region of the real optimised build one instruction at a time
// and adds up the fp32 FLOPs that the processor retires. It proves that the compiled code does what
// the accounting says. x86-64 only: the trap flag stops after every instruction, and Zydis decodes.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>

namespace flopledger {

/// What one instruction does to floating-point numbers.
struct FlopInstruction {
  std::string mnemonic;
  int64_t flops_a_lane = 0;  // add, sub, mul, div, sqrt, min, max and their estimates 1; FMA 2
  int lanes = 0;             // without a mask
  bool is_double = false;
  int mask_register = 0;  // of AVX-512: k1 to k7; 0 where every lane works
};

/// Decodes the instruction at the start of `code`. Absent for one that executes no FLOP:
/// comparisons, moves, blends, conversions, logic and integers are none.
std::optional<FlopInstruction> DecodeFlops(std::span<const uint8_t> code);

/// Executions of one mnemonic, and what they add up to (masked lanes left out).
struct MnemonicCount {
  int64_t executions = 0;
  int64_t flops = 0;
  bool is_double = false;
};

struct InstructionCount {
  int64_t instructions = 0;
  int64_t flops = 0;                                 // single precision
  int64_t double_flops = 0;                          // double precision, apart
  std::map<std::string, MnemonicCount> by_mnemonic;  // of those that execute FLOPs
  bool finished = true;  // false where it was interrupted: the rest of the region ran uncounted
};

/// Why this build or processor cannot count instructions; empty where it can.
std::string InstructionCountUnavailable();

/// Runs `region` on the calling thread, which should start no threads of its own, and counts its
/// instructions: some 50,000 to 100,000 a second. `on_progress` is called now and then, from
/// another thread, with the instructions so far. Throws CannotMeasure where it is unavailable.
InstructionCount CountInstructions(const std::function<void()>& region,
                                   const std::function<void(int64_t)>& on_progress = {});

}  // namespace flopledger
