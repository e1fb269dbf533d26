// What each command of the command line does, once its options are parsed. Results go to `out`, log
// to `err`; the return value is the exit code.
#pragma once

#include <cstdint>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "bench/cli/common.h"

namespace flopledger {

enum class Decision;  // analysis/regression/compare.h

/// Options of `account`, with their defaults.
struct AccountOptions {
  std::string model = "gpt2-xl";
  std::optional<int64_t> context;  // absent: the model's context_length
  int64_t batch = 1;
  std::string attention = "fused";
  std::string convention = "matmul";  // ours, or another tool's
  std::string format = "table";
  // At most one of these forms, in place of the plain accounting.
  bool explain = false;
  std::string sweep;
  bool training = false;
  bool inference = false;
  bool conventions = false;
  // With `training`:
  std::optional<std::string> memory;  // "80GB", the default
  std::optional<std::string> peak;    // FLOPs a second: "19.5T"
  std::optional<std::string> mfu;     // "50 %" of the peak, the default
  std::optional<int64_t> steps;
};
int RunAccount(const AccountOptions& options, std::ostream& out);

/// Options of `audit`, with their defaults.
struct AuditOptions {
  std::string claims;  // a path ending in .json or .csv, or "-"
  std::string model = "gpt2-xl";
  std::optional<int64_t> context;  // absent: the model's context_length
  int64_t batch = 1;
  std::string convention = "matmul";
  std::string format = "table";
  bool quantities = false;
};
/// 0 when every claim is right, under its convention or another that is named; else 1.
int RunAudit(const AuditOptions& options, std::ostream& out);

struct PresetsOptions {
  std::string format = "table";
};
int RunPresets(const PresetsOptions& options, std::ostream& out);

/// Options of `run`, with their defaults.
struct RunOptions {
  WorkloadOptions workload;
  std::string convention = "matmul";
  std::string count = "sample";
  std::string counters = "auto";
  bool sample = false;
  int64_t decode = 0;
  std::string calibration;  // empty: the user's own, if there is one
  uint64_t seed = 1;
  std::optional<uint64_t> max_memory;
  std::string csv, json, trace, results;
  std::vector<std::string> benchmark_flags;
};
int RunRun(const RunOptions& options, std::ostream& out, std::ostream& err);

/// Options of `count-instructions`.
struct CountInstructionsOptions {
  std::string kernel = "matmul";
  std::string shape;  // empty: the kernel's own small one
  std::string model;  // empty: one kernel; else every op of one layer of it
  std::optional<int64_t> context;
  std::string matmul = "packed";
  std::string attention = "fused";
  std::string format = "table";
};
int RunCountInstructions(const CountInstructionsOptions& options, std::ostream& out,
                         std::ostream& err);
/// The names that --kernel takes.
std::vector<std::string> InstructionKernels();

/// Options of `compare`, with their defaults.
struct CompareOptions {
  std::string baseline, candidate;  // ledgers of `run --json`, or Google Benchmark's JSON
  double budget = 5;                // percent
  double drift = 14.8;              // percent
  std::string format = "table";
};
int RunCompare(const CompareOptions& options, std::ostream& out);

/// Options of `gate`, with their defaults.
struct GateOptions {
  std::string baseline, candidate;
  std::string baseline_ref, candidate_ref;  // candidate_ref empty: HEAD
  std::string preset = "release";
  std::string target = "bench_forward";
  std::vector<std::string> arguments;  // for both binaries
  double budget = 5;                   // percent
  int64_t blocks = 10;
  std::optional<int64_t> max_blocks;  // absent: 30, or --blocks where that is more
  std::optional<uint64_t> seed;       // absent: drawn
  double time_limit_s = 300;
  bool time_identical = false, flops_may_change = false, across_builds = false;
  std::vector<std::string> exact;
  bool plan = false;
  double plan_seconds = 120;
  std::string json = "gate-verdict.json";
  std::string markdown, junit, bencher, profile;
  std::string annotations = "auto";
};
int RunGateCommand(const GateOptions& options, std::ostream& out, std::ostream& err);

/// The exit code that stands for a decision: 0, 1 or 3.
int ExitCodeOf(Decision decision);

/// `percent` as a fraction. Throws InputError, naming the option, unless it is above 0 and at most
/// 1000.
double CheckedPercent(const char* option, double percent);

/// Options of `doctor`.
struct DoctorOptions {
  std::string format = "table";
};
int RunDoctor(const DoctorOptions& options, std::ostream& out);

/// Options of `calibrate`.
struct CalibrateOptions {
  std::string out;  // empty: the user's cache
  bool quick = false;
};
int RunCalibrate(const CalibrateOptions& options, std::ostream& out, std::ostream& err);

/// Options of `predict`.
struct PredictOptions {
  std::string model = "gpt2-xl";
  std::optional<int64_t> context;  // absent: the model's context_length
  int64_t batch = 1;
  std::optional<int64_t> threads;  // absent: every processor
  std::string matmul = "packed";
  std::string attention = "fused";
  std::string convention = "matmul";
  std::string calibration;  // empty: the user's own
  std::string format = "table";
};
int RunPredict(const PredictOptions& options, std::ostream& out);

/// Options of `logits`.
struct LogitsOptions {
  std::string model, weights, tokens, out;
  std::string matmul = "packed";
  std::string attention = "fused";
  std::optional<int64_t> threads;
};
int RunLogits(const LogitsOptions& options, std::ostream& out);

/// Options of `report`.
struct ReportOptions {
  std::vector<std::string> results;  // ledgers in JSON
  std::string out;                   // empty: to standard output
  std::string format;                // "html", "md"; empty: what `out` ends with, else html
};
int RunReport(const ReportOptions& options, std::ostream& out);

}  // namespace flopledger
