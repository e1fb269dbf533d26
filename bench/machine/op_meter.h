// The observer of a pass that measures each op: by the clock, by hardware counters, by tallies.
#pragma once

#include <array>
#include <type_traits>
#include <utility>

#include "bench/machine/interrupt.h"
#include "bench/machine/pass_progress.h"
#include "bench/machine/stopwatch.h"
#include "model/ops.h"

namespace flopledger {

/// Adds up what a meter reads between Start() and Stop() of every execution of each op, over all
/// layers and passes. Throws Interrupted after the op in which the user wished to stop.
template <class Meter>
class OpMeter {
 public:
  using Figures = decltype(std::declval<std::remove_reference_t<Meter>&>().Stop());

  explicit OpMeter(Meter meter = Meter(), PassProgress* progress = nullptr)
      : meter_(static_cast<Meter&&>(meter)), progress_(progress) {}

  template <class Operands>
  void Before(const Op& op, int64_t layer, const Operands&) {
    if (progress_ != nullptr) progress_->Show(op, layer);
    meter_.Start();
  }
  template <class Operands>
  void After(const Op& op, int64_t, const Operands&) {
    sums_[static_cast<std::size_t>(op.id)] += meter_.Stop();
    ThrowIfInterrupted();
  }

  const Figures& of(OpId id) const { return sums_[static_cast<std::size_t>(id)]; }

 private:
  Meter meter_;
  PassProgress* progress_;
  std::array<Figures, kNumOpIds> sums_{};
};

/// Seconds of each op.
using OpTimer = OpMeter<Stopwatch>;

}  // namespace flopledger
