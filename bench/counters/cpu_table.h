// What is known of each microarchitecture: one table, which code walks. Which hardware events give
// fp32 FLOPs retired, and what its documents promise of fused multiply-adds. Says nothing of
// whether this machine can count them (bench/counters/counters.h does).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "bench/machine/topology.h"

namespace flopledger {

/// What /proc/cpuinfo says of the processor.
struct CpuIdentity {
  std::string vendor;  // "GenuineIntel", "AuthenticAMD"; "0x41" for ARM's own cores
  int64_t family = 0;  // on ARM: none
  int64_t model = 0;   // on ARM: the part number
};

/// Parses the text of /proc/cpuinfo. Absent where it names no processor that the table could hold.
std::optional<CpuIdentity> IdentifyCpu(std::string_view cpuinfo);

/// One event and how many FLOPs each count stands for.
struct FlopEvent {
  std::string_view name;  // as libpfm4 spells it, without the PMU
  uint64_t code;          // as the vendor documents it: umask << 8 | event select
  double flops;
};

/// Pipes that can take a fused multiply-add in each cycle, and the floats that one of them computes
/// then.
struct FmaPipes {
  int pipes = 0;
  int lanes = 0;
};

/// One microarchitecture. An empty list of events means that it has none, and `note` says so.
struct CpuRow {
  std::string_view microarchitecture;
  FmaPipes fma;
  std::string_view pfm_pmu;  // libpfm4's name of the PMU; empty where 4.13 does not know it
  std::span<const FlopEvent> flops;
  std::string_view source;
  std::string_view note;  // what its counts include or leave out
};

std::span<const CpuRow> CpuTable();

/// The row of a processor, or null where the table has none.
const CpuRow* FindCpu(const CpuIdentity& cpu);

/// fp32 FLOPs that one core finishes in a cycle when it does nothing but multiply-adds in registers
/// of `lanes` floats; a wider register than the pipe's goes through in parts.
int FmaFlopsPerCycle(const CpuRow& row, int lanes);

/// The same of `threads` threads together, each on a core of its own while there are enough; absent
/// where the processor is not in the table, or some cores are efficiency cores, of which it says
/// nothing.
std::optional<int64_t> FmaFlopsPerCycleOfTeam(std::string_view cpuinfo, const Topology& topology,
                                              int64_t threads, int lanes);

/// The event's code as perf_event_open takes it in a raw event, encoded by libpfm4. Absent where
/// the build lacks it, or it does not know the PMU or does not find it here
/// (LIBPFM_ENCODE_INACTIVE=1 lifts that). What is documented serves then.
std::optional<uint64_t> EncodeEvent(const CpuRow& row, const FlopEvent& event);

/// "libpfm4", or that the documented codes are used.
std::string EncoderName();

}  // namespace flopledger
