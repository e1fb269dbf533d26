#include "analysis/ledger/rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "analysis/ledger/extrapolation.h"
#include "analysis/ledger/ranks.h"
#include "analysis/text/stats.h"
#include "model/checked.h"

namespace flopledger {
namespace {

Record BaseRecord(const MeasuredRun& run, std::span<const Trial> trials) {
  Record record;
  record.run_id = run.run_id;
  record.model = run.model.name;
  record.context = run.shape.context;
  record.batch = run.shape.batch;
  record.layers_run = run.shape.num_layers;
  record.layers_total = run.model.num_layers;
  record.ranks = run.shape.shard.ranks;
  record.threads = run.threads;
  record.matmul = run.kernels.matmul;
  record.attention = run.kernels.attention;
  record.convention = InfoOf(run.convention).name;
  record.repetitions = static_cast<int64_t>(trials.size());
  std::vector<double> peaks;
  for (const Trial& trial : trials) peaks.push_back(trial.peak() / 1e9);
  record.peak_gflops = Median(peaks);
  return record;
}

/// A row's samples: sample i belongs to trial i.
struct Samples {
  std::span<const Trial> trials;
  std::vector<double> seconds;

  /// The median over trials of flops / time / peak, in percent. Those that were not disturbed
  /// decide, where there are any.
  double PercentOfPeak(double flops) const {
    std::vector<double> all, calm;
    for (std::size_t i = 0; i < seconds.size(); ++i) {
      all.push_back(100 * flops / seconds[i] / trials[i].peak());
      if (trials[i].disturbed.empty()) calm.push_back(all.back());
    }
    return Median(calm.empty() ? all : calm);
  }
};

/// Why the time of a row should not be trusted; empty where it may be.
std::string WhyDisturbed(const Record& record, std::span<const Trial> trials) {
  if (record.pct_peak.value_or(0) > 100) {
    return fmt::format(
        "{:.1f} % of the FMA peak, which cannot be: the time, the count of FLOPs or the peak is "
        "wrong",
        *record.pct_peak);
  }
  const auto disturbed =
      std::ranges::count_if(trials, [](const Trial& trial) { return !trial.disturbed.empty(); });
  if (disturbed == 0) return "";
  const auto first =
      std::ranges::find_if(trials, [](const Trial& trial) { return !trial.disturbed.empty(); });
  return fmt::format("{} of {} repetitions: {}", disturbed, trials.size(), first->disturbed);
}

/// Times, rates and shares from a row's samples. `executed_flops` are those that the share of the
/// peak stands on.
void SetTimes(Record& record, Samples samples, int64_t executed_flops) {
  record.time_s = Median(samples.seconds);
  record.time_mad_s = MedianAbsoluteDeviation(samples.seconds);
  const auto flops = static_cast<double>(record.predicted_flops.value_or(0));
  if (flops > 0) {
    record.gflops = flops / *record.time_s / 1e9;
    record.mfu_pct = samples.PercentOfPeak(flops);
  }
  if (executed_flops > 0) {
    record.pct_peak = samples.PercentOfPeak(static_cast<double>(executed_flops));
  }
  record.disturbed = WhyDisturbed(record, samples.trials);
  record.samples_s = std::move(samples.seconds);
}

/// What op i costs all ranks together; absent where it is of one.
template <class Cost>
std::optional<int64_t> SumOverRanks(std::span<const RankList> lists, std::size_t i,
                                    const Cost& cost) {
  int64_t sum = 0;
  for (const RankList& list : lists) {
    const std::optional<int64_t> of_rank = cost(list, list.ops[i]);
    if (!of_rank) return std::nullopt;
    sum = CheckedAdd(sum, *of_rank);
  }
  return sum;
}

/// FlopsExecuted of op i, of all ranks together.
int64_t FlopsExecuted(const MeasuredRun& run, std::span<const RankList> lists, std::size_t i) {
  return *SumOverRanks(lists, i, [&](const RankList& list, const Op& op) {
    return std::optional(FlopsExecuted(list.model, list.shape, op, run.kernels));
  });
}

/// The same of a pass.
int64_t FlopsExecuted(const MeasuredRun& run, std::span<const RankList> lists) {
  int64_t executed = 0;
  for (std::size_t i = 0; i < lists.front().ops.size(); ++i) {
    executed = CheckedAdd(executed, FlopsExecuted(run, lists, i));
  }
  return executed;
}

void SetBytes(Record& record, int64_t bytes) {
  record.bytes = bytes;
  if (bytes > 0 && record.predicted_flops.value_or(0) > 0) {
    record.intensity = static_cast<double>(*record.predicted_flops) / static_cast<double>(bytes);
  }
}

/// measured / predicted, where both are known and the prediction is not nothing.
void SetRatio(Record& record) {
  if (record.measured_flops && record.predicted_flops.value_or(0) > 0) {
    record.flops_ratio =
        static_cast<double>(*record.measured_flops) / static_cast<double>(*record.predicted_flops);
  }
}

/// Instructions, cycles and memory traffic of one op's counters.
void SetCounters(Record& row, const CounterFigures& figures) {
  constexpr double kLineBytes = 64;
  row.instructions = figures.instructions;
  row.cycles = figures.cycles;
  row.llc_misses = figures.cache_misses;
  if (figures.instructions && figures.cycles.value_or(0) > 0) {
    row.ipc = *figures.instructions / *figures.cycles;
  }
  if (figures.cache_misses) row.memory_bytes = kLineBytes * *figures.cache_misses;
  row.counter_scale = figures.scale;
}

/// Fills the measured columns of an op that executes `executions` times in a pass. Counters that
/// can be trusted come first, then the exact count, then counters that cannot, marked as such.
void SetMeasuredFlops(Record& row, OpId id, int64_t executions, const CounterFigures* figures,
                      const FlopsEvidence& evidence) {
  const bool has_pmu = figures != nullptr && figures->flops.has_value();
  const bool trusted = has_pmu && evidence.counters->check.passed();
  if (trusted || (has_pmu && evidence.mode != CountMode::kFull)) {
    row.measured_flops = std::llround(*figures->flops);
    row.flops_source = trusted ? "pmu" : "untrusted";
    if (!trusted) {
      row.flops_note = fmt::format(
          "the counters read {:.0f} FLOPs of a kernel that executes {}: do not rely on them",
          evidence.counters->check.counted, evidence.counters->check.executed);
    }
  } else if (evidence.mode == CountMode::kFull) {
    const auto count = std::ranges::find(evidence.counted, id, &std::pair<OpId, int64_t>::first);
    row.measured_flops = count->second * executions;
    row.flops_source = "counted";
    row.executions_per_count = executions;
  } else if (evidence.mode == CountMode::kSample) {
    const auto met = std::ranges::find(evidence.sampled.met, id, &std::pair<OpId, int64_t>::first);
    const int64_t samples = evidence.sampled.samples;
    if (met->second == samples) {
      row.flops_source = "confirmed";
      row.confirmed_samples = samples;
      row.flops_note = fmt::format(
          "not counted at this shape; the executed formula met {} counted "
          "samples at small shapes",
          samples);
    } else {
      row.flops_note = fmt::format("{} {} of {} counted samples", kFormulaMissed,
                                   samples - met->second, samples);
    }
  } else {
    row.flops_note = evidence.none_because;
  }
  SetRatio(row);
}

/// The total's FLOPs are the sum of its rows', where every row has them from the same source.
void SetTotalFlops(Record& total, std::span<const Record> rows) {
  const Record& first = rows.front();
  const auto same_source = [&](const Record& row) {
    return row.flops_source == first.flops_source;
  };
  const bool all_measured =
      std::ranges::all_of(rows, [](const Record& row) { return row.measured_flops.has_value(); });
  const bool all_executed =
      std::ranges::all_of(rows, [](const Record& row) { return row.executed_flops.has_value(); });
  if (all_executed) {
    total.executed_flops = 0;
    for (const Record& row : rows) *total.executed_flops += *row.executed_flops;
  }
  if (all_measured) {
    total.measured_flops = 0;
    for (const Record& row : rows) *total.measured_flops += *row.measured_flops;
  }
  if (std::ranges::all_of(rows, same_source)) {
    total.flops_source = first.flops_source;
    total.confirmed_samples = first.confirmed_samples;
    total.flops_note = first.flops_note;
  } else {
    total.flops_note = "the operations' sources differ";
  }
  SetRatio(total);
}

/// What op i of the list did: its accounting, its counts and its times. `base` has what all rows
/// share. Of several ranks, shapes are the first's, and FLOPs and bytes those of all.
Record OpRow(const MeasuredRun& run, const Record& base, std::span<const RankList> lists,
             std::size_t i, const FlopsEvidence& evidence) {
  const Op& op = lists.front().ops[i];
  Record row = base;
  row.op = op.name();
  row.kind = KindName(op.kind);
  row.m = op.m;
  row.n = op.n;
  if (op.k > 0) row.k = op.k;
  row.count = TotalCount(op, run.shape);
  row.predicted_flops = SumOverRanks(lists, i, [&](const RankList& list, const Op& own) {
    return std::optional(OpFlops(list.model, list.shape, own, run.convention));
  });
  row.executed_flops = SumOverRanks(lists, i, [&](const RankList& list, const Op& own) {
    return ExecutedFlops(list.model, list.shape, own, run.kernels);
  });
  const CounterFigures* figures = evidence.counters ? &evidence.counters->by_op[i] : nullptr;
  if (figures != nullptr) SetCounters(row, *figures);
  SetMeasuredFlops(row, op.id, *row.count / op.products, figures, evidence);
  SetBytes(row, *SumOverRanks(lists, i, [](const RankList& list, const Op& own) {
             return std::optional(OpBytes(list.model, list.shape, own));
           }));
  return row;
}

/// The sums over the ops' rows, and the pass's own times.
Record TotalRow(const Record& base, std::span<const Record> rows, std::span<const Trial> trials,
                int64_t executed_flops) {
  Record total = base;
  total.op = total.kind = "total";
  total.predicted_flops = 0;
  int64_t bytes = 0;
  for (const Record& row : rows) {
    total.predicted_flops = CheckedAdd(*total.predicted_flops, *row.predicted_flops);
    bytes = CheckedAdd(bytes, *row.bytes);
  }
  SetTotalFlops(total, rows);
  SetBytes(total, bytes);
  Samples passes{.trials = trials, .seconds = {}};
  std::vector<double> imbalances;
  for (const Trial& trial : trials) {
    passes.seconds.push_back(trial.pass_s);
    if (trial.pass_imbalance) imbalances.push_back(*trial.pass_imbalance);
  }
  SetTimes(total, std::move(passes), executed_flops);
  if (!imbalances.empty()) total.imbalance = Median(imbalances);
  for (const Trial& trial : trials) total.peak_samples_gflops.push_back(trial.peak() / 1e9);
  return total;
}

/// What the whole model would take if its other layers ran like those that did. Its time is an
/// extrapolation, in a row of its own: it has no repetitions and no spread.
Record ExtrapolatedRow(const MeasuredRun& run, const Record& base, std::span<const Trial> trials) {
  Record whole = base;
  whole.op = "total_extrapolated";
  whole.kind = "extrapolated";
  whole.repetitions = 0;
  const std::vector<RankList> lists = ListsOfRanks(run, run.WholeShape());
  whole.predicted_flops = 0;
  for (const RankList& list : lists) {
    whole.predicted_flops = CheckedAdd(*whole.predicted_flops,
                                       CountFlops(list.model, list.shape, run.convention).total);
  }
  whole.time_s = ExtrapolatePass(run, trials, std::nullopt).seconds;
  whole.gflops = static_cast<double>(*whole.predicted_flops) / *whole.time_s / 1e9;
  whole.mfu_pct = 100 * *whole.gflops / *whole.peak_gflops;
  whole.pct_peak = 100 * static_cast<double>(FlopsExecuted(run, lists)) / *whole.time_s /
                   (*whole.peak_gflops * 1e9);
  whole.flops_note = "extrapolated from the layers that ran, not measured";
  return whole;
}

}  // namespace

int64_t FlopsExecuted(const ModelConfig& model, const RunShape& shape, const Op& op,
                      const KernelFacts& kernels) {
  const auto executed = ExecutedFlops(model, shape, op, kernels);
  return executed ? *executed : OpFlops(model, shape, op, Convention::kCausal);
}

std::vector<Record> MakeRecords(const MeasuredRun& run, std::span<const Trial> trials,
                                const FlopsEvidence& evidence) {
  const Record base = BaseRecord(run, trials);
  const std::vector<RankList> lists = ListsOfRanks(run, run.shape);
  std::vector<Record> rows;
  for (std::size_t i = 0; i < lists.front().ops.size(); ++i) {
    Record& row = rows.emplace_back(OpRow(run, base, lists, i, evidence));
    Samples samples{.trials = trials, .seconds = {}};
    std::vector<double> imbalances;
    for (const Trial& trial : trials) {
      samples.seconds.push_back(trial.op_s[i]);
      if (!trial.op_imbalance.empty()) imbalances.push_back(trial.op_imbalance[i]);
    }
    SetTimes(row, std::move(samples), FlopsExecuted(run, lists, i));
    if (!imbalances.empty()) row.imbalance = Median(imbalances);
  }
  rows.push_back(TotalRow(base, rows, trials, FlopsExecuted(run, lists)));
  if (run.shape.num_layers < run.model.num_layers) {
    rows.push_back(ExtrapolatedRow(run, base, trials));
  }
  return rows;
}

}  // namespace flopledger
