#include "bench/gate/decision.h"

#include <fmt/format.h>

#include "analysis/regression/row_state.h"
#include "analysis/text/stats.h"

namespace flopledger {
namespace {

/// The verdict on a row that failed or was odd in one of its runs.
RowVerdict WhyItBrokeOff(const RowHistory& history, const Metric& metric) {
  if (history.missing[0] || history.missing[1]) {
    return {Decision::kNotComparable,
            fmt::format("missing in a later run of the {}", SideName(history.missing[1]))};
  }
  if (const auto state = VerdictOnState(&history.last[0], &history.last[1])) return *state;
  if (const auto odd = VerdictOnValues(history.last[0], history.last[1], metric)) return *odd;
  return {Decision::kNotComparable, "one of its runs left no value"};
}

RowReport ReportRow(const GateRow& row, const TimedRow& timed, const RowHistory& history,
                    const GateRule& rule) {
  RowReport report;
  if (row.broke_off) {
    report = NotTimed(timed.name, WhyItBrokeOff(history, timed.metric));
  } else {
    const bool rate = timed.metric.higher_is_better;
    const auto shown = [&](const std::vector<BlockRatio>& blocks) {
      const auto estimate = EstimateOf(blocks, rule);
      return estimate && rate ? Inverse(*estimate) : estimate;
    };
    report.name = timed.name;
    report.decision = row.decision;
    report.reason = timed.remark;
    report.sentence = ExplainRow(row, rule, rate);
    report.estimate = shown(row.blocks);
    report.confirmation = shown(row.fresh);
  }
  report.metric = timed.metric;
  const auto median = [&](int side, const std::string& name) -> std::optional<double> {
    const auto found = history.values[side].find(name);
    if (found == history.values[side].end()) return std::nullopt;
    return Median(found->second);
  };
  report.baseline = median(0, timed.metric.name);
  report.candidate = median(1, timed.metric.name);
  for (const auto& [name, values] : history.values[0]) {
    const auto other = median(1, name);
    if (!other || name == timed.metric.name || IsTime({.name = name})) continue;
    report.quantities.push_back({name, Median(values), *other});
  }
  return report;
}

void AddSettled(const Pilot& pilot, GateReport& report) {
  report.rows.insert(report.rows.end(), pilot.settled.begin(), pilot.settled.end());
  Conclude(report);
}

}  // namespace

void ReportRows(const GateSettings& settings, const Pilot& pilot, const Timing& timing,
                GateReport& report) {
  report.slots = timing.slots();
  const auto& rows = timing.schedule().rows();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    report.rows.push_back(ReportRow(rows[i], pilot.rows[i], timing.history(i), settings.rule));
  }
  AddSettled(pilot, report);
}

void ReportExact(const Pilot& pilot, GateReport& report) {
  for (const TimedRow& row : pilot.rows) {
    report.rows.push_back(NotTimed(
        row.name,
        {Decision::kInconclusive, "not timed, for exact counters of another row changed"}));
    report.rows.back().metric = row.metric;
  }
  AddSettled(pilot, report);
  report.headline =
      fmt::format("the FLOPs of {} of {} rows changed; none was timed (--flops-may-change)",
                  pilot.exact.size(), report.rows.size());
}

}  // namespace flopledger
