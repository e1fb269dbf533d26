#include "analysis/prediction/predict.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <stdexcept>

#include "analysis/accounting/accounting.h"
#include "model/input_error.h"

namespace flopledger {
namespace {

using nlohmann::json;

constexpr int64_t kCalibrationSchema = 1;
constexpr int64_t kBytesPerFloat = 4;

// --- JSON ------------------------------------------------------------------------------------

json ToJson(const Measured& measured) {
  return {{"median", measured.median}, {"mad", measured.mad}};
}

json ToJson(const std::optional<Measured>& measured) {
  return measured ? ToJson(*measured) : json(nullptr);
}

json ToJson(const Ceilings& ceilings) {
  json fma = json::array(), bandwidth = json::array();
  for (const NamedMeasured& level : ceilings.fma_flops_per_s) {
    fma.push_back({{"simd", level.name}, {"flops_per_s", ToJson(level.value)}});
  }
  for (const LevelBandwidth& level : ceilings.bandwidth) {
    bandwidth.push_back(
        {{"level", level.level},
         {"capacity_bytes", level.capacity_bytes ? json(*level.capacity_bytes) : json(nullptr)},
         {"read_bytes_per_s", ToJson(level.read)},
         {"triad_bytes_per_s", ToJson(level.triad)}});
  }
  return {{"threads", ceilings.threads},
          {"fma", std::move(fma)},
          {"bandwidth", std::move(bandwidth)},
          {"product_flops_per_s", ToJson(ceilings.product_flops_per_s)},
          {"fork_join_s", ToJson(ceilings.fork_join_s)},
          {"exp_s", ToJson(ceilings.exp_s)},
          {"clock_hz", ToJson(ceilings.clock_hz)},
          {"theoretical_flops_per_s", ToJson(ceilings.theoretical_flops_per_s)}};
}

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

/// One value of a JSON document and the path to it, read strictly.
class Reader {
 public:
  Reader(const json& value, std::string where) : value_(value), where_(std::move(where)) {}

  Reader operator[](const char* key) const {
    if (!value_.is_object()) Fail("is no object");
    if (!value_.contains(key)) Fail(fmt::format("has no '{}'", key));
    return {value_.at(key), fmt::format("{}: {}", where_, key)};
  }

  template <class Visit>
  void ForEach(Visit&& visit) const {
    if (!value_.is_array() || value_.empty()) Fail("is no list, or an empty one");
    for (std::size_t i = 0; i < value_.size(); ++i) {
      visit(Reader(value_[i], fmt::format("{} {}", where_, i)));
    }
  }

  std::string Text() const {
    if (!value_.is_string()) Fail("is no text");
    return value_.get<std::string>();
  }

  int64_t Count() const {
    if (!value_.is_number_integer() || value_ < 1 || value_ > INT64_MAX) {
      Fail("is no whole number above 0");
    }
    return value_.get<int64_t>();
  }

  double Positive() const {
    if (!value_.is_number() || !(value_.get<double>() > 0)) Fail("is no number above 0");
    return value_.get<double>();
  }

  double Spread() const {
    if (!value_.is_number() || !(value_.get<double>() >= 0)) Fail("is no number from 0 on");
    return value_.get<double>();
  }

  Measured Measure() const { return {(*this)["median"].Positive(), (*this)["mad"].Spread()}; }
  /// Nothing where the key is absent, as in the files of older builds, or null.
  std::optional<Measured> MeasureIfAny(const char* key) const {
    const bool has = value_.is_object() && value_.contains(key) && !value_.at(key).is_null();
    return has ? std::optional((*this)[key].Measure()) : std::nullopt;
  }

  bool IsNull() const { return value_.is_null(); }
  const json& value() const { return value_; }

  [[noreturn]] void Fail(const std::string& what) const {
    throw InputError(
        fmt::format("{} {}; no calibration: run 'flopledger calibrate' anew", where_, what));
  }

 private:
  const json& value_;
  std::string where_;
};

Ceilings ReadCeilings(const Reader& in) {
  Ceilings ceilings;
  ceilings.threads = in["threads"].Count();
  in["fma"].ForEach([&](const Reader& level) {
    ceilings.fma_flops_per_s.push_back({level["simd"].Text(), level["flops_per_s"].Measure()});
  });
  in["bandwidth"].ForEach([&](const Reader& level) {
    const Reader capacity = level["capacity_bytes"];
    ceilings.bandwidth.push_back(
        {level["level"].Text(), capacity.IsNull() ? std::nullopt : std::optional(capacity.Count()),
         level["read_bytes_per_s"].Measure(), level["triad_bytes_per_s"].Measure()});
  });
  ceilings.product_flops_per_s = in["product_flops_per_s"].Measure();
  ceilings.fork_join_s = in["fork_join_s"].Measure();
  ceilings.exp_s = in["exp_s"].Measure();
  ceilings.clock_hz = in.MeasureIfAny("clock_hz");
  ceilings.theoretical_flops_per_s = in.MeasureIfAny("theoretical_flops_per_s");
  return ceilings;
}

OpSample ReadSample(const Reader& in) {
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
  sample.spread = in["spread"].Spread();
  sample.repetitions = in["repetitions"].Count();
  return sample;
}

// --- Interpolation -----------------------------------------------------------------------------

bool IsAttention(OpKind kind) {
  return kind == OpKind::kAttention || kind == OpKind::kAttentionScores ||
         kind == OpKind::kAttentionSoftmax || kind == OpKind::kAttentionValues;
}

/// The units that a sample's cost is kept in.
enum Unit { kPeakFlops, kProductFlops, kReadBytes, kUnits };
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

/// The samples of this op, by number of threads.
std::map<int64_t, Columns> SamplesOf(const Calibration& calibration, const PredictedRun& run,
                                     const Op& op) {
  const std::string key = SampleKey(run.model, op), backend = SampleBackend(run.matmul, op);
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

}  // namespace

// --- What the header declares
// ----------------------------------------------------------------------

json CeilingsToJson(const Calibration& calibration) {
  json list = json::array();
  for (const Ceilings& ceilings : calibration.ceilings) list.push_back(ToJson(ceilings));
  return list;
}

json ToJson(const Calibration& calibration) {
  json samples = json::array();
  for (const OpSample& sample : calibration.samples) samples.push_back(ToJson(sample));
  return {{"calibration", kCalibrationSchema},
          {"identity", calibration.identity},
          {"taken", calibration.taken},
          {"ceilings", CeilingsToJson(calibration)},
          {"samples", std::move(samples)}};
}

Calibration CalibrationFromJson(const json& json, const std::string& where) {
  const Reader in(json, where);
  const Reader schema = in["calibration"];
  if (schema.Count() != kCalibrationSchema) schema.Fail("is a version that is not known");
  Calibration calibration;
  calibration.identity = in["identity"].value();
  if (!calibration.identity.is_object()) in["identity"].Fail("is no object");
  calibration.taken = in["taken"].Text();
  in["ceilings"].ForEach(
      [&](const Reader& row) { calibration.ceilings.push_back(ReadCeilings(row)); });
  if (!std::ranges::is_sorted(calibration.ceilings, std::less_equal{}, &Ceilings::threads)) {
    in["ceilings"].Fail("do not rise in threads");
  }
  in["samples"].ForEach([&](const Reader& row) { calibration.samples.push_back(ReadSample(row)); });
  return calibration;
}

std::string WhyNotFor(const Calibration& calibration, const json& identity) {
  for (const auto& [fact, here] : identity.items()) {
    const json there = calibration.identity.value(fact, json(nullptr));
    if (there == here) continue;
    return fmt::format("it was taken where {} is {}, and here it is {}", fact, there.dump(),
                       here.dump());
  }
  return "";
}

std::string SampleKey(const ModelConfig& config, const Op& op) {
  const std::string kind(KindName(op.kind));
  switch (op.kind) {
    case OpKind::kNorm: return kind + (config.norm == Norm::kRmsNorm ? ".rmsnorm" : ".layernorm");
    case OpKind::kEmbedding:
      return kind + (config.position == Position::kLearned ? ".positions" : "");
    case OpKind::kActivation:
      switch (config.ffn) {
        case Ffn::kGeluTanh: return kind + ".gelu";
        case Ffn::kGeluErf: return kind + ".gelu_exact";
        case Ffn::kRelu: return kind + ".relu";
        case Ffn::kSwiglu: return kind + ".swiglu";
      }
      break;
    case OpKind::kAttention: return kind + (op.n == op.m ? "" : ".cached");
    case OpKind::kMatmul:
    case OpKind::kRope:
    case OpKind::kAttentionScores:
    case OpKind::kAttentionSoftmax:
    case OpKind::kAttentionValues:
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

std::string_view NameOf(Bound bound) {
  switch (bound) {
    case Bound::kCompute: return "compute";
    case Bound::kMemory: return "memory";
    case Bound::kOverhead: return "overhead";
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

OpPrediction PredictOp(const Calibration& calibration, const PredictedRun& run, const Op& op) {
  const std::map<int64_t, Columns> by_threads = SamplesOf(calibration, run, op);
  if (by_threads.empty()) {
    const std::string backend = SampleBackend(run.matmul, op);
    OpPrediction none;
    none.unavailable_because =
        fmt::format("the calibration has no samples of {}{}{}", SampleKey(run.model, op),
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
  prediction.seconds = once * static_cast<double>(op.per_layer ? run.shape.num_layers : 1);
  prediction.beyond_samples = IsBeyond(by_threads.begin()->second, position);
  return prediction;
}

PassPrediction PredictPass(const Calibration& calibration, const PredictedRun& run) {
  PassPrediction pass;
  std::array<double, 3> by_bound{};
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
