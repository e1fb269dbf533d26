// One timed repetition of a pass, and what ran in it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "analysis/accounting/accounting.h"
#include "analysis/accounting/executed.h"
#include "model/config.h"
#include "model/ops.h"

namespace flopledger {

/// What the system did while something was timed.
struct SystemActivity {
  double seconds = 0;  // wall-clock
  // Processor time, of all processors that this process may use together; absent where unknown.
  std::optional<double> stolen_s{};  // that the hypervisor withheld
  std::optional<double> others_s{};  // that other processes took
  // Time for which the control group had used up its CPU quota; absent where there is none.
  std::optional<double> throttled_s{};
  int64_t involuntary_switches = 0;  // of this process's threads
};

/// One accepted trial of Google Benchmark, per pass.
struct Trial {
  int64_t passes = 0;
  double pass_s = 0;         // wall-clock of a whole pass
  std::vector<double> op_s;  // in the order of ForwardOps
  double peak_before_flops_per_s = 0;
  double peak_after_flops_per_s = 0;
  // Means of before and after; measured where seconds are predicted.
  std::optional<double> product_flops_per_s, read_bytes_per_s;

  SystemActivity activity;
  std::string disturbed;  // why its times should not be trusted; empty where they may be
  std::string replaces;  // why the one that it stands for was disturbed; empty where there was none

  // Of several ranks together, seconds are those of the slowest, and rates those of all.
  int64_t ranks = 1;
  std::optional<double> pass_imbalance;  // slowest / mean over the ranks
  std::vector<double> op_imbalance;      // likewise; empty of one rank

  double peak() const { return (peak_before_flops_per_s + peak_after_flops_per_s) / 2; }
};

/// What was run: enough to account for each of its ops.
struct MeasuredRun {
  ModelConfig model;  // the whole one
  RunShape shape;     // its num_layers are those that ran; of several ranks, the first's
  KernelFacts kernels;
  int64_t threads = 1;
  Convention convention = Convention::kMatmul;
  std::string run_id;
  int64_t hosts = 1;  // that its ranks are on

  /// The shape of a pass through all layers.
  RunShape WholeShape() const {
    RunShape whole = shape;
    whole.num_layers = model.num_layers;
    return whole;
  }
};

}  // namespace flopledger
