#include "bench/counters/cpu_table.h"

#include <algorithm>
#include <charconv>

#include "bench/machine/kernel_files.h"

namespace flopledger {
namespace {

// Intel: each count is one instruction of that width, a fused multiply-add counts twice, so the
// weight is the lanes. Add, sub, mul, div, sqrt, min, max, rcp and rsqrt count.
constexpr FlopEvent kFpArith256[] = {{"FP_ARITH_INST_RETIRED:SCALAR_SINGLE", 0x02c7, 1},
                                     {"FP_ARITH_INST_RETIRED:128B_PACKED_SINGLE", 0x08c7, 4},
                                     {"FP_ARITH_INST_RETIRED:256B_PACKED_SINGLE", 0x20c7, 8}};
constexpr FlopEvent kFpArith512[] = {{"FP_ARITH_INST_RETIRED:SCALAR_SINGLE", 0x02c7, 1},
                                     {"FP_ARITH_INST_RETIRED:128B_PACKED_SINGLE", 0x08c7, 4},
                                     {"FP_ARITH_INST_RETIRED:256B_PACKED_SINGLE", 0x20c7, 8},
                                     {"FP_ARITH_INST_RETIRED:512B_PACKED_SINGLE", 0x80c7, 16}};

// AMD: each count is one FLOP, a multiply-add counts two.
constexpr FlopEvent kZen1Flops[] = {{"RETIRED_SSE_AVX_OPERATIONS:SP_ADD_SUB_FLOPS", 0x0103, 1},
                                    {"RETIRED_SSE_AVX_OPERATIONS:SP_MULT_FLOPS", 0x0203, 1},
                                    {"RETIRED_SSE_AVX_OPERATIONS:SP_DIV_FLOPS", 0x0403, 1},
                                    {"RETIRED_SSE_AVX_OPERATIONS:SP_MULT_ADD_FLOPS", 0x0803, 1}};
constexpr FlopEvent kZen2Flops[] = {{"RETIRED_SSE_AVX_FLOPS:ANY", 0x0f03, 1}};
// Without bfloat16's (umask 0x10), which we execute none of.
constexpr FlopEvent kZen4Flops[] = {{"RETIRED_SSE_AVX_FLOPS:ADD_SUB_FLOPS", 0x0103, 1},
                                    {"RETIRED_SSE_AVX_FLOPS:MULT_FLOPS", 0x0203, 1},
                                    {"RETIRED_SSE_AVX_FLOPS:DIV_FLOPS", 0x0403, 1},
                                    {"RETIRED_SSE_AVX_FLOPS:MAC_FLOPS", 0x0803, 1}};

// ARM: speculatively executed, in operations of a 128-bit vector unit for the scalable event.
constexpr FlopEvent kNeoverseFlops[] = {{"FP_FIXED_OPS_SPEC", 0x80c1, 1}};

constexpr std::string_view kIntelSource =
    "Intel 64 and IA-32 Architectures SDM, volume 3B, FP_ARITH_INST_RETIRED (event C7H)";
constexpr std::string_view kIntelNote = "masked lanes of AVX-512 count as if they were not masked";
constexpr std::string_view kAmdNote = "single and double precision are counted together";

// The multiply-add pipes: Intel 64 and IA-32 Architectures Optimization Reference Manual, of each
// microarchitecture; Software Optimization Guide for AMD Family 17h, 19h and 1Ah; Arm Neoverse
// Software Optimization Guides. Some cheaper Skylake-X have one 512-bit pipe, and mobile Zen 5
// pipes of 256 bits: of those this promises too much. Alder Lake: its performance cores. Names are
// what users know.
constexpr CpuRow kTable[] = {
    {"Intel Haswell",
     {2, 8},
     "hsw",
     {},
     "Intel SDM, volume 3B, table of Haswell events",
     "Haswell has no event that counts floating-point operations"},
    {"Intel Broadwell", {2, 8}, "bdw", kFpArith256, kIntelSource, ""},
    {"Intel Skylake", {2, 8}, "skl", kFpArith256, kIntelSource, ""},
    {"Intel Skylake-X or Cascade Lake", {2, 16}, "skx", kFpArith512, kIntelSource, kIntelNote},
    {"Intel Ice Lake, Tiger Lake or Rocket Lake",
     {2, 8},
     "icl",
     kFpArith512,
     kIntelSource,
     kIntelNote},
    {"Intel Ice Lake-X", {2, 16}, "icx", kFpArith512, kIntelSource, kIntelNote},
    {"Intel Sapphire or Emerald Rapids", {2, 16}, "spr", kFpArith512, kIntelSource, kIntelNote},
    {"Intel Alder Lake or Raptor Lake",
     {2, 8},
     "",
     kFpArith256,
     kIntelSource,
     "performance cores only: efficient cores have no such event, so bind the run to the others "
     "(taskset)"},
    {"AMD Zen 1",
     {2, 4},
     "amd64_fam17h_zen1",
     kZen1Flops,
     "AMD PPR for family 17h models 00h-0Fh, PMCx003",
     ""},
    {"AMD Zen 2",
     {2, 8},
     "amd64_fam17h_zen2",
     kZen2Flops,
     "AMD PPR for family 17h model 31h, PMCx003",
     kAmdNote},
    {"AMD Zen 3",
     {2, 8},
     "amd64_fam19h_zen3",
     kZen2Flops,
     "AMD PPR for family 19h model 01h, PMCx003",
     kAmdNote},
    {"AMD Zen 4",
     {2, 8},
     "amd64_fam19h_zen4",
     kZen4Flops,
     "AMD PPR for family 19h model 11h, PMCx003",
     kAmdNote},
    {"AMD Zen 5",
     {2, 16},
     "",
     kZen4Flops,
     "AMD PPR for family 1Ah, PMCx003; libpfm4 4.13 does not know Zen 5",
     kAmdNote},
    {"ARM Neoverse N1",
     {2, 4},
     "",
     {},
     "Arm Neoverse N1 TRM, PMU events",
     "Neoverse N1 counts floating-point instructions, not operations"},
    {"ARM Neoverse V1",
     {4, 4},
     "",
     kNeoverseFlops,
     "Arm Neoverse V1 TRM, FP_FIXED_OPS_SPEC",
     "counts speculative execution, all precisions, and not SVE"},
    {"ARM Neoverse N2",
     {2, 4},
     "",
     kNeoverseFlops,
     "Arm Neoverse N2 TRM, FP_FIXED_OPS_SPEC",
     "counts speculative execution, all precisions, and not SVE"},
    {"ARM Neoverse V2",
     {4, 4},
     "",
     kNeoverseFlops,
     "Arm Neoverse V2 TRM, FP_FIXED_OPS_SPEC",
     "counts speculative execution, all precisions, and not SVE"},
};

struct ModelRange {
  std::string_view vendor;
  int64_t family;
  int64_t first, last;  // models
  std::string_view microarchitecture;
};

constexpr std::string_view kIntel = "GenuineIntel", kAmd = "AuthenticAMD", kArm = "0x41";

// Sources: Linux arch/x86/include/asm/intel-family.h; AMD's revision guides; ARM MIDR part numbers.
constexpr ModelRange kModels[] = {
    {kIntel, 6, 0x3c, 0x3c, "Intel Haswell"},
    {kIntel, 6, 0x3f, 0x3f, "Intel Haswell"},
    {kIntel, 6, 0x45, 0x46, "Intel Haswell"},
    {kIntel, 6, 0x3d, 0x3d, "Intel Broadwell"},
    {kIntel, 6, 0x47, 0x47, "Intel Broadwell"},
    {kIntel, 6, 0x4f, 0x4f, "Intel Broadwell"},
    {kIntel, 6, 0x56, 0x56, "Intel Broadwell"},
    {kIntel, 6, 0x4e, 0x4e, "Intel Skylake"},
    {kIntel, 6, 0x5e, 0x5e, "Intel Skylake"},
    {kIntel, 6, 0x8e, 0x8e, "Intel Skylake"},
    {kIntel, 6, 0x9e, 0x9e, "Intel Skylake"},
    {kIntel, 6, 0xa5, 0xa6, "Intel Skylake"},
    {kIntel, 6, 0x55, 0x55, "Intel Skylake-X or Cascade Lake"},
    {kIntel, 6, 0x7d, 0x7e, "Intel Ice Lake, Tiger Lake or Rocket Lake"},
    {kIntel, 6, 0x8c, 0x8d, "Intel Ice Lake, Tiger Lake or Rocket Lake"},
    {kIntel, 6, 0xa7, 0xa7, "Intel Ice Lake, Tiger Lake or Rocket Lake"},
    {kIntel, 6, 0x6a, 0x6a, "Intel Ice Lake-X"},
    {kIntel, 6, 0x6c, 0x6c, "Intel Ice Lake-X"},
    {kIntel, 6, 0x8f, 0x8f, "Intel Sapphire or Emerald Rapids"},
    {kIntel, 6, 0xcf, 0xcf, "Intel Sapphire or Emerald Rapids"},
    {kIntel, 6, 0x97, 0x97, "Intel Alder Lake or Raptor Lake"},
    {kIntel, 6, 0x9a, 0x9a, "Intel Alder Lake or Raptor Lake"},
    {kIntel, 6, 0xb7, 0xb7, "Intel Alder Lake or Raptor Lake"},
    {kIntel, 6, 0xba, 0xba, "Intel Alder Lake or Raptor Lake"},
    {kIntel, 6, 0xbf, 0xbf, "Intel Alder Lake or Raptor Lake"},
    {kAmd, 0x17, 0x00, 0x2f, "AMD Zen 1"},
    {kAmd, 0x17, 0x30, 0xff, "AMD Zen 2"},
    {kAmd, 0x19, 0x00, 0x0f, "AMD Zen 3"},
    {kAmd, 0x19, 0x10, 0x1f, "AMD Zen 4"},
    {kAmd, 0x19, 0x20, 0x5f, "AMD Zen 3"},
    {kAmd, 0x19, 0x60, 0xff, "AMD Zen 4"},
    {kAmd, 0x1a, 0x00, 0xff, "AMD Zen 5"},
    {kArm, 0, 0xd0c, 0xd0c, "ARM Neoverse N1"},
    {kArm, 0, 0xd40, 0xd40, "ARM Neoverse V1"},
    {kArm, 0, 0xd49, 0xd49, "ARM Neoverse N2"},
    {kArm, 0, 0xd4f, 0xd4f, "ARM Neoverse V2"},
};

std::optional<int64_t> Number(const std::optional<std::string>& line) {
  if (!line) return std::nullopt;
  std::string_view text = *line;
  const bool is_hex = text.starts_with("0x");
  if (is_hex) text.remove_prefix(2);
  int64_t value = 0;
  const auto result =
      std::from_chars(text.data(), text.data() + text.size(), value, is_hex ? 16 : 10);
  if (result.ec != std::errc()) return std::nullopt;
  return value;
}

}  // namespace

std::optional<CpuIdentity> IdentifyCpu(std::string_view cpuinfo) {
  if (const auto vendor = ValueOf(cpuinfo, "vendor_id")) {
    const auto family = Number(ValueOf(cpuinfo, "cpu family"));
    const auto model = Number(ValueOf(cpuinfo, "model"));
    if (family && model) return CpuIdentity{*vendor, *family, *model};
  }
  if (const auto implementer = ValueOf(cpuinfo, "CPU implementer")) {
    if (const auto part = Number(ValueOf(cpuinfo, "CPU part"))) {
      return CpuIdentity{*implementer, 0, *part};
    }
  }
  return std::nullopt;
}

std::span<const CpuRow> CpuTable() { return kTable; }

const CpuRow* FindCpu(const CpuIdentity& cpu) {
  const auto range = std::ranges::find_if(kModels, [&](const ModelRange& models) {
    return models.vendor == cpu.vendor && models.family == cpu.family &&
           models.first <= cpu.model && cpu.model <= models.last;
  });
  if (range == std::end(kModels)) return nullptr;
  return std::ranges::find(kTable, range->microarchitecture, &CpuRow::microarchitecture);
}

int FmaFlopsPerCycle(const CpuRow& row, int lanes) {
  return 2 * row.fma.pipes * std::min(row.fma.lanes, lanes);
}

std::optional<int64_t> FmaFlopsPerCycleOfTeam(std::string_view cpuinfo, const Topology& topology,
                                              int64_t threads, int lanes) {
  const auto cpu = IdentifyCpu(cpuinfo);
  const CpuRow* row = cpu ? FindCpu(*cpu) : nullptr;
  const auto cores = static_cast<int64_t>(topology.cores.size());
  if (row == nullptr || topology.performance_cores() < cores) return std::nullopt;
  return FmaFlopsPerCycle(*row, lanes) * std::min(threads, cores);
}

}  // namespace flopledger
