// GCC turns `#pragma omp parallel` into a call of libgomp's GOMP_parallel with the region's body as
// a function. The linker's --wrap (set in bench/CMakeLists.txt) sends that call here.
#include <omp.h>

#include <atomic>

#include "bench/run/thread_spans.h"

namespace flopledger {
namespace {

std::atomic<const ThreadSpanListener*> current = nullptr;

struct Region {
  void (*body)(void*);
  void* data;
  const ThreadSpanListener* listener;
};

void RunRegion(void* argument) {
  const auto& region = *static_cast<const Region*>(argument);
  const int thread = omp_get_thread_num();
  region.listener->begin(region.listener->self, thread);
  region.body(region.data);
  region.listener->end(region.listener->self, thread);
}

}  // namespace

void SetThreadSpanListener(const ThreadSpanListener* listener) { current = listener; }
bool HasThreadSpans() { return true; }

}  // namespace flopledger

extern "C" {

// The names are libgomp's and the linker's.
void __real_GOMP_parallel(void (*body)(void*), void* data, unsigned threads, unsigned flags);

void __wrap_GOMP_parallel(void (*body)(void*), void* data, unsigned threads, unsigned flags) {
  const auto* listener = flopledger::current.load(std::memory_order_acquire);
  // Regions inside of a region would be slices of a thread that has one already.
  if (listener == nullptr || omp_in_parallel() != 0) {
    __real_GOMP_parallel(body, data, threads, flags);
    return;
  }
  flopledger::Region region{body, data, listener};
  __real_GOMP_parallel(flopledger::RunRegion, &region, threads, flags);
}
}
