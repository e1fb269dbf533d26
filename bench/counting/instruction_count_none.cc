// For builds without Zydis, and for other architectures than x86-64.
#include "bench/counting/instruction_count.h"
#include "model/input_error.h"

namespace flopledger {

std::optional<FlopInstruction> DecodeFlops(std::span<const uint8_t>) { return std::nullopt; }

std::string InstructionCountUnavailable() {
#ifdef __x86_64__
  return "built without Zydis (install libzydis-dev and configure again)";
#else
  return "instructions are counted on x86-64 only";
#endif
}

InstructionCount CountInstructions(const std::function<void()>&,
                                   const std::function<void(int64_t)>&) {
  throw CannotMeasure(InstructionCountUnavailable());
}

}  // namespace flopledger
