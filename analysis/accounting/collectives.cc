#include "analysis/accounting/collectives.h"

#include <bit>

#include "model/checked.h"

namespace flopledger {
namespace {

/// Rank r begins with chunk r and ends with the sum of chunk r + 1: it adds onto all chunks but r,
/// sends all but r + 1, and then passes on all sums but r + 2, its neighbour's own.
AllReduceCost Ring(int64_t n, const Shard& shard) {
  const auto [r, P] = shard;
  const auto chunk = [n, P = P](int64_t i) { return PartOf(n, i % P, P).size; };
  return {.algorithm = AllReduceAlgorithm::kRing,
          .steps = 2 * (P - 1),
          .sent = CheckedMul(int64_t{2}, n) - chunk(r + 1) - chunk(r + 2),
          .additions = n - chunk(r)};
}

/// Of P ranks, D = 2^d double; the first 2·(P − D) are pairs, of which the second adds the first's
/// and sends it the sum.
AllReduceCost Doubling(int64_t n, const Shard& shard) {
  const auto [r, P] = shard;
  const int64_t doubling = PowerOfTwoWithin(P), pairs = P - doubling;
  const int64_t d = std::countr_zero(static_cast<uint64_t>(doubling));
  AllReduceCost cost{.algorithm = AllReduceAlgorithm::kRecursiveDoubling,
                     .steps = d + (pairs > 0 ? 2 : 0),
                     .sent = CheckedMul(d, n),
                     .additions = CheckedMul(d, n)};
  if (r >= 2 * pairs) return cost;
  if (r % 2 == 0) {
    cost.sent = n, cost.additions = 0;
  } else {
    cost.sent = CheckedAdd(cost.sent, n), cost.additions = CheckedAdd(cost.additions, n);
  }
  return cost;
}

}  // namespace

AllReduceCost CostOfAllReduce(int64_t elements, const Shard& shard) {
  if (shard.is_whole()) return {};
  return AlgorithmOf(elements, shard.ranks) == AllReduceAlgorithm::kRing
             ? Ring(elements, shard)
             : Doubling(elements, shard);
}

int64_t SentOfLogitsGather(int64_t rows, int64_t vocabulary, const Shard& shard) {
  if (shard.rank == 0) return 0;
  return CheckedMul(rows, PartOf(vocabulary, shard.rank, shard.ranks).size);
}

}  // namespace flopledger
