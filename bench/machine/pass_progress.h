// How far a pass is, and the command that it is part of, on a terminal.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>

#include "bench/machine/progress.h"
#include "model/config.h"
#include "model/ops.h"

namespace flopledger {

/// What a pass is to do: FLOPs, under `all`.
struct PassWork {
  double pass = 0;
  std::array<double, kNumOpIds> execution{};  // of each op, by id
};
PassWork WorkOf(const ModelConfig& model, const RunShape& shape, std::span<const Op> ops);

class PassProgress {
 public:
  PassProgress(Progress& progress, std::string label, int64_t num_layers, const PassWork& work = {})
      : progress_(progress), label_(std::move(label)), num_layers_(num_layers), work_(work) {}

  /// Before an op is executed: "repetition 2 of 3: layer 4 of 12, ffn_up; about 20 s left".
  void Show(const Op& op, int64_t layer) {
    done_ += current_;
    current_ = work_.execution[static_cast<std::size_t>(op.id)];
    if (progress_.Due()) Write(op, layer);
  }

 private:
  void Write(const Op& op, int64_t layer);

  Progress& progress_;
  std::string label_;
  int64_t num_layers_;
  PassWork work_;
  double done_ = 0, current_ = 0;
};

/// For what fills weights: shows `label` and how much is filled. Throws Interrupted.
std::function<void(double)> FillingProgress(Progress& progress, const std::string& label);

}  // namespace flopledger
