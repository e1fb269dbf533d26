// Events encoded by libpfm4.
#include <fmt/format.h>
#include <perfmon/pfmlib.h>

#include <cstdlib>

#include "bench/counters/cpu_table.h"

namespace flopledger {

std::optional<uint64_t> EncodeEvent(const CpuRow& row, const FlopEvent& event) {
  static const bool initialised = pfm_initialize() == PFM_SUCCESS;
  if (!initialised || row.pfm_pmu.empty()) return std::nullopt;
  pfm_pmu_encode_arg_t encoded{};
  encoded.size = sizeof(encoded);
  const std::string name = fmt::format("{}::{}", row.pfm_pmu, event.name);
  if (pfm_get_os_event_encoding(name.c_str(), PFM_PLM3, PFM_OS_NONE, &encoded) != PFM_SUCCESS) {
    return std::nullopt;
  }
  // perf_event_open sets the enable bits above the event's 16 itself.
  const uint64_t code = encoded.codes[0] & 0xffff;
  std::free(encoded.codes);
  return code;
}

std::string EncoderName() { return "libpfm4"; }

}  // namespace flopledger
