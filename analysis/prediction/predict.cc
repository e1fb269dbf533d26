#include "analysis/prediction/predict.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "analysis/accounting/accounting.h"
#include "analysis/accounting/collectives.h"
#include "analysis/ledger/json_reader.h"
#include "model/checked.h"
#include "model/input_error.h"

namespace flopledger {
namespace {

using nlohmann::json;

constexpr int64_t kCalibrationSchema = 1;

// --- JSON ------------------------------------------------------------------------------------

json ToJson(const OpSample& sample) {
  return {{"matmul", sample.matmul},
          {"op", sample.op},
          {"threads", sample.threads},
          {"m", sample.m},
          {"n", sample.n},
          {"k", sample.k},
          {"peak_flops", sample.peak_flops},
          {"product_flops", sample.product_flops},
          {"read_bytes", sample.read_bytes},
          {"spread", sample.spread},
          {"repetitions", sample.repetitions}};
}

OpSample ReadSample(const JsonReader& in) {
  OpSample sample;
  sample.matmul = in["matmul"].Text();
  sample.op = in["op"].Text();
  sample.threads = in["threads"].Count();
  sample.m = in["m"].Count();
  sample.n = in["n"].Count();
  sample.k = in["k"].Count();
  sample.peak_flops = in["peak_flops"].Positive();
  sample.product_flops = in["product_flops"].Positive();
  sample.read_bytes = in["read_bytes"].Positive();
  sample.spread = in["spread"].NonNegative();
  sample.repetitions = in["repetitions"].Count();
  return sample;
}

json ToJson(const CollectiveSample& sample) {
  return {{"ranks", sample.ranks},         {"hosts", sample.hosts},
          {"threads", sample.threads},     {"bytes", sample.bytes},
          {"algorithm", sample.algorithm}, {"seconds", sample.seconds},
          {"spread", sample.spread},       {"repetitions", sample.repetitions},
          {"mpi_s", sample.mpi_s}};
}

CollectiveSample ReadCollective(const JsonReader& in) {
  CollectiveSample sample;
  sample.ranks = in["ranks"].Count();
  sample.hosts = in["hosts"].Count();
  sample.threads = in["threads"].Count();
  sample.bytes = in["bytes"].Count();
  sample.algorithm = in["algorithm"].Text();
  sample.seconds = in["seconds"].Positive();
  sample.spread = in["spread"].NonNegative();
  sample.repetitions = in["repetitions"].Count();
  sample.mpi_s = in["mpi_s"].Positive();
  return sample;
}

// --- Interpolation -----------------------------------------------------------------------------

bool IsAttention(OpKind kind) {
  return kind == OpKind::kAttention || kind == OpKind::kAttentionScores ||
         kind == OpKind::kAttentionSoftmax || kind == OpKind::kAttentionValues;
}

/// The units that a sample's cost is kept in.
enum CostUnit { kPeakFlops, kProductFlops, kReadBytes, kUnits };
using Cost = std::array<double, kUnits>;

Cost CostOf(const OpSample& sample) {
  return {sample.peak_flops, sample.product_flops, sample.read_bytes};
}

/// The least and the largest of some sizes.
struct Range {
  double low = INFINITY, high = 0;

  void Add(double x) {
    low = std::min(low, x);
    high = std::max(high, x);
  }
  double Clamp(int64_t x) const { return std::clamp(static_cast<double>(x), low, high); }
  bool CoversByFactor(double factor, int64_t x) const {
    return low / factor <= static_cast<double>(x) && static_cast<double>(x) <= high * factor;
  }
};

/// Samples of one op with one number of threads, in columns of equal n and k that rise in m.
struct Columns {
  using Column = std::array<std::vector<CurvePoint>, kUnits>;  // each over m
  std::map<std::pair<int64_t, int64_t>, Column> by_n_and_k;

  void Add(const OpSample& sample) {
    for (int unit = 0; unit < kUnits; ++unit) {
      by_n_and_k[{sample.n, sample.k}][unit].push_back(
          {static_cast<double>(sample.m), CostOf(sample)[unit]});
    }
  }

  void Sort() {
    for (auto& [n_and_k, column] : by_n_and_k) {
      for (auto& curve : column) std::ranges::sort(curve, {}, &CurvePoint::x);
    }
  }

  /// Each column at m; between columns their geometric mean, weighted by the inverse of their
  /// distance in log n and log k (Shepard 1968), exact at a column. What lies outside of all
  /// columns is taken to lie at their edge: far away, such weights would be all alike.
  Cost At(const SamplePosition& position) const {
    constexpr double kPower = 3;
    const auto m = static_cast<double>(position.m);
    Range range_n, range_k;
    for (const auto& [n_and_k, column] : by_n_and_k) {
      range_n.Add(static_cast<double>(n_and_k.first));
      range_k.Add(static_cast<double>(n_and_k.second));
    }
    const double n = range_n.Clamp(position.n), k = range_k.Clamp(position.k);
    double weights = 0;
    Cost logs{};
    for (const auto& [n_and_k, column] : by_n_and_k) {
      const double distance = std::hypot(std::log(n / static_cast<double>(n_and_k.first)),
                                         std::log(k / static_cast<double>(n_and_k.second)));
      Cost cost{};
      for (int unit = 0; unit < kUnits; ++unit) cost[unit] = InterpolateLog(column[unit], m);
      if (distance == 0) return cost;
      const double weight = std::pow(distance, -kPower);
      weights += weight;
      for (int unit = 0; unit < kUnits; ++unit) logs[unit] += weight * std::log(cost[unit]);
    }
    Cost mean{};
    for (int unit = 0; unit < kUnits; ++unit) mean[unit] = std::exp(logs[unit] / weights);
    return mean;
  }
};

bool IsBeyond(const Columns& columns, const SamplePosition& at) {
  Range m, n, k;
  for (const auto& [n_and_k, column] : columns.by_n_and_k) {
    n.Add(static_cast<double>(n_and_k.first));
    k.Add(static_cast<double>(n_and_k.second));
    m.Add(column.front().front().x);
    m.Add(column.front().back().x);
  }
  constexpr double kFactor = 2;
  return !m.CoversByFactor(kFactor, at.m) || !n.CoversByFactor(kFactor, at.n) ||
         !k.CoversByFactor(kFactor, at.k);
}

/// The key of a sampled op that reads, writes and computes alike, for ops that no machine is
/// sampled for: "swiglu" for any gated activation. Empty where there is none.
std::string SimilarKey(const ModelConfig& config, const Op& op) {
  switch (op.kind) {
    case OpKind::kQkNorm: return config.norm == Norm::kRmsNorm ? "norm.rmsnorm" : "norm.layernorm";
    case OpKind::kRouting: return "attention_softmax";
    case OpKind::kCombine: return "residual";
    case OpKind::kActivation:
      if (config.ffn.gated) return "activation.swiglu";
      return config.ffn.activation == Activation::kReluSquared ? "activation.relu"
                                                               : "activation.gelu";
    default: return "";
  }
}

/// The samples of a key by a backend, by number of threads.
std::map<int64_t, Columns> SamplesOf(const Calibration& calibration, const std::string& key,
                                     const std::string& backend) {
  std::map<int64_t, Columns> by_threads;
  for (const OpSample& sample : calibration.samples) {
    if (sample.op == key && sample.matmul == backend) by_threads[sample.threads].Add(sample);
  }
  for (auto& [threads, columns] : by_threads) columns.Sort();
  return by_threads;
}

// --- Ceilings at any number of threads -----------------------------------------------------------

template <class Value>
double CeilingAt(const Calibration& calibration, int64_t threads, Value&& value) {
  std::vector<CurvePoint> points;
  for (const Ceilings& ceilings : calibration.ceilings) {
    points.push_back({static_cast<double>(ceilings.threads), value(ceilings)});
  }
  return InterpolateLog(points, static_cast<double>(threads));
}

/// Bandwidth of the nearest level that holds that many bytes.
double ReadBandwidth(const Ceilings& ceilings, double bytes) {
  for (const LevelBandwidth& level : ceilings.bandwidth) {
    if (!level.capacity_bytes || bytes <= static_cast<double>(*level.capacity_bytes)) {
      return level.read.median;
    }
  }
  return ceilings.memory_bytes_per_s();
}

/// Seconds that the bytes of one execution need: weights come from memory, for the rest of the
/// model has passed through the caches since; activations from the level that holds them.
double MemorySeconds(const Calibration& calibration, const PredictedRun& run, const Op& op) {
  RunShape once = run.shape;
  once.num_layers = 1;
  const auto bytes = static_cast<double>(OpBytes(run.model, once, op));
  const double weights = op.kind == OpKind::kMatmul
                             ? static_cast<double>(kBytesPerFloat) * static_cast<double>(op.n) *
                                   static_cast<double>(op.k)
                             : 0;
  const auto seconds = [&](const Ceilings& ceilings) {
    return weights / ceilings.memory_bytes_per_s() +
           (bytes - weights) / ReadBandwidth(ceilings, bytes - weights);
  };
  return CeilingAt(calibration, run.threads, seconds);
}

/// What a collective moves one step after the other, and adds.
struct NetworkCost {
  double steps = 0, bytes = 0, additions = 0;
};

NetworkCost CostOverNetwork(const Op& op, const RunShape& shape) {
  const Shard& shard = shape.shard;
  if (op.kind == OpKind::kLogitsGather) {  // the first rank receives one part after another
    const int64_t others = op.m * (op.n - PartOf(op.n, 0, shard.ranks).size);
    return {static_cast<double>(shard.ranks - 1), static_cast<double>(kBytesPerFloat * others), 0};
  }
  const int64_t elements = op.m * op.n;
  const AllReduceCost cost = CostOfAllReduce(elements, shard);
  const auto steps = static_cast<double>(cost.steps);
  // A step of the ring moves a chunk, one of recursive doubling all numbers.
  const bool ring = cost.algorithm == AllReduceAlgorithm::kRing;
  const int64_t of_step = ring ? CeilDiv(elements, shard.ranks) : elements;
  return {steps, steps * static_cast<double>(kBytesPerFloat * of_step),
          ring ? static_cast<double>(cost.additions) : steps * static_cast<double>(elements)};
}

}  // namespace

// --- What the header declares
// ----------------------------------------------------------------------

json ToJson(const Calibration& calibration) {
  json ceilings = json::array(), samples = json::array(), collectives = json::array();
  for (const Ceilings& each : calibration.ceilings) ceilings.push_back(ToJson(each));
  for (const OpSample& sample : calibration.samples) samples.push_back(ToJson(sample));
  for (const auto& each : calibration.collectives) collectives.push_back(ToJson(each));
  json document = {{"calibration", kCalibrationSchema},
                   {"identity", calibration.identity},
                   {"taken", calibration.taken},
                   {"ceilings", std::move(ceilings)},
                   {"samples", std::move(samples)}};
  if (!collectives.empty()) document["collectives"] = std::move(collectives);
  return document;
}

Calibration CalibrationFromJson(const json& json, const std::string& where) {
  const JsonReader in(json, where, "; no calibration: run 'flopledger calibrate' anew");
  const JsonReader schema = in["calibration"];
  if (schema.Count() != kCalibrationSchema) schema.Fail("is a version that is not known");
  Calibration calibration;
  const JsonReader identity = in["identity"];
  if (!identity.value().is_object()) identity.FailFound("an object");
  for (const auto& [fact, value] : identity.value().items()) {
    calibration.identity[fact] = value.is_string() ? value.get<std::string>() : value.dump();
  }
  calibration.taken = in["taken"].Text();
  in["ceilings"].ForEach(
      [&](const JsonReader& row) { calibration.ceilings.push_back(CeilingsFromJson(row)); });
  if (calibration.ceilings.empty()) in["ceilings"].Fail("is empty");
  if (!std::ranges::is_sorted(calibration.ceilings, std::less_equal{}, &Ceilings::threads)) {
    in["ceilings"].Fail("do not rise in threads");
  }
  in["samples"].ForEach(
      [&](const JsonReader& row) { calibration.samples.push_back(ReadSample(row)); });
  if (calibration.samples.empty()) in["samples"].Fail("is empty");
  if (json.contains("collectives")) {
    in["collectives"].ForEach(
        [&](const JsonReader& row) { calibration.collectives.push_back(ReadCollective(row)); });
  }
  return calibration;
}

std::string WhyNotFor(const Calibration& calibration,
                      const std::map<std::string, std::string>& identity) {
  for (const auto& [fact, here] : identity) {
    const auto there = calibration.identity.find(fact);
    if (there != calibration.identity.end() && there->second == here) continue;
    return fmt::format("it was taken where {} is {}, and here it is {}", fact,
                       there == calibration.identity.end() ? "unknown" : there->second, here);
  }
  return "";
}

std::string SampleKey(const ModelConfig& config, const Op& op) {
  const std::string kind(KindName(op.kind));
  switch (op.kind) {
    case OpKind::kNorm: return kind + (config.norm == Norm::kRmsNorm ? ".rmsnorm" : ".layernorm");
    case OpKind::kEmbedding:
      return kind + (config.position == Position::kLearned ? ".positions" : "");
    case OpKind::kActivation: return kind + "." + std::string(FfnName(config.ffn));
    case OpKind::kAttention: return kind + (op.n == op.m ? "" : ".cached");
    case OpKind::kMatmul:
    case OpKind::kRope:
    case OpKind::kAttentionScores:
    case OpKind::kAttentionSoftmax:
    case OpKind::kAttentionValues:
    case OpKind::kQkNorm:
    case OpKind::kRouting:
    case OpKind::kCombine:
    case OpKind::kAllReduce:
    case OpKind::kLogitsGather:
    case OpKind::kResidual: return kind;
  }
  throw std::logic_error("no name for samples of this op");
}

std::string SampleBackend(const std::string& matmul, const Op& op) {
  const bool depends = op.kind == OpKind::kMatmul || op.kind == OpKind::kAttentionScores ||
                       op.kind == OpKind::kAttentionValues;
  if (!depends) return "";
  // The kernel is that of "packed"; what it does besides is taken as free.
  return matmul == "packed-fused" ? "packed" : matmul;
}

SamplePosition PositionOf(const Op& op) {
  if (op.kind == OpKind::kMatmul) return {op.m, op.n, op.k};
  if (op.kind == OpKind::kAttentionValues) return {op.m, 1, op.n};  // [T, T]·[T, HS]
  if (IsAttention(op.kind)) return {op.m, 1, std::max<int64_t>(1, op.k)};
  return {op.m * op.n, op.n, 1};
}

double WorkOf(const Op& op) {
  return static_cast<double>(op.m) * static_cast<double>(op.n) *
         static_cast<double>(std::max<int64_t>(1, op.k)) * static_cast<double>(op.products);
}

MachineSpeed CalibratedSpeed(const Calibration& calibration, int64_t threads) {
  const auto at = [&](auto&& value) { return CeilingAt(calibration, threads, value); };
  return {.peak_flops_per_s = at([](const Ceilings& c) { return c.peak_flops_per_s(); }),
          .product_flops_per_s = at([](const Ceilings& c) { return c.product_flops_per_s.median; }),
          .read_bytes_per_s = at([](const Ceilings& c) { return c.memory_bytes_per_s(); })};
}

std::optional<double> CalibratedDrift(const Calibration& calibration, int64_t threads) {
  const Ceilings* own = FindCeilings(calibration.ceilings, threads);
  if (own != nullptr && own->product_drift) return own->product_drift;
  std::optional<double> largest;
  for (const Ceilings& ceilings : calibration.ceilings) {
    if (const auto& drift = ceilings.product_drift) largest = std::max(largest.value_or(0), *drift);
  }
  return largest;
}

std::string_view NameOf(Bound bound) {
  switch (bound) {
    case Bound::kCompute: return "compute";
    case Bound::kMemory: return "memory";
    case Bound::kOverhead: return "overhead";
    case Bound::kNetwork: return "network";
  }
  throw std::logic_error("no name for this bound");
}

double InterpolateLog(const std::vector<CurvePoint>& points, double x) {
  const auto above = std::ranges::lower_bound(points, x, {}, &CurvePoint::x);
  if (above == points.end()) return points.back().y;
  if (above == points.begin() || above->x == x) return above->y;
  const auto below = above - 1;
  const double share = std::log(x / below->x) / std::log(above->x / below->x);
  return below->y * std::pow(above->y / below->y, share);
}

OpPrediction PredictCollective(const Calibration& calibration, const PredictedRun& run,
                               const Op& op) {
  OpPrediction prediction;
  prediction.bound = Bound::kNetwork;
  const int64_t elements = op.m * op.n, ranks = run.shape.shard.ranks;
  const auto executions = static_cast<double>(Executions(op, run.shape));
  if (run.network) {
    const NetworkCost cost = CostOverNetwork(op, run.shape);
    // An addition reads two numbers and writes one.
    const double adding_s = 12 * cost.additions / run.speed.read_bytes_per_s;
    prediction.seconds = executions * (cost.steps * run.network->latency_s +
                                       cost.bytes / run.network->bytes_per_s + adding_s);
    return prediction;
  }
  std::vector<CurvePoint> curve;
  for (const CollectiveSample& sample : calibration.collectives) {
    if (sample.ranks != ranks || sample.hosts != run.hosts) continue;
    curve.push_back({static_cast<double>(sample.bytes), sample.seconds});
  }
  if (curve.empty() || op.kind != OpKind::kAllReduce) {
    prediction.unavailable_because = fmt::format(
        "the calibration has no collectives of {} ranks on {} host{}: 'mpirun -n {} flopledger-mpi "
        "calibrate' adds them",
        ranks, run.hosts, run.hosts == 1 ? "" : "s", ranks);
    return prediction;
  }
  std::ranges::sort(curve, {}, &CurvePoint::x);
  const auto bytes = static_cast<double>(kBytesPerFloat * elements);
  // Beyond the largest, seconds grow with the bytes.
  const double beyond = std::max(1.0, bytes / curve.back().x);
  prediction.seconds = executions * InterpolateLog(curve, bytes) * beyond;
  prediction.beyond_samples = bytes > 2 * curve.back().x || bytes < curve.front().x / 2;
  return prediction;
}

OpPrediction PredictOp(const Calibration& calibration, const PredictedRun& run, const Op& op) {
  if (op.kind == OpKind::kAllReduce || op.kind == OpKind::kLogitsGather) {
    return PredictCollective(calibration, run, op);
  }
  const std::string key = SampleKey(run.model, op), backend = SampleBackend(run.matmul, op);
  std::map<int64_t, Columns> by_threads = SamplesOf(calibration, key, backend);
  const bool by_similar = by_threads.empty();
  if (by_similar) by_threads = SamplesOf(calibration, SimilarKey(run.model, op), backend);
  if (by_threads.empty()) {
    OpPrediction none;
    none.unavailable_because = fmt::format("the calibration has no samples of {}{}{}", key,
                                           backend.empty() ? "" : " by ", backend);
    return none;
  }
  const SamplePosition position = PositionOf(op);
  Cost cost{};
  for (int unit = 0; unit < kUnits; ++unit) {
    std::vector<CurvePoint> curve;  // over threads
    for (const auto& [threads, columns] : by_threads) {
      curve.push_back({static_cast<double>(threads), columns.At(position)[unit]});
    }
    cost[unit] = InterpolateLog(curve, static_cast<double>(run.threads)) * WorkOf(op);
  }
  const double calibrated_s =
      cost[kPeakFlops] / CalibratedSpeed(calibration, run.threads).peak_flops_per_s;
  const double fork_join_s =
      CeilingAt(calibration, run.threads, [](const Ceilings& c) { return c.fork_join_s.median; });
  const double memory_s = MemorySeconds(calibration, run, op);
  OpPrediction prediction;
  if (std::max(memory_s, fork_join_s) >= calibrated_s / 2) {
    prediction.bound = memory_s >= fork_join_s ? Bound::kMemory : Bound::kOverhead;
  }
  const double once =
      prediction.bound == Bound::kMemory ? cost[kReadBytes] / run.speed.read_bytes_per_s
      : op.kind == OpKind::kMatmul       ? cost[kProductFlops] / run.speed.product_flops_per_s
                                         : cost[kPeakFlops] / run.speed.peak_flops_per_s;
  prediction.seconds = once * static_cast<double>(Executions(op, run.shape));
  prediction.beyond_samples = by_similar || IsBeyond(by_threads.begin()->second, position);
  return prediction;
}

PassPrediction PredictPass(const Calibration& calibration, const PredictedRun& run) {
  PassPrediction pass;
  std::array<double, 4> by_bound{};
  pass.total.seconds = 0;
  for (const Op& op : ForwardOps(run.model, run.shape)) {
    const OpPrediction& part = pass.ops.emplace_back(PredictOp(calibration, run, op));
    pass.total.beyond_samples |= part.beyond_samples;
    if (!part.seconds) {
      pass.total.seconds.reset();
      pass.total.unavailable_because = part.unavailable_because;
    } else {
      if (pass.total.seconds) *pass.total.seconds += *part.seconds;
      by_bound[static_cast<std::size_t>(part.bound)] += *part.seconds;
    }
  }
  pass.total.bound = static_cast<Bound>(std::ranges::max_element(by_bound) - by_bound.begin());
  return pass;
}

}  // namespace flopledger
