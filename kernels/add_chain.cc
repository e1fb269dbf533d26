#include "kernels/add_chain.h"

namespace flopledger {

int64_t RunAddChain(int64_t rounds) {
  int64_t sum = 0;
  const int64_t one = 1;  // from a register: some processors fold what adds a constant
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 64
    for (int i = 0; i < kAddsOfRound; ++i) {
#if defined(__x86_64__)
      __asm__ volatile("addq %1, %0" : "+r"(sum) : "r"(one) : "cc");
#elif defined(__aarch64__)
      __asm__ volatile("add %0, %0, %1" : "+r"(sum) : "r"(one));
#else
      sum += one;
#endif
    }
  }
  return sum;
}

}  // namespace flopledger
