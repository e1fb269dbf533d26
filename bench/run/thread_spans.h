// What each thread does of a parallel region: its share of the work, without the wait at the end.
// The kernels know nothing of it: the call that the compiler makes of `#pragma omp parallel` is
// intercepted where it is linked. Idle, it costs a load and a branch for each region.
#pragma once

namespace flopledger {

/// Told on the thread itself, when it begins its share and when it has done it.
struct ThreadSpanListener {
  void (*begin)(void* self, int thread) = nullptr;
  void (*end)(void* self, int thread) = nullptr;
  void* self = nullptr;
};

/// Sets who is told from now on; null for none. The listener must outlive its being set. Called
/// between parallel regions.
void SetThreadSpanListener(const ThreadSpanListener* listener);

/// False where this build cannot intercept (another compiler's OpenMP).
bool HasThreadSpans();

}  // namespace flopledger
