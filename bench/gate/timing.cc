#include "bench/gate/timing.h"

#include <fmt/format.h>

#include <algorithm>

#include "analysis/regression/row_state.h"
#include "analysis/text/numbers.h"
#include "analysis/text/stats.h"
#include "bench/machine/interrupt.h"
#include "bench/machine/stopwatch.h"

namespace flopledger {
namespace {

using nlohmann::json;

/// The repetitions that count: the last three, or where a row sets fewer of its own, all but the
/// first of them.
std::vector<double> Samples(const std::vector<double>& values) {
  const std::size_t count =
      std::min<std::size_t>(kSamples, std::max<std::size_t>(values.size() - 1, 1));
  return {values.end() - static_cast<long>(count), values.end()};
}

std::vector<std::string> LabelsOf(const Pilot& pilot) {
  std::vector<std::string> labels;
  for (const TimedRow& row : pilot.rows) {
    RowReport report;
    report.name = row.name;
    report.metric = row.metric;
    labels.push_back(LabelOf(report));
  }
  return labels;
}

}  // namespace

Timing::Timing(const GateSettings& settings, Runner& runner, const Pilot& pilot)
    : settings_(settings),
      runner_(runner),
      pilot_(pilot),
      schedule_(settings.rule, LabelsOf(pilot), settings.seed),
      history_(pilot.rows.size()) {}

void Timing::Run(Progress& progress, std::optional<double> seconds) {
  const auto start = Clock::now();
  auto before = MeasureSentinel();
  int blocks = 0;
  while (const auto request = schedule_.Next()) {
    ThrowIfInterrupted();
    progress.Show(ProgressLine(*request, SecondsSince(start), seconds));
    before = RunSlot(*request, before);
    if (!seconds || schedule_.blocks_done() == blocks) continue;
    blocks = schedule_.blocks_done();
    // One more block would take longer than is left.
    if (blocks >= 3 && SecondsSince(start) * (blocks + 1) / blocks > *seconds) break;
  }
  progress.Clear();
}

std::optional<double> Timing::MeasureSentinel() const {
  if (!settings_.sentinel) return std::nullopt;
  return settings_.sentinel();
}

std::string Timing::ProgressLine(const SlotRequest& request, double elapsed_s,
                                 std::optional<double> limit_s) const {
  const GateRule& rule = settings_.rule;
  std::string blocks, left;
  if (limit_s) {
    left = fmt::format("about {} left", RoughSeconds(std::max(0.0, *limit_s - elapsed_s)));
  } else {
    const bool first = request.block < rule.first_blocks;
    const int most = first ? rule.first_blocks : 2 * rule.most_blocks;
    const double seconds = std::max(0, 4 * (most - request.block) - request.slot) * pilot_.slot_s;
    blocks = fmt::format(" of {}{}", first ? "" : "at most ", most);
    left = fmt::format("{} {} left{}", first ? "about" : "at most", RoughSeconds(seconds),
                       first ? " to the first decision" : "");
  }
  return fmt::format("block {}{}, run {} of 4 ({}), {} row{} undecided; {}", request.block + 1,
                     blocks, request.slot + 1, SideName(request.candidate), request.rows.size(),
                     Plural(std::ssize(request.rows)), left);
}

/// Runs and feeds one slot; the sentinel after it is the one before the next.
std::optional<double> Timing::RunSlot(const SlotRequest& request, std::optional<double> before) {
  std::vector<std::string> names;
  for (const std::size_t row : request.rows) {
    const std::string& name = pilot_.rows[row].name;  // several metrics of one row stand together
    if (names.empty() || names.back() != name) names.push_back(name);
  }
  if (request.rows.size() == pilot_.rows.size() && pilot_.settled.empty()) names.clear();
  const auto start = Clock::now();
  const BenchmarkFile file =
      runner_.RunRepeated(request.candidate, pilot_.warm_ups + kSamples, pilot_.sample_s, names);
  const double seconds = SecondsSince(start);
  const auto after = MeasureSentinel();

  json rows = json::object();
  SlotResult result;
  if (before && after) result.sentinel = (*before + *after) / 2;
  for (const std::size_t row : request.rows) {
    result.costs.push_back(TakeRow(request, row, file, rows));
  }
  slots_.push_back({{"block", request.block},
                    {"slot", request.slot},
                    {"binary", request.candidate ? "B" : "A"},
                    {"seconds", seconds},
                    {"sentinel_before", before ? json(*before) : json()},
                    {"sentinel_after", after ? json(*after) : json()},
                    {"rows", std::move(rows)}});
  schedule_.Feed(result);
  return after;
}

/// The cost of a row by the median of its last repetitions (those before were its warm-up); absent
/// where this run has none.
std::optional<double> Timing::TakeRow(const SlotRequest& request, std::size_t index,
                                      const BenchmarkFile& file, json& rows) {
  const TimedRow& timed = pilot_.rows[index];
  RowHistory& history = history_[index];
  const BenchmarkRow* row = file.Find(timed.name);
  if (row == nullptr) {
    history.missing[request.candidate] = true;
    return std::nullopt;
  }
  BenchmarkRow& last = history.last[request.candidate];
  const bool was_odd = VerdictOnState(&last, &last) || VerdictOnValues(last, last, timed.metric);
  if (last.name.empty() || !was_odd) last = *row;
  if (VerdictOnState(row, row) || VerdictOnValues(*row, *row, timed.metric)) return std::nullopt;
  for (const auto& [name, values] : row->values) {
    if (!MedianOf(*row, name)) continue;
    history.values[request.candidate][name].push_back(Median(Samples(values)));
  }
  const std::vector<double> samples = Samples(row->values.at(timed.metric.name));
  double warm_up_s = 0;
  for (std::size_t i = 0; i + samples.size() < row->repetition_s.size(); ++i) {
    warm_up_s += row->repetition_s[i];
  }
  rows[timed.name]["warm_up_s"] = warm_up_s;
  rows[timed.name]["samples"][timed.metric.name] = samples;
  const double value = Median(samples);
  return timed.metric.higher_is_better ? 1 / value : value;
}

}  // namespace flopledger
