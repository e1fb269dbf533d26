// Measured ceilings of a machine: what no op can pass.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace flopledger {

class JsonReader;  // analysis/ledger/json_reader.h

/// A median and its spread.
struct Measured {
  double median = 0;
  double mad = 0;  // median absolute deviation, in the same unit

  bool operator==(const Measured&) const = default;
};

struct NamedMeasured {
  std::string name;
  Measured value;

  bool operator==(const NamedMeasured&) const = default;
};

/// Bandwidth where the data of all threads lie in one level of memory, bytes a second in all.
struct LevelBandwidth {
  std::string level;                      // "L1", "L2", "L3", "memory"
  std::optional<int64_t> capacity_bytes;  // what these threads have of it; memory: none
  Measured read;                          // every byte read once
  Measured triad;                         // a = b + s·c, 12 bytes an element

  bool operator==(const LevelBandwidth&) const = default;
};

/// What the machine can do at best with this many threads.
struct Ceilings {
  int64_t threads = 1;
  std::vector<NamedMeasured> fma_flops_per_s;       // by SIMD level, the build's own first
  std::vector<LevelBandwidth> bandwidth;            // the nearest level first, "memory" last
  Measured product_flops_per_s;                     // the reference GEMM of bench/calibration/speed
  Measured fork_join_s;                             // an empty parallel region
  Measured exp_s;                                   // seconds an exponential, all threads together
  std::optional<Measured> clock_hz;                 // of a core while every thread adds integers
  std::optional<Measured> theoretical_flops_per_s;  // the documented FMA peak at that clock
  std::optional<double> thread_spread{};  // of the FMA peak: 1 − slowest / fastest thread
  // The FMA peak of one core, where threads ran on both kinds of a hybrid processor's.
  std::optional<Measured> performance_core_flops_per_s{}, efficiency_core_flops_per_s{};
  std::optional<int64_t> memory_buffer_bytes{};  // that memory's bandwidth was measured on
  bool memory_buffer_bounded = false;  // by the memory that may be used: caches serve a part of it
  // The reference GEMM, at the FMA peak beside it, differs by so much of its rate from one part of
  // the calibration to another (95 % of them).
  std::optional<double> product_drift{};

  double peak_flops_per_s() const { return fma_flops_per_s.front().value.median; }
  double memory_bytes_per_s() const { return bandwidth.back().read.median; }
  bool operator==(const Ceilings&) const = default;
};

/// Those for that many threads; null where there are none.
const Ceilings* FindCeilings(std::span<const Ceilings> all, int64_t threads);

nlohmann::json ToJson(const Ceilings& ceilings);
/// Reads what ToJson writes; what older builds did not measure may be absent. Throws InputError.
Ceilings CeilingsFromJson(const JsonReader& in);

/// How fast the machine is at the moment.
struct MachineSpeed {
  double peak_flops_per_s = 0;     // the FMA peak, all threads
  double product_flops_per_s = 0;  // the reference GEMM
  double read_bytes_per_s = 0;     // from memory

  bool operator==(const MachineSpeed&) const = default;
};

}  // namespace flopledger
