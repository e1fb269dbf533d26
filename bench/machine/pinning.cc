#include "bench/machine/pinning.h"

#include <fmt/format.h>
#include <omp.h>
#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "bench/machine/limits.h"
#include "bench/machine/topology.h"
#include "model/input_error.h"

namespace flopledger {
namespace {

Pin pin_now = Pin::kNone;
int pinned_threads = 1;  // of the largest team that was bound

/// Lets the calling thread run on these processors only; an error number, or 0.
int Bind(const std::vector<int>& processors) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int processor : processors) CPU_SET(processor, &set);
  return sched_setaffinity(0, sizeof(set), &set) == 0 ? 0 : errno;
}

}  // namespace

ThreadPinning::ThreadPinning(Pin pin) { pin_now = pin; }

ThreadPinning::~ThreadPinning() {
  if (pin_now == Pin::kNone) return;
  pin_now = Pin::kNone;
  const std::vector<int> usable = InitialAffinity();
#pragma omp parallel num_threads(pinned_threads)
  Bind(usable);
  pinned_threads = 1;
}

void PinTeam(int threads) {
  if (pin_now == Pin::kNone) return;
  const std::vector<std::vector<int>> plan = PinPlan(MachineTopology(), threads);
  pinned_threads = std::max(pinned_threads, threads);
  int error = 0;
#pragma omp parallel num_threads(threads) reduction(max : error)
  error = Bind(plan[static_cast<std::size_t>(omp_get_thread_num())]);
  if (error != 0) {
    throw CannotMeasure(
        fmt::format("--pin cores: threads cannot be bound here: {}", std::strerror(error)));
  }
}

std::string PinningText() {
  if (pin_now == Pin::kCores) return "cores";
  if (omp_get_proc_bind() != omp_proc_bind_false) return "by OpenMP (OMP_PROC_BIND, OMP_PLACES)";
  return "none";
}

}  // namespace flopledger
