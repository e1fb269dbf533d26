#include "model/all_reduce.h"

#include <bit>

#include "model/checked.h"

namespace flopledger {

std::string_view NameOf(AllReduceAlgorithm algorithm) {
  return algorithm == AllReduceAlgorithm::kRing ? "ring" : "recursive doubling";
}

AllReduceAlgorithm AlgorithmOf(int64_t elements, int64_t ranks) {
  return elements / ranks >= kRingChunk ? AllReduceAlgorithm::kRing
                                        : AllReduceAlgorithm::kRecursiveDoubling;
}

int64_t AllReduceScratch(int64_t elements, int64_t ranks) {
  if (ranks == 1) return 0;
  return AlgorithmOf(elements, ranks) == AllReduceAlgorithm::kRing ? CeilDiv(elements, ranks)
                                                                   : elements;
}

int64_t PowerOfTwoWithin(int64_t ranks) {
  return static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(ranks)));
}

}  // namespace flopledger
