// Another OpenMP than GCC's: parallel regions are not seen, and a trace has the main thread alone.
#include "bench/run/thread_spans.h"

namespace flopledger {

void SetThreadSpanListener(const ThreadSpanListener*) {}
bool HasThreadSpans() { return false; }

}  // namespace flopledger
