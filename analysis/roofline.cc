#include "analysis/roofline.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace flopledger {
namespace {

using nlohmann::json;

constexpr std::array<const char*, 4> kLevels = {"L1", "L2", "L3", "memory"};

bool IsPositive(const std::optional<double>& value) {
  return value && std::isfinite(*value) && *value > 0;
}

/// A positive figure under `key`: a number, or an object with its median.
std::optional<double> Figure(const json& object, const char* key) {
  if (!object.is_object() || !object.contains(key)) return std::nullopt;
  const json& value = object[key];
  if (value.is_object()) return Figure(value, "median");
  if (!value.is_number()) return std::nullopt;
  const std::optional<double> number = value.get<double>();
  return IsPositive(number) ? number : std::nullopt;
}

/// "32K" as bytes.
std::optional<double> CacheBytes(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || value <= 0) return std::nullopt;
  const std::string unit(end, text.data() + text.size());
  if (unit == "K") return value * 0x1p10;
  if (unit == "M") return value * 0x1p20;
  return unit.empty() ? std::optional(value) : std::nullopt;
}

/// How many processors a list such as "0-3,8" names.
double CountOf(const std::string& list) {
  double count = 0;
  std::size_t begin = 0;
  while (begin < list.size()) {
    const std::size_t end = std::min(list.find(',', begin), list.size());
    const std::string range = list.substr(begin, end - begin);
    const std::size_t dash = range.find('-');
    const int first = std::atoi(range.c_str());
    const int last = dash == std::string::npos ? first : std::atoi(range.c_str() + dash + 1);
    count += std::max(0, last - first) + 1;
    begin = end + 1;
  }
  return std::max(count, 1.0);
}

/// Bytes that the data caches of this level hold for `threads` threads, each on its own core.
std::optional<double> LevelBytes(const json& environment, int64_t level, int64_t threads) {
  if (!environment.is_object() || !environment.contains("caches")) return std::nullopt;
  for (const json& cache : environment["caches"]) {
    if (!cache.is_object() || cache.value("level", json()) != level) continue;
    if (cache.value("type", json()) == "Instruction") continue;
    const json size = cache.value("size", json()), cpus = cache.value("shared_cpus", json());
    if (!size.is_string() || !cpus.is_string()) return std::nullopt;
    const auto bytes = CacheBytes(size.get<std::string>());
    if (!bytes) return std::nullopt;
    return *bytes * std::ceil(static_cast<double>(threads) / CountOf(cpus.get<std::string>()));
  }
  return std::nullopt;
}

void ReadCeilings(const Ledger& ledger, Roofline& roofline) {
  for (const Record& row : ledger.rows) {
    if (!IsPositive(row.peak_gflops)) continue;
    roofline.peak_flops_per_s = *row.peak_gflops * 1e9;
    break;
  }
  const json& environment = ledger.environment;
  const json calibration =
      environment.is_object() ? environment.value("calibration", json()) : json();
  roofline.theoretical_flops_per_s = Figure(calibration, "theoretical_peak_flops_per_s");
  const json bandwidth =
      calibration.is_object() ? calibration.value("bandwidth_bytes_per_s", json()) : json();
  for (std::size_t level = 0; level < kLevels.size(); ++level) {
    const auto bytes_per_s = Figure(bandwidth, kLevels[level]);
    if (!bytes_per_s) continue;
    std::optional<double> spared = 0.0;
    if (level > 0) {
      spared = LevelBytes(environment, static_cast<int64_t>(level), ledger.rows.front().threads);
    }
    roofline.bandwidth.push_back({kLevels[level], *bytes_per_s, spared});
  }
  if (roofline.bandwidth.empty()) roofline.bandwidth_unavailable = "not calibrated";
}

/// How often one pass executes a row's operation: once in each layer, or once.
int64_t Executions(const Record& row) {
  const int64_t count = row.count.value_or(1), layers = std::max<int64_t>(row.layers_run, 1);
  return count >= layers && count % layers == 0 ? layers : 1;
}

/// The FLOPs that place a row's dot; false where it has none.
bool Place(const Record& row, RooflineDot& dot, double& flops) {
  const auto take = [&](const std::optional<int64_t>& value, FlopsBasis basis) {
    if (value.value_or(0) <= 0) return false;
    flops = static_cast<double>(*value);
    dot.basis = basis;
    return true;
  };
  const bool trusted = row.flops_source == "pmu" || row.flops_source == "counted";
  return take(row.executed_flops, FlopsBasis::kExecuted) ||
         (trusted && take(row.measured_flops, FlopsBasis::kMeasured)) ||
         take(row.predicted_flops, FlopsBasis::kPredicted);
}

void FindRoof(const Roofline& roofline, const Record& row, double flops, RooflineDot& dot) {
  const auto hold = [&](double flops_per_s, const std::string& name) {
    if (dot.roof_flops_per_s && *dot.roof_flops_per_s <= flops_per_s) return;
    dot.roof_flops_per_s = flops_per_s;
    dot.roof = name;
  };
  if (roofline.peak_flops_per_s) hold(*roofline.peak_flops_per_s, "FMA peak");
  const auto executions = static_cast<double>(Executions(row));
  const double bytes = static_cast<double>(*row.bytes) / executions;
  for (const BandwidthCeiling& ceiling : roofline.bandwidth) {
    if (!ceiling.spared_bytes || bytes <= *ceiling.spared_bytes) continue;
    hold(flops / executions * ceiling.bytes_per_s / (bytes - *ceiling.spared_bytes), ceiling.level);
  }
  if (!dot.roof_flops_per_s) return;
  // A predicted figure counts attention's products that the mask spares the kernel: no judge.
  if (dot.basis == FlopsBasis::kPredicted && row.kind.starts_with("attention")) return;
  const double slowest = flops / (*row.time_s + 3 * std::max(row.time_mad_s.value_or(0), 0.0));
  dot.above_roof = slowest > (1 + kRoofTolerance) * *dot.roof_flops_per_s;
}

}  // namespace

std::string_view NameOf(FlopsBasis basis) {
  switch (basis) {
    case FlopsBasis::kExecuted: return "executed";
    case FlopsBasis::kMeasured: return "measured";
    case FlopsBasis::kPredicted: break;
  }
  return "predicted";
}

std::optional<double> Roofline::Ridge() const {
  if (!peak_flops_per_s || bandwidth.empty()) return std::nullopt;
  return *peak_flops_per_s / bandwidth.back().bytes_per_s;
}

Roofline MakeRoofline(const Ledger& ledger) {
  Roofline roofline;
  if (ledger.rows.empty()) return roofline;
  ReadCeilings(ledger, roofline);
  double seconds = 0;
  for (std::size_t i = 0; i < ledger.rows.size(); ++i) {
    const Record& row = ledger.rows[i];
    if (row.kind == "total" || row.kind == "extrapolated") continue;
    RooflineDot dot{.row = i};
    double flops = 0;
    if (IsPositive(row.time_s)) seconds += *row.time_s;
    if (!IsPositive(row.time_s)) {
      roofline.skipped.push_back({i, "its time was not measured"});
    } else if (row.bytes.value_or(0) <= 0) {
      roofline.skipped.push_back({i, "its bytes are not known"});
    } else if (!Place(row, dot, flops)) {
      roofline.skipped.push_back({i, "it has no FLOPs"});
    } else {
      dot.intensity = flops / static_cast<double>(*row.bytes);
      dot.flops_per_s = flops / *row.time_s;
      const double mad = row.time_mad_s.value_or(0);
      if (mad > 0 && mad < *row.time_s) {
        dot.slowest = flops / (*row.time_s + mad);
        dot.fastest = flops / (*row.time_s - mad);
      }
      FindRoof(roofline, row, flops, dot);
      if (std::isfinite(dot.flops_per_s) && std::isfinite(dot.intensity)) {
        roofline.dots.push_back(dot);
      } else {
        roofline.skipped.push_back({i, "its figures leave what can be drawn"});
      }
    }
  }
  for (RooflineDot& dot : roofline.dots) dot.share = *ledger.rows[dot.row].time_s / seconds;
  return roofline;
}

}  // namespace flopledger
