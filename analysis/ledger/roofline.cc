#include "analysis/ledger/roofline.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace flopledger {
namespace {

bool IsPositive(const std::optional<double>& value) {
  return value && std::isfinite(*value) && *value > 0;
}

void ReadCeilings(const Ledger& ledger, Roofline& roofline) {
  for (const Record& row : ledger.rows) {
    if (!IsPositive(row.peak_gflops)) continue;
    roofline.peak_flops_per_s = *row.peak_gflops * 1e9;
    break;
  }
  const auto& calibration = ledger.environment.calibration;
  if (!calibration) {
    roofline.bandwidth_unavailable = "not calibrated";
    return;
  }
  if (ledger.rows.front().ranks > 1) {
    roofline.bandwidth_unavailable = "several ranks: bandwidths were calibrated for one";
    return;
  }
  const int64_t threads = ledger.rows.front().threads;
  const Ceilings* ceilings = FindCeilings(calibration->ceilings, threads);
  if (ceilings == nullptr) {
    roofline.bandwidth_unavailable = fmt::format("the calibration has no bandwidth for {} thread{}",
                                                 threads, threads == 1 ? "" : "s");
    return;
  }
  if (ceilings->theoretical_flops_per_s) {
    roofline.theoretical_flops_per_s = ceilings->theoretical_flops_per_s->median;
  }
  std::optional<double> spared = 0.0;
  for (const LevelBandwidth& level : ceilings->bandwidth) {
    // A ceiling is the best that was seen.
    roofline.bandwidth.push_back(
        {level.level, std::max(level.read.median, level.triad.median), spared});
    spared.reset();
    if (level.capacity_bytes) spared = static_cast<double>(*level.capacity_bytes);
  }
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
    RooflineDot dot;
    dot.row = i;
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
