#include "analysis/prediction/scaling.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "model/input_error.h"

namespace flopledger {
namespace {

/// What one of `ranks` on a machine has of it, when all are at work.
MachineSpeed ShareOfSpeed(const Calibration& calibration, int64_t threads, int64_t ranks) {
  MachineSpeed speed = CalibratedSpeed(calibration, threads * ranks);
  const auto parts = static_cast<double>(ranks);
  speed.peak_flops_per_s /= parts;
  speed.product_flops_per_s /= parts;
  speed.read_bytes_per_s /= parts;
  return speed;
}

ScalingPoint PointOf(const Calibration& calibration, const ScalingRequest& request, int64_t ranks) {
  CheckRanks(request.model, ranks);
  const int64_t sharing = request.network ? 1 : ranks;  // one machine
  ScalingPoint point;
  point.ranks = ranks;
  point.threads = request.threads.value_or(std::max<int64_t>(1, request.processors / sharing));
  RunShape shape = request.shape;
  shape.shard = {0, ranks};
  const ModelConfig model = RankModel(request.model, shape.shard);
  point.memory = CountMemory(model, shape);
  if (ranks > 1) {
    point.collectives = request.network ? "alpha-beta model" : "measured on this machine";
  }
  if (point.threads * sharing > request.processors) {
    point.unavailable_because = fmt::format(
        "{} ranks of {} thread{} do not fit on the {} processors of this machine; --network "
        "predicts a machine for each rank",
        ranks, point.threads, point.threads == 1 ? "" : "s", request.processors);
    return point;
  }
  const PassPrediction pass =
      PredictPass(calibration, {.model = model,
                                .shape = shape,
                                .matmul = request.matmul,
                                .threads = point.threads,
                                .speed = ShareOfSpeed(calibration, point.threads, sharing),
                                .network = request.network});
  point.seconds = pass.total.seconds;
  point.beyond_samples = pass.total.beyond_samples;
  point.unavailable_because = pass.total.unavailable_because;
  if (!point.seconds) return point;
  point.communication_s = 0;
  const std::vector<Op> ops = ForwardOps(model, shape);
  for (std::size_t i = 0; i < ops.size(); ++i) {
    if (ops[i].kind == OpKind::kAllReduce) *point.communication_s += *pass.ops[i].seconds;
  }
  return point;
}

/// A number and its unit, of those in `units`.
struct UnitOf {
  std::string_view name;
  double factor;
};
double NumberIn(std::string_view text, std::span<const UnitOf> units, std::string_view whole) {
  const std::string copy(text);
  char* end = nullptr;
  const double number = std::strtod(copy.c_str(), &end);
  std::string_view unit = end;
  while (unit.starts_with(' ')) unit.remove_prefix(1);
  const auto found = std::ranges::find(units, unit, &UnitOf::name);
  if (end == copy.c_str() || found == units.end() || !(number > 0) || !std::isfinite(number)) {
    throw InputError(fmt::format(
        "--network must be a bandwidth and a latency such as 12.5GB/s,2us (GB/s, MB/s, Gbit/s, "
        "Mbit/s; s, ms, us, ns), found '{}'",
        whole));
  }
  return number * found->factor;
}

}  // namespace

std::vector<ScalingPoint> PredictScaling(const Calibration& calibration,
                                         const ScalingRequest& request,
                                         std::span<const int64_t> ranks) {
  const ScalingPoint alone = PointOf(calibration, request, 1);
  std::vector<ScalingPoint> points;
  for (const int64_t number : ranks) {
    ScalingPoint& point = points.emplace_back(PointOf(calibration, request, number));
    if (!point.seconds || !alone.seconds) continue;
    point.efficiency = *alone.seconds * static_cast<double>(alone.threads) /
                       (*point.seconds * static_cast<double>(point.ranks * point.threads));
  }
  return points;
}

Network ParseNetwork(std::string_view text) {
  constexpr UnitOf kRates[] = {
      {"GB/s", 1e9}, {"MB/s", 1e6}, {"Gbit/s", 1e9 / 8}, {"Mbit/s", 1e6 / 8}};
  constexpr UnitOf kTimes[] = {{"s", 1}, {"ms", 1e-3}, {"us", 1e-6}, {"ns", 1e-9}};
  const auto comma = text.find(',');
  const std::string_view latency =
      comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
  return {.bytes_per_s = NumberIn(text.substr(0, comma), kRates, text),
          .latency_s = NumberIn(latency, kTimes, text)};
}

}  // namespace flopledger
