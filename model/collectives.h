// What ranks do together, on top of messages between two of them. The additions are our own: they
// are counted as those of any other op, and each rank has the same bits afterwards.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/check.h"
#include "kernels/pointwise.h"
#include "model/all_reduce.h"
#include "model/shard.h"

namespace flopledger {

/// Messages between the ranks of one pass. Of one kind for all of them: processes under MPI
/// (bench/ranks), threads in tests.
class Link {
 public:
  virtual ~Link() = default;

  virtual Shard shard() const = 0;

  /// Sends `out` to rank `to` while it receives `in`, as long as it was sent, from rank `from`. An
  /// empty span is not sent, or not received. Returns when both are done.
  virtual void Exchange(std::span<const std::byte> out, int64_t to, std::span<std::byte> in,
                        int64_t from) = 0;
};

/// A rank whose peers are absent: it executes and counts its own part, on zeros where theirs would
/// come in.
class AbsentPeers : public Link {
 public:
  explicit AbsentPeers(const Shard& shard) : shard_(shard) {}

  Shard shard() const override { return shard_; }
  void Exchange(std::span<const std::byte>, int64_t, std::span<std::byte> in, int64_t) override {
    std::ranges::fill(in, std::byte{0});
  }

 private:
  Shard shard_;
};

namespace internal {

template <class Scalar>
void Exchange(Link& link, std::span<const Scalar> out, int64_t to, std::span<Scalar> in,
              int64_t from) {
  link.Exchange(std::as_bytes(out), to, std::as_writable_bytes(in), from);
}

/// x += y, by all threads.
template <class Scalar>
void AddOnto(std::span<Scalar> x, std::span<const Scalar> y) {
  constexpr int64_t kRow = 4096;  // what a thread takes at a time
  const auto n = static_cast<int64_t>(x.size()), rows = n / kRow, rest = n - rows * kRow;
  if (rows > 0) {
    AddResidual<Scalar>({x.data(), rows, kRow, kRow}, {y.data(), rows, kRow, kRow});
  }
  if (rest > 0) {
    AddResidual<Scalar>({x.data() + rows * kRow, 1, rest, rest},
                        {y.data() + rows * kRow, 1, rest, rest});
  }
}

template <class Scalar>
void RingAllReduce(Link& link, std::span<Scalar> x, std::span<Scalar> scratch) {
  const auto [rank, P] = link.shard();
  const int64_t next = (rank + 1) % P, before = (rank + P - 1) % P;
  const auto chunk = [&, P = P](int64_t i) {
    const Range range = PartOf(static_cast<int64_t>(x.size()), (i % P + P) % P, P);
    return x.subspan(static_cast<std::size_t>(range.begin), static_cast<std::size_t>(range.size));
  };
  for (int64_t step = 0; step < P - 1; ++step) {
    const std::span<Scalar> mine = chunk(rank - step - 1), in = scratch.first(mine.size());
    Exchange<Scalar>(link, chunk(rank - step), next, in, before);
    AddOnto<Scalar>(mine, in);
  }
  for (int64_t step = 0; step < P - 1; ++step) {
    Exchange<Scalar>(link, chunk(rank + 1 - step), next, chunk(rank - step), before);
  }
}

template <class Scalar>
void RecursiveDoubling(Link& link, std::span<Scalar> x, std::span<Scalar> scratch) {
  const auto [rank, P] = link.shard();
  const int64_t doubling = PowerOfTwoWithin(P), beyond = P - doubling;
  const std::span<Scalar> in = scratch.first(x.size());
  if (rank < 2 * beyond && rank % 2 == 0) {  // gives its numbers to the next, and has the sum of it
    Exchange<Scalar>(link, x, rank + 1, {}, rank + 1);
    return Exchange<Scalar>(link, {}, rank + 1, x, rank + 1);
  }
  const bool has_neighbour = rank < 2 * beyond;
  if (has_neighbour) {
    Exchange<Scalar>(link, {}, rank - 1, in, rank - 1);
    AddOnto<Scalar>(x, in);
  }
  const int64_t place = has_neighbour ? rank / 2 : rank - beyond;
  for (int64_t distance = 1; distance < doubling; distance *= 2) {
    const int64_t other = place ^ distance;
    const int64_t partner = other < beyond ? 2 * other + 1 : other + beyond;
    Exchange<Scalar>(link, x, partner, in, partner);
    AddOnto<Scalar>(x, in);
  }
  if (has_neighbour) Exchange<Scalar>(link, x, rank - 1, {}, rank - 1);
}

}  // namespace internal

/// x becomes the sum of all ranks' x, which are as long, in the same order of additions for each of
/// them. x is contiguous; `scratch` has AllReduceScratch elements.
template <class Scalar>
void AllReduceSum(Link& link, MatrixView<Scalar> x, MatrixView<Scalar> scratch) {
  if (link.shard().is_whole()) return;
  FL_CHECK(x.stride == x.cols || x.rows == 1, x.stride, x.cols);
  const int64_t n = x.rows * x.cols;
  const std::span<Scalar> numbers(x.data, static_cast<std::size_t>(n));
  const std::span<Scalar> received(scratch.data, static_cast<std::size_t>(scratch.cols));
  if (AlgorithmOf(n, link.shard().ranks) == AllReduceAlgorithm::kRing) {
    return internal::RingAllReduce<Scalar>(link, numbers, received);
  }
  internal::RecursiveDoubling<Scalar>(link, numbers, received);
}

/// Gathers columns at the first rank: `own` [R, the rank's part], contiguous, to all [R, n], which
/// is read at no other rank. `scratch` holds another rank's part.
template <class Scalar>
void GatherColumns(Link& link, ConstMatrixView<Scalar> own, MatrixView<Scalar> all,
                   MatrixView<Scalar> scratch) {
  const auto [rank, P] = link.shard();
  if (rank > 0) {
    return internal::Exchange<Scalar>(
        link, {own.data, static_cast<std::size_t>(own.rows * own.cols)}, 0, {}, 0);
  }
  for (int64_t r = 0; r < P; ++r) {
    const Range part = PartOf(all.cols, r, P);
    const std::span<Scalar> in(scratch.data, static_cast<std::size_t>(all.rows * part.size));
    if (r > 0) internal::Exchange<Scalar>(link, {}, r, in, r);
    const Scalar* const from = r == 0 ? own.data : in.data();
    for (int64_t row = 0; row < all.rows; ++row) {
      std::copy_n(from + row * part.size, part.size, all.row(row) + part.begin);
    }
  }
}

}  // namespace flopledger
