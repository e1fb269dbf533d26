// The prediction of seconds: what an op should take on this machine, from a calibration and the
// op's shape alone. A calibration holds measured ceilings (peak, bandwidths) and samples: real ops,
// executed at sampled shapes of models made for it. Between samples it is interpolated. Arithmetic
// only; what measures a calibration is in bench/.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "analysis/ledger/ceilings.h"
#include "model/config.h"
#include "model/ops.h"

namespace flopledger {

/// What an op costs at one shape, per unit of work (WorkOf). Its time is kept in three units, for
/// the machine's speed drifts, and not as one: what each reference speed beside it would do in that
/// time.
/// At the FMA peak a product costs 2.
struct OpSample {
  std::string matmul;  // the backend; empty for ops whose kernel does not depend on it
  std::string op;      // SampleKey
  int64_t threads = 1;
  int64_t m = 1, n = 1, k = 1;  // SamplePosition
  double peak_flops = 0;        // median of seconds · FMA peak / work
  double product_flops = 0;     // median of seconds · reference GEMM's rate / work
  double read_bytes = 0;        // median of seconds · memory's read bandwidth / work
  double spread = 0;            // MAD / median of the former
  int64_t repetitions = 0;

  bool operator==(const OpSample&) const = default;
};

/// The sum of all ranks' numbers, as a pass makes it, measured between the ranks of one launch.
struct CollectiveSample {
  int64_t ranks = 2, hosts = 1;
  int64_t threads = 1;  // of each rank
  int64_t bytes = 0;    // of a rank's numbers
  std::string algorithm;
  double seconds = 0;  // median over repetitions of the slowest rank's time
  double spread = 0;   // MAD / median
  int64_t repetitions = 0;
  double mpi_s = 0;  // the same by the library's own MPI_Allreduce

  bool operator==(const CollectiveSample&) const = default;
};

struct Calibration {
  std::map<std::string, std::string> identity;  // of the machine and build that it holds for
  std::string taken;                            // UTC, "2026-11-24T20:00:00Z"
  std::vector<Ceilings> ceilings;               // by rising threads
  std::vector<OpSample> samples;
  std::vector<CollectiveSample> collectives;  // of launches with several ranks; may be none

  bool operator==(const Calibration&) const = default;
};

nlohmann::json ToJson(const Calibration& calibration);
/// Reads what ToJson writes. Throws InputError naming `where` and what is wrong.
Calibration CalibrationFromJson(const nlohmann::json& json, const std::string& where);
/// Why a calibration does not hold for the machine and build of `identity`, naming the first fact
/// that differs; empty where it does hold.
std::string WhyNotFor(const Calibration& calibration,
                      const std::map<std::string, std::string>& identity);

/// What is sampled under one name: the kind of op and what of the config its kernel depends on.
std::string SampleKey(const ModelConfig& config, const Op& op);
/// The backend's name where the op's kernel depends on it, else empty.
std::string SampleBackend(const std::string& matmul, const Op& op);

/// Where among the samples an op lies. A product: its m, n, k. Attention: T, 1, HS. Others:
/// elements, columns, 1.
struct SamplePosition {
  int64_t m = 1, n = 1, k = 1;
};
SamplePosition PositionOf(const Op& op);

/// What one execution's cost is counted per: multiply-adds of a product (of attention, over the
/// full square), elements of what is none.
double WorkOf(const Op& op);

/// As it was when it was calibrated.
MachineSpeed CalibratedSpeed(const Calibration& calibration, int64_t threads);

/// Ceilings::product_drift for that many threads: the largest where they were not calibrated;
/// absent where none was measured, as by an older build.
std::optional<double> CalibratedDrift(const Calibration& calibration, int64_t threads);

enum class Bound { kCompute, kMemory, kOverhead, kNetwork };
/// "compute", "memory", "overhead", "network".
std::string_view NameOf(Bound bound);

/// What connects ranks: a message of n bytes takes latency_s + n / bytes_per_s, as Hockney (1994)
/// has it; the alpha-beta model of Thakur et al. 2005.
struct Network {
  double bytes_per_s = 0, latency_s = 0;
};

/// What is predicted: a model at a shape, with these kernels, at this speed.
struct PredictedRun {
  ModelConfig model;  // of several ranks, the first's: its share is the largest
  RunShape shape;
  std::string matmul;
  int64_t threads = 1;
  MachineSpeed speed;
  int64_t hosts = 1;                    // that the ranks are on, whose collectives were calibrated
  std::optional<Network> network = {};  // in place of what was calibrated
};

struct OpPrediction {
  std::optional<double> seconds;  // of every execution in one pass
  Bound bound = Bound::kCompute;
  bool beyond_samples = false;      // farther than a factor of two from what was sampled, or
                                    // by samples of a similar op
  std::string unavailable_because;  // where there are no seconds
};

/// The time of every execution of `op` in one pass. What the bytes of an op need at the bandwidth
/// of the level that holds them bounds it by memory where that is at least half of its time, as
/// forking and joining bounds it by overhead; all else is bound by computing. What is bound by
/// memory scales with the bandwidth of the moment, other products of weights with the reference
/// GEMM, all else with the FMA peak.
OpPrediction PredictOp(const Calibration& calibration, const PredictedRun& run, const Op& op);

/// The time of every execution of a collective in one pass: interpolated between what was measured
/// with as many ranks and hosts; or, over run.network, that of the algorithm's messages, bytes and
/// additions, one step after the other.
OpPrediction PredictCollective(const Calibration& calibration, const PredictedRun& run,
                               const Op& op);

struct PassPrediction {
  std::vector<OpPrediction> ops;  // in the order of ForwardOps
  OpPrediction total;             // its bound is that of the largest part of the time
};
PassPrediction PredictPass(const Calibration& calibration, const PredictedRun& run);

/// A point of a curve: both coordinates above 0.
struct CurvePoint {
  double x = 0, y = 0;
};
/// Linear between the points in log x and log y, exact at them, constant beyond the ends. `points`
/// rise in x; at least one.
double InterpolateLog(const std::vector<CurvePoint>& points, double x);

}  // namespace flopledger
