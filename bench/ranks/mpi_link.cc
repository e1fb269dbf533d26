#include "bench/ranks/mpi_link.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "bench/machine/stopwatch.h"
#include "model/input_error.h"

namespace flopledger {
namespace {

constexpr int kTag = 21;
constexpr std::size_t kMostBytes = std::size_t{1} << 30;  // of one message: MPI counts by int

/// The part of a long message that starts at `begin`; empty behind its end.
template <class Byte>
std::span<Byte> Piece(std::span<Byte> message, std::size_t begin) {
  begin = std::min(begin, message.size());
  return message.subspan(begin, std::min(kMostBytes, message.size() - begin));
}

/// Lets go of messages that did not come: what comes later is not written where a buffer was.
void GiveUp(std::span<MPI_Request> requests) {
  for (MPI_Request& request : requests) {
    if (request == MPI_REQUEST_NULL) continue;
    MPI_Cancel(&request);
    MPI_Request_free(&request);
  }
}

}  // namespace

double RankTimeout() {
  constexpr double kDefault = 300;
  const char* const text = std::getenv("FLOPLEDGER_RANK_TIMEOUT");
  if (text == nullptr) return kDefault;
  char* end = nullptr;
  const double seconds = std::strtod(text, &end);
  if (end != text && *end == '\0' && seconds > 0) return seconds;
  throw InputError(
      fmt::format("FLOPLEDGER_RANK_TIMEOUT must be seconds above 0, found '{}'", text));
}

void CheckMpi(int code) {
  if (code == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(code, text.data(), &length);
  throw CannotMeasure(fmt::format("MPI failed: {}", text.data()));
}

MpiLink::MpiLink(MPI_Comm comm) : comm_(comm), timeout_s_(RankTimeout()) {
  int rank = 0, ranks = 1;
  CheckMpi(MPI_Comm_rank(comm, &rank));
  CheckMpi(MPI_Comm_size(comm, &ranks));
  shard_ = {rank, ranks};
}

void MpiLink::Exchange(std::span<const std::byte> out, int64_t to, std::span<std::byte> in,
                       int64_t from) {
  for (std::size_t begin = 0; begin < std::max(out.size(), in.size()); begin += kMostBytes) {
    std::array<MPI_Request, 2> requests{MPI_REQUEST_NULL, MPI_REQUEST_NULL};
    const std::span<std::byte> receive = Piece(in, begin);
    const std::span<const std::byte> send = Piece(out, begin);
    if (!receive.empty()) {
      CheckMpi(MPI_Irecv(receive.data(), static_cast<int>(receive.size()), MPI_BYTE,
                         static_cast<int>(from), kTag, comm_, &requests[0]));
    }
    if (!send.empty()) {
      CheckMpi(MPI_Isend(send.data(), static_cast<int>(send.size()), MPI_BYTE, static_cast<int>(to),
                         kTag, comm_, &requests[1]));
    }
    const auto start = Clock::now();
    constexpr int kSpins = 200;  // before a processor that others may need is given away
    int done = 0;
    for (int spins = 0; done == 0; ++spins) {
      CheckMpi(MPI_Testall(2, requests.data(), &done, MPI_STATUSES_IGNORE));
      if (done != 0 || spins < kSpins) continue;
      sched_yield();
      if (SecondsSince(start) > timeout_s_) {
        timed_out_ = true;
        GiveUp(requests);
        throw CannotMeasure(fmt::format(
            "waited {:g} s for rank {}: that rank, one that it waits for, or the network between "
            "them is dead",
            timeout_s_, receive.empty() ? to : from));
      }
    }
  }
}

}  // namespace flopledger
