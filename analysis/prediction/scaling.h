// A pass by more and more ranks: its seconds, what of them is communication, and what a rank holds.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "analysis/accounting/accounting.h"
#include "analysis/prediction/predict.h"

namespace flopledger {

/// What is scaled.
struct ScalingRequest {
  ModelConfig model;
  RunShape shape;  // of one rank
  std::string matmul;
  int64_t processors = 1;          // of one machine
  std::optional<int64_t> threads;  // of each rank; absent: all processors that it has
  std::optional<Network> network;  // between ranks on a machine each; absent: all on one machine
};

/// The pass by so many ranks.
struct ScalingPoint {
  int64_t ranks = 1, threads = 1;
  std::optional<double> seconds;          // of the first rank, whose share is the largest
  std::optional<double> communication_s;  // of them
  std::optional<double> efficiency;       // one rank's seconds and processors over these
  MemoryFigures memory;                   // of the first rank
  std::string collectives;                // what they are predicted from; empty of one rank
  bool beyond_samples = false;
  std::string unavailable_because;  // where there are no seconds
};

/// One point for each number of ranks. Ranks on one machine share its bandwidth and its processors.
/// Throws InputError for more ranks than the model can be split over.
std::vector<ScalingPoint> PredictScaling(const Calibration& calibration,
                                         const ScalingRequest& request,
                                         std::span<const int64_t> ranks);

/// "12.5GB/s,2us": a rate in GB/s, MB/s, Gbit/s or Mbit/s, and a latency in s, ms, us or ns. Throws
/// InputError.
Network ParseNetwork(std::string_view text);

}  // namespace flopledger
