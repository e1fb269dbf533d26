// Compiled for every processor of the architecture: no flag of the kernels reaches this file. Nor
// may a template or an inline function that other files use: the linker keeps one copy of each, and
// that may be one for the kernels' instructions. So it is written as C would be.
#include "bench/machine/instruction_sets.h"

#include <unistd.h>

#include <cstdio>
#include <cstring>
#ifdef __aarch64__
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace flopledger {
namespace {

struct InstructionSet {
  const char* name;
  bool is_here;
};

/// Whether `name`, of `length` characters, is one of `sets` and is here.
bool IsHere(const char* name, std::size_t length, const InstructionSet* sets, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    if (std::strlen(sets[i].name) == length && std::memcmp(sets[i].name, name, length) == 0) {
      return sets[i].is_here;
    }
  }
  return false;
}

}  // namespace

int LackingInstructionSets(const char* wanted, char* lacking, std::size_t size) {
#if defined(__x86_64__)
  __builtin_cpu_init();  // we may run before the constructor that would do it
#define FL_SET(name) \
  { name, __builtin_cpu_supports(name) != 0 }
  const InstructionSet sets[] = {
      FL_SET("sse3"),           FL_SET("ssse3"),       FL_SET("sse4.1"),
      FL_SET("sse4.2"),         FL_SET("popcnt"),      FL_SET("avx"),
      FL_SET("avx2"),           FL_SET("fma"),         FL_SET("bmi"),
      FL_SET("bmi2"),           FL_SET("avx512f"),     FL_SET("avx512cd"),
      FL_SET("avx512bw"),       FL_SET("avx512dq"),    FL_SET("avx512vl"),
      FL_SET("avx512vbmi"),     FL_SET("avx512vbmi2"), FL_SET("avx512ifma"),
      FL_SET("avx512vnni"),     FL_SET("gfni"),        FL_SET("avx512bitalg"),
      FL_SET("avx512vpopcntdq")};
#undef FL_SET
#elif defined(__aarch64__)
  const unsigned long first = getauxval(AT_HWCAP), second = getauxval(AT_HWCAP2);
  const InstructionSet sets[] = {{"lse", (first & HWCAP_ATOMICS) != 0},
                                 {"dotprod", (first & HWCAP_ASIMDDP) != 0},
                                 {"fp16", (first & HWCAP_ASIMDHP) != 0},
                                 {"sve", (first & HWCAP_SVE) != 0},
                                 {"sve2", (second & HWCAP2_SVE2) != 0}};
#else
  const InstructionSet sets[] = {{"", false}};
#endif
  int count = 0;
  if (size > 0) *lacking = '\0';
  while (*wanted != '\0') {
    const std::size_t blanks = std::strspn(wanted, " "), name = std::strcspn(wanted + blanks, " ");
    if (name > 0 && !IsHere(wanted + blanks, name, sets, sizeof sets / sizeof *sets)) {
      ++count;
      if (name + 1 < size) {
        const int length =
            std::snprintf(lacking, size, " %.*s", static_cast<int>(name), wanted + blanks);
        lacking += length;
        size -= static_cast<std::size_t>(length);
      }
    }
    wanted += blanks + name;
  }
  return count;
}

/// Runs before the constructors of global objects, whichever file they stand in, and before main().
extern "C" [[gnu::constructor(101)]] void FlopledgerStopOnAnotherProcessor() {
  char lacking[256], message[512];
  if (LackingInstructionSets(kInstructionSetsOfTheBuild, lacking, sizeof lacking) == 0) return;
  const int length = std::snprintf(
      message, sizeof message,
      "flopledger: built for another processor: this one lacks%s; build it on this machine, or "
      "configure with -DFLOPLEDGER_ARCH= and a name that fits (empty: any processor)\n",
      lacking);
  constexpr int kCannotMeasureHere = 5;
  const auto written = write(STDERR_FILENO, message, static_cast<std::size_t>(length));
  static_cast<void>(written);  // with no one to tell
  _exit(kCannotMeasureHere);
}

}  // namespace flopledger
