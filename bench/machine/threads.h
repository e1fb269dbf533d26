// The OpenMP team that is measured.
#pragma once

#include <omp.h>

#include "bench/machine/pinning.h"
#include "kernels/check.h"

namespace flopledger {

/// Parallel regions have that many threads from now on: OpenMP must not choose fewer by itself
/// (OMP_DYNAMIC), for rates are made of the number. Bound to cores, where that is asked for.
inline void UseThreads(int threads) {
  omp_set_dynamic(0);
  omp_set_num_threads(threads);
  PinTeam(threads);
}

/// Fails where a parallel region of `threads` threads gets another number of them, as beyond
/// OMP_THREAD_LIMIT.
inline void CheckTeamSize(int threads) {
  int team = 0;
#pragma omp parallel num_threads(threads)
#pragma omp single
  team = omp_get_num_threads();
  FL_CHECK(team == threads, team, threads);
}

}  // namespace flopledger
