// Events encoded as their vendors document them, for builds without libpfm4.
#include "bench/counters/cpu_table.h"

namespace flopledger {

std::optional<uint64_t> EncodeEvent(const CpuRow&, const FlopEvent&) { return std::nullopt; }

std::string EncoderName() { return "the vendors' documented codes (built without libpfm4)"; }

}  // namespace flopledger
