// Single steps by the trap flag, tallied by address in the handler; Zydis decodes each address
// once.
#include <Zydis/Zydis.h>
#include <cpuid.h>
#include <sys/ucontext.h>
#include <ucontext.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <csignal>
#include <cstring>
#include <memory>
#include <string_view>
#include <thread>

#include "bench/counting/instruction_count.h"
#include "bench/machine/interrupt.h"
#include "kernels/check.h"
#include "model/input_error.h"

namespace flopledger {
namespace {

constexpr int64_t kTrapFlag = 0x100;

struct Operation {
  std::string_view stem;  // of the mnemonic, without "v" and the type
  int64_t flops_a_lane;
};
constexpr Operation kOperations[] = {{"add", 1},   {"sub", 1},   {"mul", 1},     {"div", 1},
                                     {"min", 1},   {"max", 1},   {"sqrt", 1},    {"rcp", 1},
                                     {"rcp14", 1}, {"rsqrt", 1}, {"rsqrt14", 1}, {"addsub", 1}};

/// FLOPs a lane of a mnemonic such as "vfmadd231ps", and its element type; 0 where it is none.
struct Classified {
  int64_t flops_a_lane = 0;
  bool is_scalar = false, is_double = false;
};
Classified Classify(std::string_view mnemonic) {
  if (mnemonic.size() < 4) return {};
  const std::string_view type = mnemonic.substr(mnemonic.size() - 2);
  if (type != "ps" && type != "ss" && type != "pd" && type != "sd") return {};
  std::string_view stem = mnemonic.substr(0, mnemonic.size() - 2);
  if (stem.starts_with('v')) stem.remove_prefix(1);
  Classified found{.is_scalar = type[0] == 's', .is_double = type[1] == 'd'};
  if (stem.starts_with("fmadd") || stem.starts_with("fmsub") || stem.starts_with("fnmadd") ||
      stem.starts_with("fnmsub")) {
    found.flops_a_lane = 2;
  } else {
    const auto* operation = std::ranges::find(kOperations, stem, &Operation::stem);
    if (operation != std::end(kOperations)) found.flops_a_lane = operation->flops_a_lane;
  }
  return found;
}

/// What the handler keeps of an instruction; no member allocates.
struct Site {
  uintptr_t address = 0;
  int64_t executions = 0;
  int64_t lanes_executed = 0;
  const char* mnemonic = nullptr;  // null where it executes no FLOP
  int64_t flops_a_lane = 0;
  int lanes = 0;
  int mask_register = 0;
  bool is_double = false;
};

const ZydisDecoder& Decoder() {
  static const ZydisDecoder decoder = [] {
    ZydisDecoder made;
    ZydisDecoderInit(&made, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    return made;
  }();
  return decoder;
}

/// Fills a site from its instruction's bytes. Safe in a signal handler.
void Decode(const void* code, std::size_t size, Site& site) {
  ZydisDecodedInstruction instruction;
  ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
  if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&Decoder(), code, size, &instruction, operands))) return;
  const char* mnemonic = ZydisMnemonicGetString(instruction.mnemonic);
  const Classified kind = Classify(mnemonic);
  if (kind.flops_a_lane == 0) return;
  site.mnemonic = mnemonic;
  site.flops_a_lane = kind.flops_a_lane;
  site.is_double = kind.is_double;
  site.lanes = kind.is_scalar ? 1 : operands[0].size / (kind.is_double ? 64 : 32);
  const ZydisRegister mask = instruction.avx.mask.reg;
  if (mask > ZYDIS_REGISTER_K0 && mask <= ZYDIS_REGISTER_K7) {
    site.mask_register = mask - ZYDIS_REGISTER_K0;
  }
}

/// The value of k1 to k7 in the interrupted context. The extended state holds the mask registers
/// where CPUID leaf 0DH, component 5, says; a component that is not in use is all zeros.
uint64_t MaskRegister(const ucontext_t& context, int index) {
  static const unsigned offset = [] {
    unsigned size = 0, where = 0, c = 0, d = 0;
    __cpuid_count(0xd, 5, size, where, c, d);
    return where;
  }();
  const auto* state = reinterpret_cast<const unsigned char*>(context.uc_mcontext.fpregs);
  constexpr std::size_t kHeader = 512;
  uint64_t in_use = 0, value = 0;
  std::memcpy(&in_use, state + kHeader, sizeof(in_use));
  if ((in_use >> 5 & 1) == 0 || offset == 0) return 0;
  std::memcpy(&value, state + offset + 8 * index, sizeof(value));
  return value;
}

/// The table that the handler fills: open addressing, never grown.
class SiteTable {
 public:
  SiteTable() : sites_(std::make_unique<std::array<Site, kSlots>>()) {}

  /// The site of an address, decoded if it is new; null when the table is full.
  Site* At(uintptr_t address) {
    std::size_t slot = address * 0x9e3779b97f4a7c15u >> 46;
    for (std::size_t tries = 0; tries < kSlots; ++tries, slot = (slot + 1) % kSlots) {
      Site& site = (*sites_)[slot];
      if (site.address == address) return &site;
      if (site.address == 0) {
        site.address = address;
        Decode(reinterpret_cast<const void*>(address), ZYDIS_MAX_INSTRUCTION_LENGTH, site);
        return &site;
      }
    }
    return nullptr;
  }
  std::span<const Site> all() const { return *sites_; }

 private:
  static constexpr std::size_t kSlots = std::size_t{1} << 18;
  std::unique_ptr<std::array<Site, kSlots>> sites_;
};

SiteTable* active_table = nullptr;
std::atomic<int64_t> steps = 0;
std::atomic<bool> stopped_early = false;

void OnTrap(int, siginfo_t*, void* raw_context) {
  auto& context = *static_cast<ucontext_t*>(raw_context);
  auto& registers = context.uc_mcontext.gregs;
  Site* site = interrupted ? nullptr : active_table->At(static_cast<uintptr_t>(registers[REG_RIP]));
  if (site == nullptr) {
    stopped_early = true;
    registers[REG_EFL] &= ~kTrapFlag;
    return;
  }
  ++site->executions;
  site->lanes_executed += site->mask_register == 0
                              ? site->lanes
                              : std::popcount(MaskRegister(context, site->mask_register) &
                                              ((uint64_t{1} << site->lanes) - 1));
  steps.store(steps.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

// Functions of their own, so that pushing below the stack pointer overwrites nothing.
[[gnu::noinline]] void SetTrapFlag() {
  asm volatile("pushfq; orq $0x100, (%%rsp); popfq" ::: "cc", "memory");
}
[[gnu::noinline]] void ClearTrapFlag() {
  asm volatile("pushfq; andq $~0x100, (%%rsp); popfq" ::: "cc", "memory");
}

}  // namespace

std::optional<FlopInstruction> DecodeFlops(std::span<const uint8_t> code) {
  Site site;
  Decode(code.data(), code.size(), site);
  if (site.mnemonic == nullptr) return std::nullopt;
  return FlopInstruction{site.mnemonic, site.flops_a_lane, site.lanes, site.is_double,
                         site.mask_register};
}

std::string InstructionCountUnavailable() { return ""; }

InstructionCount CountInstructions(const std::function<void()>& region,
                                   const std::function<void(int64_t)>& on_progress) {
  SiteTable table;
  Decoder();
  FL_CHECK(active_table == nullptr);
  active_table = &table;
  steps = 0;
  stopped_early = false;
  struct sigaction action {
  }, before{};
  action.sa_sigaction = OnTrap;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGTRAP, &action, &before);
  std::atomic<bool> done = false;
  std::thread watcher([&] {
    while (!done) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      if (on_progress && !done) on_progress(steps);
    }
  });

  SetTrapFlag();
  region();
  ClearTrapFlag();

  done = true;
  watcher.join();
  sigaction(SIGTRAP, &before, nullptr);
  active_table = nullptr;

  InstructionCount count;
  count.finished = !stopped_early;
  for (const Site& site : table.all()) {
    count.instructions += site.executions;
    if (site.mnemonic == nullptr || site.executions == 0) continue;
    const int64_t flops = site.lanes_executed * site.flops_a_lane;
    (site.is_double ? count.double_flops : count.flops) += flops;
    MnemonicCount& mnemonic = count.by_mnemonic[site.mnemonic];
    mnemonic.executions += site.executions;
    mnemonic.flops += flops;
    mnemonic.is_double = site.is_double;
  }
  return count;
}

}  // namespace flopledger
