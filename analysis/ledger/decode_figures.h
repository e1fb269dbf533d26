// What decoding took: the samples, and the rates that follow from them.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace flopledger {

class JsonReader;  // analysis/ledger/json_reader.h

/// One op over all tokens of a repetition.
struct DecodedOp {
  std::string op;
  int64_t flops = 0;            // predicted, under the run's convention
  int64_t bytes = 0;            // that must move at the least
  std::vector<double> seconds;  // by repetition

  bool operator==(const DecodedOp&) const = default;
};

/// Decoding `tokens` tokens (of each sequence) after `prompt` positions.
struct DecodeFigures {
  int64_t prompt = 0;
  int64_t tokens = 0;
  int64_t batch = 1;
  int64_t layers_run = 0, layers_total = 0;
  std::vector<DecodedOp> ops;
  DecodedOp total{.op = "total", .seconds = {}};
  std::vector<double> read_bytes_per_s;  // memory's bandwidth around each repetition

  double TokensPerSecond() const;
  double BytesPerSecond() const;
  /// Least traffic over time over the bandwidth around it: the median of these ratios.
  double ShareOfBandwidth() const;

  bool operator==(const DecodeFigures&) const = default;
};

nlohmann::json ToJson(const DecodeFigures& figures);
/// Reads what ToJson writes. Throws InputError.
DecodeFigures DecodeFiguresFromJson(const JsonReader& in);

}  // namespace flopledger
