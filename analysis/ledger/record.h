// One row of the ledger and its one list of fields; whole ledgers in and out as CSV and JSON.
// A field that does not apply or was not measured is empty in CSV and null in JSON, never 0.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "analysis/ledger/environment.h"

namespace flopledger {

/// The version of the ledger's fields. Schema 1 is still read: it had no dtype, ranks, mfu_pct and
/// disturbed, and its pct_peak was what mfu_pct is now.
inline constexpr int64_t kSchema = 2;

/// How the note of a row begins whose counted samples did not all meet the executed formula.
inline constexpr std::string_view kFormulaMissed = "the executed formula missed";

/// One op of one run, measured beside predicted; or the whole pass, under op "total".
struct Record {
  int64_t schema = kSchema;
  std::string run_id;
  std::string model;
  std::string dtype = "f32";  // of the weights
  int64_t context = 0;
  int64_t batch = 0;
  int64_t layers_run = 0;
  int64_t layers_total = 0;
  int64_t ranks = 1;      // processes
  int64_t threads = 0;    // of each
  std::string matmul;     // the backend of the products
  std::string attention;  // the attention kernel
  std::string op;
  std::string kind;
  std::optional<int64_t> m, n, k;  // of one product; rows and columns where it is none
  std::optional<int64_t> count;    // products, or m×n blocks, in one pass
  std::string convention;          // under which predicted_flops stands
  std::optional<int64_t> predicted_flops;
  std::optional<int64_t> executed_flops;
  std::optional<int64_t> measured_flops;
  std::string flops_source = "none";
  std::optional<int64_t> confirmed_samples;
  std::optional<double> flops_ratio;  // measured / predicted FLOPs
  std::optional<double> time_s;       // median over repetitions, one pass
  std::optional<double> time_mad_s;   // median absolute deviation
  int64_t repetitions = 0;
  std::optional<double> gflops;       // predicted_flops / time_s / 1e9
  std::optional<double> peak_gflops;  // FMA peak around the repetitions, all threads
  // Medians over repetitions of a rate over the peak around it, percent: of the FLOPs that are
  // executed, and of those predicted under the convention (PaLM's MFU).
  std::optional<double> pct_peak, mfu_pct;
  std::optional<int64_t> bytes;     // compulsory traffic, every operand once
  std::optional<double> intensity;  // predicted_flops / bytes
  std::string bound;
  std::optional<double> predicted_time_s;
  std::optional<double> time_ratio;  // measured / predicted seconds
  std::string disturbed;             // why the time should not be trusted; empty where it may be

  // In JSON only.
  std::vector<double> samples_s;                // each repetition's time, in order
  std::vector<double> peak_samples_gflops;      // of the total: the FMA peak around each of those
  std::string flops_note;                       // why measured_flops is empty
  std::optional<int64_t> executions_per_count;  // executions that one counted execution stands for
  // By hardware counters over one pass, all threads together; absent where there are none.
  std::optional<double> instructions, cycles, ipc, llc_misses;
  std::optional<double> memory_bytes;   // last-level misses · 64
  std::optional<double> counter_scale;  // time enabled / time running; above 1 it was multiplexed
  std::optional<double> imbalance;      // of several ranks: the slowest's time / the mean, a median

  bool operator==(const Record&) const = default;
};

/// The one list of fields: visit(name, field) for each CSV column, in the order of the contract.
template <class AnyRecord, class Visit>
void ForEachField(AnyRecord& record, Visit&& visit) {
  visit("schema", record.schema);
  visit("run_id", record.run_id);
  visit("model", record.model);
  visit("dtype", record.dtype);
  visit("context", record.context);
  visit("batch", record.batch);
  visit("layers_run", record.layers_run);
  visit("layers_total", record.layers_total);
  visit("ranks", record.ranks);
  visit("threads", record.threads);
  visit("matmul", record.matmul);
  visit("attention", record.attention);
  visit("op", record.op);
  visit("kind", record.kind);
  visit("m", record.m);
  visit("n", record.n);
  visit("k", record.k);
  visit("count", record.count);
  visit("convention", record.convention);
  visit("predicted_flops", record.predicted_flops);
  visit("executed_flops", record.executed_flops);
  visit("measured_flops", record.measured_flops);
  visit("flops_source", record.flops_source);
  visit("confirmed_samples", record.confirmed_samples);
  visit("flops_ratio", record.flops_ratio);
  visit("time_s", record.time_s);
  visit("time_mad_s", record.time_mad_s);
  visit("repetitions", record.repetitions);
  visit("gflops", record.gflops);
  visit("peak_gflops", record.peak_gflops);
  visit("pct_peak", record.pct_peak);
  visit("mfu_pct", record.mfu_pct);
  visit("bytes", record.bytes);
  visit("intensity", record.intensity);
  visit("bound", record.bound);
  visit("predicted_time_s", record.predicted_time_s);
  visit("time_ratio", record.time_ratio);
  visit("disturbed", record.disturbed);
}

/// The fields that JSON has beside the columns.
template <class AnyRecord, class Visit>
void ForEachJsonField(AnyRecord& record, Visit&& visit) {
  visit("samples_s", record.samples_s);
  visit("peak_samples_gflops", record.peak_samples_gflops);
  visit("flops_note", record.flops_note);
  visit("executions_per_count", record.executions_per_count);
  visit("instructions", record.instructions);
  visit("cycles", record.cycles);
  visit("ipc", record.ipc);
  visit("llc_misses", record.llc_misses);
  visit("memory_bytes", record.memory_bytes);
  visit("counter_scale", record.counter_scale);
  visit("imbalance", record.imbalance);
}

/// A run's rows and where they come from.
struct Ledger {
  Environment environment;  // machine, build and settings
  std::vector<Record> rows;

  bool operator==(const Ledger&) const = default;
};

/// Each value of a text field once, as they first appear.
std::vector<std::string> Distinct(const std::vector<Record>& rows, std::string Record::*field);

/// The heading and every row, as RFC 4180 CSV.
std::string ToCsv(const std::vector<Record>& rows);
/// The same of a ledger; where tokens were decoded, a row of kind "decode" follows for each of
/// their operations and for all: "decode_ffn_up", "decode_total". `context` is the prompt, `count`
/// the tokens of each sequence, and time, FLOPs and bytes are of all of them.
std::string ToCsv(const Ledger& ledger);

nlohmann::json ToJson(const Ledger& ledger);
/// Reads what ToJson writes. Throws InputError naming `where` and the row.
Ledger LedgerFromJson(const nlohmann::json& json, const std::string& where);

}  // namespace flopledger
