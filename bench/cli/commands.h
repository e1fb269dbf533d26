// What each command of the command line does, once its options are parsed. Results go to `out`, log
// to `err`; the return value is the exit code.
#pragma once

#include <cstdint>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "bench/cli/common.h"
#include "bench/cli/gate_options.h"

namespace flopledger {

struct Team;  // bench/machine/team.h

/// Options of `account`, with their defaults.
struct AccountOptions {
  std::string model = "gpt2-xl";
  std::optional<int64_t> context;  // absent: the model's context_length
  int64_t batch = 1;
  std::string attention = "fused";
  std::string convention = "matmul";    // ours, or another tool's
  std::optional<std::string> dtype;     // of the weights; absent: f32
  std::optional<std::string> kv_dtype;  // of the KV cache; absent: f32
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
  std::optional<std::string> step_time;          // measured: "1.4 s"
  std::optional<std::string> tokens_per_second;  // measured: "12.5k"
};
int RunAccount(const AccountOptions& options, std::ostream& out, std::ostream& err);

/// Options of `audit`, with their defaults.
struct AuditOptions {
  std::string claims;  // a path ending in .json or .csv, or "-"
  std::string model = "gpt2-xl";
  std::optional<int64_t> context;  // absent: the model's context_length
  int64_t batch = 1;
  std::string convention = "matmul";    // ours, or another tool's
  std::optional<std::string> dtype;     // "f32", the default
  std::optional<std::string> kv_dtype;  // absent: as dtype
  std::string format = "table";
  bool quantities = false;
};
/// 0 when every claim is right; else 1.
int RunAudit(const AuditOptions& options, std::ostream& out, std::ostream& err);

struct PresetsOptions {
  std::string format = "table";
};
int RunPresets(const PresetsOptions& options, std::ostream& out, std::ostream& err);

/// Options of `run`, with their defaults.
struct RunOptions {
  WorkloadOptions workload;  // its context, batch and threads are set from these lists:
  SweepOptions sweep;
  std::string convention = "matmul";
  std::string count = "auto";
  std::string counters = "auto";
  bool sample = false;
  int64_t decode = 0;
  std::string calibration;  // empty: the user's own, if there is one
  uint64_t seed = 1;
  std::optional<int64_t> repetitions;  // absent: 3, or what a flag of Google Benchmark says
  int64_t warm_up = 1;                 // passes before those timed; the first is verified
  std::string max_memory;              // "8GiB"; empty: what is available
  bool model_given = true;             // false: a smaller one may stand in for the default
  bool dry_run = false;                // only say what would be done
  std::string format = "table";
  std::string csv, json, trace, results;
  std::vector<std::string> benchmark_flags;
  Team* team = nullptr;  // the ranks that share each pass; null of one process
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
struct CompareOptions : ComparableOptions {
  std::string baseline, candidate;  // ledgers of `run --json`, or Google Benchmark's JSON
  double budget = 5;                // percent
  double drift = 14.8;              // percent
  std::string format = "table";
};
int RunCompare(const CompareOptions& options, std::ostream& out, std::ostream& err);

/// Options of `gate`, with their defaults.
struct GateOptions : GateTimingOptions {
  std::string baseline, candidate;
  std::string baseline_ref, candidate_ref;  // candidate_ref empty: HEAD
  std::string preset = "release";
  std::string target = "bench_forward";
  bool time_identical = false, bisect_exit = false;
  bool plan = false;
  double plan_seconds = 120;
  std::string json = "gate-verdict.json";
  std::string markdown, junit, bencher, profile;
  std::string annotations = "auto";
  std::string format = "table";
};
int RunGateCommand(const GateOptions& options, std::ostream& out, std::ostream& err);

/// Options of `bisect`, with their defaults.
struct BisectOptions : GateTimingOptions {
  std::string good, bad = "HEAD";
  std::string preset = "release";
  std::string target = "bench_forward";
  std::string filter;  // of rows; empty: all
  std::string format = "table";
};
int RunBisectCommand(const BisectOptions& options, std::ostream& out, std::ostream& err);

/// Options of `doctor`.
struct DoctorOptions {
  std::string format = "table";
};
int RunDoctor(const DoctorOptions& options, std::ostream& out, std::ostream& err);

/// Options of `calibrate`.
struct CalibrateOptions {
  std::string pin = "none";
  std::string out;     // empty: the user's cache; "-": none, the calibration is printed
  std::string format;  // empty: a table, or JSON where `out` is "-"
  bool quick = false;
  bool if_needed = false;
  bool show = false;        // print what is kept, measure nothing
  std::string calibration;  // with `show`: the file; empty: the user's own
  Team* team = nullptr;     // the ranks between which collectives are sampled; null of one process
};
int RunCalibrate(const CalibrateOptions& options, std::ostream& out, std::ostream& err);

/// Options of `predict`.
struct PredictOptions {
  std::string model = "gpt2-xl";
  std::optional<int64_t> context;  // absent: the model's context_length
  int64_t batch = 1;
  std::optional<int64_t> threads;  // absent: DefaultThreads()
  std::string matmul = "packed";
  std::string attention = "fused";
  std::string convention = "matmul";
  std::optional<std::string> dtype;     // of the weights; absent: f32
  std::optional<std::string> kv_dtype;  // of the KV cache; absent: f32
  std::string calibration;              // empty: the user's own
  std::string ranks;                    // "1,2,4,8": another form; empty: one process
  std::string network;                  // "12.5GB/s,2us": between ranks on a machine each
  std::string format = "table";
};
int RunPredict(const PredictOptions& options, std::ostream& out, std::ostream& err);

/// Options of `logits`.
struct LogitsOptions {
  std::string model, weights, tokens;
  std::string format = "csv";
  std::string matmul = "packed";
  std::string attention = "fused";
  std::optional<int64_t> threads;
  Team* team = nullptr;  // the ranks that share the pass; null of one process
};
int RunLogits(const LogitsOptions& options, std::ostream& out, std::ostream& err);

/// Options of `report`.
struct ReportOptions {
  std::vector<std::string> results;  // ledgers in JSON
  std::string out;                   // empty: to standard output
  std::string format;                // "html", "md"; empty: what `out` ends with, else html
};
int RunReport(const ReportOptions& options, std::ostream& out, std::ostream& err);

}  // namespace flopledger
