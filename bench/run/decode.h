// Decoding under the clock: tokens one at a time after a prompt, with a key/value cache. Each token
// reads every weight and the cache, so its ceiling is the memory's bandwidth.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <vector>

#include "bench/run/harness.h"
#include "bench/run/verify.h"

namespace flopledger {

/// One op over all tokens of a repetition.
struct DecodedOp {
  std::string op;
  int64_t flops = 0;            // predicted, under the run's convention
  int64_t bytes = 0;            // that must move at the least
  std::vector<double> seconds;  // by repetition
};

/// What decoding `tokens` tokens (of each sequence) after `prompt` positions took.
struct DecodeResult {
  int64_t prompt = 0;
  int64_t tokens = 0;
  int64_t batch = 1;
  int64_t layers_run = 0, layers_total = 0;
  Verification verification;  // of the first token's every op
  std::vector<DecodedOp> ops;
  DecodedOp total;
  std::vector<double> read_bytes_per_s;  // memory's bandwidth around each repetition

  double TokensPerSecond() const;
  double BytesPerSecond() const;
  /// Least traffic over time over the bandwidth around it: the median of these ratios.
  double ShareOfBandwidth() const;
};

/// Bytes that decoding takes beside the weights: the cache, and the buffers of prompt and step.
int64_t DecodeBytes(const RunSettings& settings, int64_t layers);

/// Computes the prompt untimed, verifies the first token, then decodes settings.decode tokens as
/// often as `repetitions` says; fewer where it is interrupted.
DecodeResult Decode(const RunSettings& settings, int64_t layers, const Weights<float>& weights,
                    int repetitions, Progress& progress);

nlohmann::json ToJson(const DecodeResult& result);
void PrintDecode(const DecodeResult& result, std::ostream& out);

}  // namespace flopledger
