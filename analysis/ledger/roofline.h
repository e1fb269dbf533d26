// The roofline of one run: ceilings that were measured, and a dot for each operation at the FLOPs
// that its kernel executes. Arithmetic on a ledger; nothing is drawn here.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "analysis/ledger/record.h"

namespace flopledger {

/// Bandwidth of one level of the memory hierarchy: the best that the calibration measured.
struct BandwidthCeiling {
  std::string level;  // "L1", "L2", "L3", "memory"
  double bytes_per_s = 0;
  /// What the cache inside of this level holds, all threads together: so much of an operation's
  /// traffic may have been spared it. Absent where that is not known.
  std::optional<double> spared_bytes;
};

/// The FLOPs that place a dot.
enum class FlopsBasis { kExecuted, kMeasured, kPredicted };
std::string_view NameOf(FlopsBasis basis);

/// One operation: x is intensity, y is flops_per_s.
struct RooflineDot {
  std::size_t row = 0;  // of the ledger
  FlopsBasis basis = FlopsBasis::kExecuted;
  double intensity = 0;                    // FLOPs / compulsory bytes
  double flops_per_s = 0;                  // at the median time
  std::optional<double> slowest, fastest;  // FLOP/s at the median ± MAD
  double share = 0;                        // of the operations' seconds, 0 to 1
  std::optional<double> roof_flops_per_s;  // the lowest ceiling that holds it
  std::string roof;                        // its name: "FMA peak", "memory", …
  bool above_roof = false;                 // impossible: some figure is wrong
};

struct RooflineSkip {
  std::size_t row = 0;
  std::string reason;
};

struct Roofline {
  std::optional<double> peak_flops_per_s;         // FMA peak measured around this run
  std::optional<double> theoretical_flops_per_s;  // where the calibration knows it
  std::vector<BandwidthCeiling> bandwidth;        // innermost level first; empty: not calibrated
  std::string bandwidth_unavailable;              // why it is empty
  std::vector<RooflineDot> dots;
  std::vector<RooflineSkip> skipped;

  /// FLOPs per byte where the outermost bandwidth meets the peak; absent without either.
  std::optional<double> Ridge() const;
};

/// A rate is called impossible only beyond this much of its roof, at its slowest plausible time
/// (median + 3 MAD): the peak is itself a measurement, and moves by about so much.
inline constexpr double kRoofTolerance = 0.02;

/// A dot needs a time, bytes and FLOPs. FLOPs are those executed (so that products which the causal
/// mask skips count for nothing), else those measured by a trusted source, else the prediction.
///
/// The roof of a dot is the least of the FMA peak and, for each level with bandwidth b,
/// FLOPs · b / (W − spared_bytes), where W is the compulsory traffic of one execution: what may
/// have lain in a cache inside of the level is granted to it for nothing.
///
/// Bandwidths are those of the environment's calibration for the run's number of threads.
Roofline MakeRoofline(const Ledger& ledger);

}  // namespace flopledger
