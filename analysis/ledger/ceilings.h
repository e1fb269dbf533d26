// Measured ceilings of a machine: what no op can pass.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
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

  double peak_flops_per_s() const { return fma_flops_per_s.front().value.median; }
  double memory_bytes_per_s() const { return bandwidth.back().read.median; }
  bool operator==(const Ceilings&) const = default;
};

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
