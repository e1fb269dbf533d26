// flopledger-mpi: the commands of flopledger by several ranks, which an MPI launcher starts. With
// one rank it is flopledger.
#include <fmt/format.h>
#include <fmt/ostream.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <iostream>
#include <span>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "bench/cli/cli.h"
#include "bench/machine/machine.h"
#include "bench/machine/stopwatch.h"
#include "bench/ranks/mpi_link.h"
#include "model/input_error.h"

namespace flopledger {
namespace {

/// Whether the command is one that ranks share; all others are the first rank's.
bool IsShared(const std::vector<std::string>& args) {
  constexpr std::array kShared{"run", "logits", "calibrate"};
  if (args.empty()) return false;
  if (args.front().starts_with('-')) {  // --config FILE run
    return std::ranges::find_first_of(args, kShared) != args.end();
  }
  return std::ranges::find(kShared, args.front()) != kShared.end();
}

int SumOver(MPI_Comm comm, int value) {
  int sum = 0;
  CheckMpi(MPI_Allreduce(&value, &sum, 1, MPI_INT, MPI_SUM, comm));
  return sum;
}

/// The ranks on this rank's host, which share its memory.
MPI_Comm RanksHere() {
  MPI_Comm here = MPI_COMM_NULL;
  CheckMpi(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &here));
  return here;
}

std::string ProcessorName() {
  std::array<char, MPI_MAX_PROCESSOR_NAME> name{};
  int length = 0;
  CheckMpi(MPI_Get_processor_name(name.data(), &length));
  return {name.data(), static_cast<std::size_t>(length)};
}

/// Divides the processors of a host between ranks that the launcher did not bind to their own.
void DivideBetweenRanks(MPI_Comm here) {
  constexpr int kMost = 4096;
  std::vector<int> own(kMost, 0), all(kMost, 0);
  for (const int processor : InitialAffinity()) {
    if (processor < kMost) own[static_cast<std::size_t>(processor)] = 1;
  }
  CheckMpi(MPI_Allreduce(own.data(), all.data(), kMost, MPI_INT, MPI_SUM, here));
  const auto of_host = std::ranges::count_if(all, [](int ranks) { return ranks > 0; });
  int sharing = 1;  // ranks that have this one's processors
  for (std::size_t i = 0; i < own.size(); ++i) {
    if (own[i] > 0) sharing = std::max(sharing, all[i]);
  }
  DivideProcessors(of_host, sharing);
}

/// How a rank ended, as it tells the first, which decides what is said.
struct Report {
  int code = kDone;
  bool timed_out = false;  // it waited in vain: another rank is to blame
  std::array<char, MPI_MAX_PROCESSOR_NAME> host{};
  std::array<char, 2048> why{};  // cut off at that; empty where it has no line to say
};

template <std::size_t n>
void Copy(const std::string& text, std::array<char, n>& to) {
  to = {};
  std::copy_n(text.begin(), std::min(text.size(), n - 1), to.begin());
}

Report ReportOf(const Ending& ending, bool timed_out = false) {
  Report report{.code = ending.code, .timed_out = timed_out};
  Copy(ProcessorName(), report.host);
  Copy(ending.why, report.why);
  return report;
}

constexpr int kReport = 22, kDismissal = 23;  // tags

/// The reports of all ranks at the first, as they arrive. A rank without one has not ended.
class Reports {
 public:
  Reports(MPI_Comm comm, const Report& own, int64_t ranks)
      : reports_(static_cast<std::size_t>(ranks)), requests_(reports_.size(), MPI_REQUEST_NULL) {
    reports_[0] = own;
    for (std::size_t rank = 1; rank < reports_.size(); ++rank) {
      MPI_Irecv(&reports_[rank], sizeof(Report), MPI_BYTE, static_cast<int>(rank), kReport, comm,
                &requests_[rank]);
    }
  }

  /// Whether all have arrived.
  bool Complete() {
    for (MPI_Request& request : requests_) {
      int arrived = 0;
      MPI_Test(&request, &arrived, MPI_STATUS_IGNORE);  // makes it null
    }
    return std::ranges::count(requests_, MPI_REQUEST_NULL) == std::ssize(requests_);
  }

  /// The exit code of all, and the line that says why; it is empty where none has one to say.
  Ending Together() const {
    const std::string missing = Missing();
    std::size_t failed = First([](const Report& each) { return !each.timed_out; });
    if (failed == reports_.size()) failed = First([](const Report&) { return true; });
    if (failed == reports_.size()) {
      if (missing.empty()) return {};
      return {kNotPossibleHere,
              fmt::format("flopledger-mpi: the command is done, and in {:g} s there was no word "
                          "from {}: that rank, or the network to it, is dead",
                          RankTimeout(), missing)};
    }
    const auto& [code, timed_out, host, why] = reports_[failed];
    if (why.front() == '\0') return {code, ""};
    // An interrupt is the first rank's to take, and no failure of its own.
    const bool alike = missing.empty() && !timed_out && std::ranges::all_of(reports_, [&](auto& r) {
                         return r.code == reports_[failed].code;
                       });
    if (alike || code == kNoAnswer) return {code, fmt::format("flopledger: {}", why.data())};
    return {code, fmt::format("flopledger-mpi: rank {} of {} on {}: {}{}{}", failed,
                              reports_.size(), host.data(), why.data(),
                              timed_out && !missing.empty() ? "; no word from " : "",
                              timed_out ? missing : "")};
  }

 private:
  /// The first that arrived, failed and is such; their number where none is.
  template <class Is>
  std::size_t First(const Is& is) const {
    std::size_t rank = 0;
    for (; rank < reports_.size(); ++rank) {
      const bool arrived = requests_[rank] == MPI_REQUEST_NULL;
      if (arrived && reports_[rank].code != kDone && is(reports_[rank])) break;
    }
    return rank;
  }
  /// "rank 1, rank 3".
  std::string Missing() const {
    std::string missing;
    for (std::size_t rank = 1; rank < requests_.size(); ++rank) {
      if (requests_[rank] == MPI_REQUEST_NULL) continue;
      missing += fmt::format("{}rank {}", missing.empty() ? "" : ", ", rank);
    }
    return missing;
  }

  std::vector<Report> reports_;
  std::vector<MPI_Request> requests_;  // null where it has arrived
};

void PrintLine(const std::string& line) {
  if (!line.empty()) fmt::print(std::cerr, "{}\n", line);
}

/// Waits until all ranks have ended; soon ends them where this one failed, as others may wait for
/// it within a pass. Returns the exit code.
int EndAsFirst(MPI_Comm comm, const Report& own, int64_t ranks) {
  constexpr double kGrace = 2;
  Reports reports(comm, own, ranks);
  const auto start = Clock::now();
  while (!reports.Complete()) {
    if (SecondsSince(start) > (own.code == kDone ? RankTimeout() : kGrace)) {
      const Ending ending = reports.Together();
      PrintLine(ending.why);
      MPI_Abort(comm, ending.code);
    }
    usleep(1000);
  }
  const Ending ending = reports.Together();
  PrintLine(ending.why);
  for (int rank = 1; rank < ranks; ++rank) MPI_Send(nullptr, 0, MPI_BYTE, rank, kDismissal, comm);
  return ending.code;
}

/// Reports to the first rank, and waits until it has said what there is to say. Where it does not,
/// a rank that failed ends all itself.
void EndAsOther(MPI_Comm comm, const Report& own, const Shard& shard) {
  constexpr double kGrace = 5;  // after the first rank's own
  std::array<MPI_Request, 2> requests{};
  MPI_Isend(&own, sizeof(Report), MPI_BYTE, 0, kReport, comm, &requests[0]);
  MPI_Irecv(nullptr, 0, MPI_BYTE, 0, kDismissal, comm, &requests[1]);
  const auto start = Clock::now();
  for (int done = 0; done == 0; usleep(1000)) {
    MPI_Testall(2, requests.data(), &done, MPI_STATUSES_IGNORE);
    if (done != 0 || own.code == kDone || SecondsSince(start) < kGrace) continue;
    PrintLine(fmt::format("flopledger-mpi: rank {} of {} on {}: {}", shard.rank, shard.ranks,
                          own.host.data(), own.why.data()));
    MPI_Abort(comm, own.code);
  }
}

/// The commands of several ranks.
Report RunAsRank(MPI_Comm comm, const std::vector<std::string>& args) {
  std::ostringstream nowhere;
  try {
    MpiLink link(comm);
    const bool first = link.shard().rank == 0;
    const MPI_Comm here = RanksHere();
    DivideBetweenRanks(here);
    int place = 0, ranks_here = 1;
    CheckMpi(MPI_Comm_rank(here, &place));
    CheckMpi(MPI_Comm_size(here, &ranks_here));
    Team team{.link = link,
              .host = ProcessorName(),
              .hosts = SumOver(comm, place == 0 ? 1 : 0),
              .ranks_here = ranks_here,
              .library_sum = [comm](std::span<float> x) {
                CheckMpi(MPI_Allreduce(MPI_IN_PLACE, x.data(), static_cast<int>(x.size()),
                                       MPI_FLOAT, MPI_SUM, comm));
              }};
    if (!IsShared(args)) return ReportOf({first ? RunCli(args, std::cout, std::cerr) : kDone, ""});
    const Ending ending = first ? RunCommand(args, std::cout, std::cerr, &team)
                                : RunCommand(args, nowhere, nowhere, &team);
    return ReportOf(ending, link.timed_out());
  } catch (const InputError& error) {  // before the command, which throws nothing
    return ReportOf({kBadInput, error.what()});
  } catch (const CannotMeasure& error) {
    return ReportOf({kNotPossibleHere, error.what()});
  }
}

/// Whether a launcher of another MPI than this build's started several processes: each would take
/// itself for the only one. One of them says so.
bool IsOfAnotherLauncher() {
  constexpr std::array kVariables{std::pair("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
                                  std::pair("PMI_SIZE", "PMI_RANK")};
  for (const auto& [size, rank] : kVariables) {
    const char* const ranks = std::getenv(size);
    if (ranks == nullptr || std::atoi(ranks) <= 1) continue;
    const char* const own = std::getenv(rank);
    if (own == nullptr || std::atoi(own) == 0) {
      fmt::print(std::cerr,
                 "flopledger-mpi: {} processes were started by another MPI's launcher than this "
                 "build's, which sees one\n",
                 ranks);
    }
    return true;
  }
  return false;
}

int Main(int argc, char** argv) {
  int provided = 0;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
  const std::vector<std::string> args{argv + 1, argv + argc};
  int rank = 0, ranks = 1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  if (ranks == 1) {
    const int code = IsOfAnotherLauncher() ? kBadInput : RunCli(args, std::cout, std::cerr);
    MPI_Finalize();
    return code;
  }
  MPI_Comm passes = MPI_COMM_NULL, ending = MPI_COMM_NULL;
  MPI_Comm_dup(MPI_COMM_WORLD, &passes);
  MPI_Comm_dup(MPI_COMM_WORLD, &ending);
  MPI_Comm_set_errhandler(passes, MPI_ERRORS_RETURN);
  const Report own = RunAsRank(passes, args);
  int code = kDone;  // the launcher remarks on each rank that fails: one does
  if (rank == 0) {
    code = EndAsFirst(ending, own, ranks);
  } else {
    EndAsOther(ending, own, {rank, ranks});
  }
  MPI_Finalize();
  return code;
}

}  // namespace
}  // namespace flopledger

int main(int argc, char** argv) { return flopledger::Main(argc, argv); }
