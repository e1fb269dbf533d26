// What collective operations cost a rank, in closed formulas: messages, bytes, additions. Source:
// Thakur, Rabenseifner and Gropp 2005, sections 3 and 4.5; the two algorithms are in
// model/all_reduce.h.
#pragma once

#include <cstdint>

#include "model/all_reduce.h"
#include "model/shard.h"

namespace flopledger {

/// One all-reduce, of one rank: the ring sends 2·(P − 1)/P·n numbers and adds (P − 1)/P·n (to the
/// chunk: n need not divide), recursive doubling log2 P times n of both. All ranks together add
/// (P − 1)·n by the ring.
struct AllReduceCost {
  AllReduceAlgorithm algorithm = AllReduceAlgorithm::kRing;
  int64_t steps = 0;      // messages one after the other, over all ranks: what latency counts
  int64_t sent = 0;       // numbers that the rank sends
  int64_t additions = 0;  // that it executes
};
AllReduceCost CostOfAllReduce(int64_t elements, const Shard& shard);

/// Numbers that a rank sends for the logits [rows, vocabulary] to be gathered at the first.
int64_t SentOfLogitsGather(int64_t rows, int64_t vocabulary, const Shard& shard);

}  // namespace flopledger
