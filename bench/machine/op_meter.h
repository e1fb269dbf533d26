// The observer of a pass that measures each op: by the clock, by hardware counters, by tallies.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <type_traits>
#include <utility>

#include "bench/machine/interrupt.h"
#include "bench/machine/progress.h"
#include "bench/machine/stopwatch.h"
#include "model/ops.h"

namespace flopledger {

/// How far a pass is, on a terminal.
class PassProgress {
 public:
  PassProgress(Progress& progress, std::string label, int64_t num_layers)
      : progress_(progress), label_(std::move(label)), num_layers_(num_layers) {}

  void Show(const Op& op, int64_t layer) {
    if (!progress_.Due()) return;
    if (layer <= 0) start_ = Clock::now();
    std::string line = fmt::format("{}: {}", label_, op.name());
    if (layer >= 0) line += fmt::format(", layer {} of {}", layer + 1, num_layers_);
    if (layer > 0) {
      line += fmt::format(", about {:.0f} s left in the layers",
                          SecondsSince(start_) * static_cast<double>(num_layers_ - layer) /
                              static_cast<double>(layer));
    }
    progress_.Show(line);
  }

 private:
  Progress& progress_;
  std::string label_;
  int64_t num_layers_;
  Clock::time_point start_{};  // of the first layer
};

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
