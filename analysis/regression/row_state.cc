#include "analysis/regression/row_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace flopledger {
namespace {

using nlohmann::json;

/// mhz_per_cpu is a reading of the moment in many virtual machines: this much is no difference.
constexpr double kFrequencyTolerance = 0.05;

RowVerdict NotComparable(std::string reason) {
  return {Decision::kNotComparable, std::move(reason)};
}

/// What both say, or what each says.
std::string Both(const std::string& a, const std::string& b) {
  return a == b ? a : fmt::format("A: {}; B: {}", a, b);
}

/// What makes the values of a row useless; empty where nothing does.
std::string Oddness(const BenchmarkRow& row, const Metric& metric) {
  const auto found = row.values.find(metric.name);
  if (found == row.values.end() || found->second.empty()) return "has no " + metric.name;
  const auto any = [&](auto&& is) { return std::ranges::any_of(found->second, is); };
  if (any([](double v) { return !std::isfinite(v); })) return metric.name + " is not a number";
  if (any([](double v) { return v == 0; })) return metric.name + " is zero";
  if (any([](double v) { return v < 0; })) return metric.name + " is negative";
  return "";
}

/// The verdict where something about A's row or B's is odd (not empty).
RowVerdict VerdictOnOddness(const std::string& a, const std::string& b) {
  if (a == b) return {Decision::kSkipped, "in both: " + a};
  if (a.empty()) return NotComparable("B: " + b);
  if (b.empty()) return NotComparable("A: " + a);
  return NotComparable(Both(a, b));
}

std::string FactText(const json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

bool IsSameFrequency(const json& a, const json& b) {
  if (!a.is_number() || !b.is_number()) return a == b;
  const double x = a.get<double>(), y = b.get<double>();
  return std::abs(x - y) <= kFrequencyTolerance * std::max(std::abs(x), std::abs(y));
}

}  // namespace

std::optional<RowVerdict> VerdictOnState(const BenchmarkRow* baseline,
                                         const BenchmarkRow* candidate) {
  if (baseline == nullptr) return RowVerdict{Decision::kNew, "only in B"};
  if (candidate == nullptr) return RowVerdict{Decision::kMissing, "only in A"};
  const BenchmarkRow &a = *baseline, &b = *candidate;
  if (a.duplicate_name || b.duplicate_name) {
    return NotComparable(fmt::format(
        "two benchmarks of {} go by this name",
        a.duplicate_name && b.duplicate_name ? "A and of B" : (a.duplicate_name ? "A" : "B")));
  }
  if (a.ran() && !b.error.empty()) return RowVerdict{Decision::kFail, "fails in B: " + b.error};
  if (a.ran() && !b.ran()) return NotComparable("ran in A, is skipped in B: " + b.skipped);
  if (!a.ran() && b.ran()) {
    return RowVerdict{Decision::kNew, a.error.empty() ? "runs in B, is skipped in A: " + a.skipped
                                                      : "runs in B, fails in A: " + a.error};
  }
  if (!a.ran()) {
    if (!a.error.empty() && !b.error.empty()) {
      return RowVerdict{Decision::kSkipped, "fails in both: " + Both(a.error, b.error)};
    }
    if (a.error.empty() && b.error.empty()) {
      return RowVerdict{Decision::kSkipped, "is skipped in both: " + Both(a.skipped, b.skipped)};
    }
    return NotComparable(a.error.empty()
                             ? fmt::format("skipped in A: {}; fails in B: {}", a.skipped, b.error)
                             : fmt::format("fails in A: {}; skipped in B: {}", a.error, b.skipped));
  }
  if (!a.unreadable.empty() || !b.unreadable.empty()) {
    return VerdictOnOddness(a.unreadable, b.unreadable);
  }
  return std::nullopt;
}

std::optional<RowVerdict> VerdictOnValues(const BenchmarkRow& baseline,
                                          const BenchmarkRow& candidate, const Metric& metric) {
  const std::string a = Oddness(baseline, metric), b = Oddness(candidate, metric);
  if (a.empty() && b.empty()) return std::nullopt;
  return VerdictOnOddness(a, b);
}

std::vector<std::string> MachineDifferences(const json& baseline, const json& candidate,
                                            bool saved) {
  std::vector<std::string> differences;
  for (const std::string key : {"host_name", "num_cpus", "caches", "mhz_per_cpu"}) {
    const auto a = baseline.find(key), b = candidate.find(key);
    if (a == baseline.end() || b == candidate.end()) continue;
    const bool is_frequency = key == "mhz_per_cpu";
    const bool same = is_frequency ? !saved || IsSameFrequency(*a, *b) : *a == *b;
    if (!same)
      differences.push_back(fmt::format("{}: A {}, B {}", key, FactText(*a), FactText(*b)));
  }
  return differences;
}

std::string LibraryDifference(const json& baseline, const json& candidate) {
  const auto version = [](const json& context) {
    const auto found = context.find("library_version");
    return found == context.end() ? "not stated" : FactText(*found);
  };
  const std::string a = version(baseline), b = version(candidate);
  return a == b ? "" : fmt::format("library_version: A {}, B {}", a, b);
}

std::string WhyLibraryMatters(const BenchmarkRow& baseline, const BenchmarkRow& candidate,
                              const std::string& difference) {
  if (difference.empty() || !(baseline.has_threads || candidate.has_threads)) return "";
  return difference + "; times of rows with threads mean something else in other versions";
}

}  // namespace flopledger
