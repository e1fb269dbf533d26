// A calibration of this machine made by hand: nothing of it was timed.
#pragma once

#include "analysis/prediction/predict.h"
#include "bench/calibration/calibration_file.h"
#include "bench/calibration/probes.h"
#include "bench/machine/machine.h"
#include "model/ops.h"

namespace flopledger {

/// In which every op of `model` costs the same a unit of work.
inline Calibration FlatCalibration(const ModelConfig& model) {
  Calibration calibration;
  calibration.identity = CalibrationIdentity();
  calibration.taken = "2026-11-24T20:00:00Z";
  for (const int threads : CalibratedThreads(DefaultThreads(), AvailableProcessors())) {
    calibration.ceilings.push_back({.threads = threads,
                                    .fma_flops_per_s = {{"256-bit", {1e11, 1e9}}},
                                    .bandwidth = {{"memory", std::nullopt, {1e10, 0}, {1e10, 0}}},
                                    .product_flops_per_s = {9e10, 0},
                                    .fork_join_s = {1e-6, 0},
                                    .exp_s = {1e-10, 0},
                                    .clock_hz = {},
                                    .theoretical_flops_per_s = {}});
    for (const Op& op : ForwardOps(model, {.context = 24, .fused_attention = true})) {
      OpSample sample{.matmul = SampleBackend("packed", op), .op = SampleKey(model, op)};
      sample.threads = threads;
      sample.peak_flops = 4;
      sample.product_flops = 3.6;
      sample.read_bytes = 1;
      sample.repetitions = 1;
      calibration.samples.push_back(sample);
    }
  }
  return calibration;
}

}  // namespace flopledger
