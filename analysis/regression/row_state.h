// Whether two rows of one name can be compared at all, or what stands in the way: every row by
// itself, so that an odd one costs no other its answer. Of `compare` and `gate` alike.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "analysis/regression/benchmark_json.h"
#include "analysis/regression/compare.h"
#include "analysis/regression/metric.h"

namespace flopledger {

/// The verdict on a row that is in one of the two alone (the other is null), that fails, is
/// skipped, cannot be read, or shares its name; absent where both ran.
std::optional<RowVerdict> VerdictOnState(const BenchmarkRow* baseline,
                                         const BenchmarkRow* candidate);

/// The verdict on two rows that ran and have values of this metric that cannot be compared: none,
/// zero, negative, or not a number; absent where they can be.
std::optional<RowVerdict> VerdictOnValues(const BenchmarkRow& baseline,
                                          const BenchmarkRow& candidate, const Metric& metric);

/// "host_name: A x, B y" for every fact of the machine that both contexts of Google Benchmark state
/// and that differs: host_name, num_cpus, caches; mhz_per_cpu if `saved`, for beside each other on
/// one machine it is the frequency of the moment.
std::vector<std::string> MachineDifferences(const nlohmann::json& baseline,
                                            const nlohmann::json& candidate, bool saved);

/// "library_version: A v1.8.3, B v1.9.5" where the two differ or only one states it; else empty.
std::string LibraryDifference(const nlohmann::json& baseline, const nlohmann::json& candidate);

/// Why another library_version makes this row's time incomparable; empty where it does not.
std::string WhyLibraryMatters(const BenchmarkRow& baseline, const BenchmarkRow& candidate,
                              const std::string& difference);

}  // namespace flopledger
