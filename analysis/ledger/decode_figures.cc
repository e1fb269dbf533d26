#include "analysis/ledger/decode_figures.h"

#include <nlohmann/json.hpp>

#include "analysis/ledger/json_reader.h"
#include "analysis/text/stats.h"

namespace flopledger {
namespace {

std::vector<double> ReadSamples(const JsonReader& in) {
  std::vector<double> samples;
  in.ForEach([&](const JsonReader& sample) { samples.push_back(sample.Positive()); });
  if (samples.empty()) in.Fail("is empty");
  return samples;
}

}  // namespace

double DecodeFigures::TokensPerSecond() const {
  return static_cast<double>(tokens * batch) / Median(total.seconds);
}

double DecodeFigures::BytesPerSecond() const {
  return static_cast<double>(total.bytes) / Median(total.seconds);
}

double DecodeFigures::ShareOfBandwidth() const {
  std::vector<double> shares;
  for (std::size_t i = 0; i < total.seconds.size(); ++i) {
    shares.push_back(static_cast<double>(total.bytes) / total.seconds[i] / read_bytes_per_s[i]);
  }
  return Median(shares);
}

nlohmann::json ToJson(const DecodeFigures& figures) {
  nlohmann::json ops = nlohmann::json::array();
  for (const DecodedOp& op : figures.ops) {
    ops.push_back({{"op", op.op},
                   {"predicted_flops", op.flops},
                   {"bytes", op.bytes},
                   {"time_s", Median(op.seconds)},
                   {"samples_s", op.seconds}});
  }
  return {{"prompt", figures.prompt},
          {"tokens", figures.tokens},
          {"batch", figures.batch},
          {"layers_run", figures.layers_run},
          {"layers_total", figures.layers_total},
          {"tokens_per_s", figures.TokensPerSecond()},
          {"time_s", Median(figures.total.seconds)},
          {"samples_s", figures.total.seconds},
          {"predicted_flops", figures.total.flops},
          {"bytes", figures.total.bytes},
          {"bytes_per_token", static_cast<double>(figures.total.bytes) /
                                  static_cast<double>(figures.tokens * figures.batch)},
          {"bytes_per_s", figures.BytesPerSecond()},
          {"read_bytes_per_s", Median(figures.read_bytes_per_s)},
          {"read_samples_bytes_per_s", figures.read_bytes_per_s},
          {"share_of_bandwidth", figures.ShareOfBandwidth()},
          {"operations", ops}};
}

DecodeFigures DecodeFiguresFromJson(const JsonReader& in) {
  DecodeFigures figures;
  figures.prompt = in["prompt"].Count();
  figures.tokens = in["tokens"].Count();
  figures.batch = in["batch"].Count();
  figures.layers_run = in["layers_run"].Count();
  figures.layers_total = in["layers_total"].Count();
  figures.total.flops = in["predicted_flops"].Integer();
  figures.total.bytes = in["bytes"].Integer();
  figures.total.seconds = ReadSamples(in["samples_s"]);
  if (const auto samples = in.IfAny("read_samples_bytes_per_s")) {
    figures.read_bytes_per_s = ReadSamples(*samples);
  } else {  // older builds kept their median alone
    figures.read_bytes_per_s.assign(figures.total.seconds.size(),
                                    in["read_bytes_per_s"].Positive());
  }
  if (figures.read_bytes_per_s.size() != figures.total.seconds.size()) {
    in.Fail("has not as many bandwidths as samples");
  }
  in["operations"].ForEach([&](const JsonReader& op) {
    figures.ops.push_back({op["op"].Text(), op["predicted_flops"].Integer(), op["bytes"].Integer(),
                           ReadSamples(op["samples_s"])});
  });
  return figures;
}

}  // namespace flopledger
