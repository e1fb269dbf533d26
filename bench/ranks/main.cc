// flopledger-mpi: the commands of flopledger by several ranks, which an MPI launcher starts. With
// one rank it is flopledger.
#include <fmt/format.h>
#include <fmt/ostream.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <iostream>
#include <optional>
#include <sstream>

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

/// The line that says why a rank ended.
std::string LastLine(const std::string& log) {
  std::istringstream lines(log);
  std::string last;
  for (std::string line; std::getline(lines, line);) last = line;
  constexpr std::string_view kName = "flopledger: ";
  return last.starts_with(kName) ? last.substr(kName.size()) : last;
}

/// What a rank ends with.
struct Ending {
  int code = 0;
  std::string line;  // why, where it is yet to be printed
};

/// Waits until all ranks have ended. One that failed while others wait for it within a pass ends
/// them all: the first rank soon, the others if it has not done so. Returns the exit code.
int EndTogether(MPI_Comm comm, const Shard& shard, const Ending& ending) {
  constexpr double kGrace = 2, kLonger = 5;
  MPI_Request arrival = MPI_REQUEST_NULL;
  MPI_Ibarrier(comm, &arrival);
  const auto start = Clock::now();
  const auto say = [&] {
    if (ending.line.empty()) return;
    fmt::print(std::cerr, "flopledger-mpi: rank {} of {} on {}: {}\n", shard.rank, shard.ranks,
               ProcessorName(), ending.line);
  };
  for (int arrived = 0; arrived == 0;) {
    MPI_Test(&arrival, &arrived, MPI_STATUS_IGNORE);
    usleep(1000);
    if (shard.rank == 0 && ending.code == 0 && SecondsSince(start) > RankTimeout()) {
      fmt::print(
          std::cerr,
          "flopledger-mpi: the result is out, but after {:g} s not every rank has ended: one, or "
          "the network to it, is dead\n",
          RankTimeout());
      MPI_Abort(comm, kNotPossibleHere);
    }
    if (ending.code == 0 || SecondsSince(start) < (shard.rank == 0 ? kGrace : kLonger)) continue;
    say();
    MPI_Abort(comm, ending.code);
  }
  std::vector<int> codes(static_cast<std::size_t>(shard.ranks));
  MPI_Allgather(&ending.code, 1, MPI_INT, codes.data(), 1, MPI_INT, comm);
  const auto failed = std::ranges::find_if(codes, [](int code) { return code != 0; });
  if (failed != codes.end() && failed - codes.begin() == shard.rank) say();
  MPI_Finalize();
  // The launcher remarks on each rank that fails: one does.
  return shard.rank == 0 && failed != codes.end() ? *failed : 0;
}

/// The commands of several ranks.
Ending RunAsRank(MPI_Comm comm, const std::vector<std::string>& args) {
  std::ostringstream nowhere, log;
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
    if (!IsShared(args)) return {first ? RunCli(args, std::cout, std::cerr) : 0, ""};
    const int code =
        first ? RunCli(args, std::cout, std::cerr, &team) : RunCli(args, nowhere, log, &team);
    return {code, LastLine(log.str())};
  } catch (const InputError& error) {  // before the command, which throws nothing
    return {kBadInput, error.what()};
  } catch (const CannotMeasure& error) {
    return {kNotPossibleHere, error.what()};
  }
}

int Main(int argc, char** argv) {
  int provided = 0;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
  const std::vector<std::string> args{argv + 1, argv + argc};
  int rank = 0, ranks = 1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  for (const char* told : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"}) {
    const char* of_launcher = getenv(told);
    if (of_launcher == nullptr || std::atoi(of_launcher) <= 1 || ranks > 1) continue;
    fmt::print(
        std::cerr,
        "flopledger-mpi: the launcher started {} ranks, and this build's MPI sees one: start "
        "it by the mpirun of the MPI that it was built with\n",
        of_launcher);
    MPI_Finalize();
    return kBadInput;
  }
  if (ranks == 1) {
    const int code = RunCli(args, std::cout, std::cerr);
    MPI_Finalize();
    return code;
  }
  MPI_Comm passes = MPI_COMM_NULL, ending = MPI_COMM_NULL;
  MPI_Comm_dup(MPI_COMM_WORLD, &passes);
  MPI_Comm_dup(MPI_COMM_WORLD, &ending);
  MPI_Comm_set_errhandler(passes, MPI_ERRORS_RETURN);
  return EndTogether(ending, {rank, ranks}, RunAsRank(passes, args));
}

}  // namespace
}  // namespace flopledger

int main(int argc, char** argv) { return flopledger::Main(argc, argv); }
