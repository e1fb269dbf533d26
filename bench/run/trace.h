// A trace of one forward pass, for Perfetto, chrome://tracing and speedscope: when each layer and
// each operation ran, and what each thread had of it. It is taken in a pass of its own, after those
// that are timed.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bench/machine/op_meter.h"
#include "bench/run/thread_spans.h"
#include "model/forward.h"

namespace flopledger {

/// A stretch of time on one thread. Slices of a thread nest: layer, operation, parallel region.
struct Slice {
  enum class Level { kLayer, kOp, kRegion };
  Level level = Level::kOp;
  std::string name;      // "layer 3", or the operation's name
  int64_t layer = -1;    // −1 outside the layers
  int thread = 0;        // OpenMP's number; 0 runs what is not parallel
  int64_t start_ns = 0;  // since the trace began
  int64_t duration_ns = 0;
  std::optional<Op> op = {};          // of an operation
  std::optional<int64_t> flops = {};  // executed in it; of a layer, the sum of its operations'
  int rank = 0;                       // whose clock the times are on, since that rank's trace began
  bool operator==(const Slice&) const = default;
};

/// Records a pass. While one lives, the threads report to it, so there is one at a time.
class TraceObserver {
 public:
  TraceObserver(int threads, PassProgress progress);
  ~TraceObserver() { SetThreadSpanListener(nullptr); }
  TraceObserver(const TraceObserver&) = delete;
  TraceObserver& operator=(const TraceObserver&) = delete;

  void Before(const Op& op, int64_t layer, const Operands<float>&);
  /// Throws Interrupted where the user wishes to stop.
  void After(const Op& op, int64_t layer, const Operands<float>&);

  /// Everything recorded, outer slices before those inside of them.
  std::vector<Slice> Finish();

 private:
  /// What one thread has done since the operation began; written by that thread alone.
  struct alignas(64) ThreadSpans {
    int64_t open_ns = 0;
    std::vector<std::pair<int64_t, int64_t>> done_ns;  // start and end
  };
  void CloseLayer();

  PassProgress progress_;
  ThreadSpanListener listener_;
  std::vector<ThreadSpans> threads_;
  std::vector<Slice> slices_;
  int64_t began_ns_, op_start_ns_ = 0;
  int64_t layer_ = -1, layer_start_ns_ = 0, layer_end_ns_ = 0;
};

/// A traced pass.
struct PassTrace {
  std::vector<Slice> slices;  // empty where it was interrupted
  // FMA peak around it of each rank, all its threads; empty: not measured.
  std::vector<double> peaks_flops_per_s;
};

/// Gives each operation's slice the FLOPs that one execution of it executes, and each layer's the
/// sum of those inside of it.
void SetFlops(std::vector<Slice>& slices, const std::function<int64_t(const Op&)>& flops_of);

/// As {"traceEvents": […], "displayTimeUnit": "ms"}: complete ("X") events, microseconds.
/// `title` names the process; several ranks are several processes.
std::string ToChromeTrace(const PassTrace& trace, const std::string& title);

}  // namespace flopledger
