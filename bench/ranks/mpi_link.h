// Messages between ranks by MPI.
#pragma once

#include <mpi.h>

#include <string>

#include "bench/machine/team.h"

namespace flopledger {

/// Seconds that a rank waits for a message before it takes the other, or the network between them,
/// for dead: FLOPLEDGER_RANK_TIMEOUT, or 300.
double RankTimeout();

/// Throws CannotMeasure where MPI reports an error, or a message takes longer than RankTimeout.
class MpiLink : public Link {
 public:
  explicit MpiLink(MPI_Comm comm);

  Shard shard() const override { return shard_; }
  void Exchange(std::span<const std::byte> out, int64_t to, std::span<std::byte> in,
                int64_t from) override;
  /// Whether a message did.
  bool timed_out() const { return timed_out_; }

 private:
  MPI_Comm comm_;
  Shard shard_;
  double timeout_s_;
  bool timed_out_ = false;
};

/// Throws CannotMeasure where `code` is not MPI_SUCCESS.
void CheckMpi(int code);

}  // namespace flopledger
