#include "bench/gate/gate.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "analysis/text/numbers.h"
#include "bench/gate/decision.h"
#include "bench/gate/identical.h"
#include "bench/gate/pilot.h"
#include "bench/gate/runner.h"
#include "bench/gate/timing.h"
#include "bench/machine/interrupt.h"
#include "bench/machine/machine.h"
#include "bench/machine/stopwatch.h"
#include "model/input_error.h"

namespace flopledger {
namespace {

using nlohmann::json;

json DescribeSettings(const GateSettings& settings) {
  const GateRule& rule = settings.rule;
  return {{"baseline", settings.baseline},
          {"candidate", settings.candidate},
          {"arguments", settings.arguments},
          {"seed", settings.seed},
          {"budget", rule.budget},
          {"confidence", rule.confidence},
          {"power", rule.power},
          {"first_blocks", rule.first_blocks},
          {"most_blocks", rule.most_blocks},
          {"sentinel_limit", rule.sentinel_limit},
          {"samples", kSamples},
          {"warm_up_s", settings.warm_up_s},
          {"machine", ToJson(DescribeMachine())}};
}

/// How long it will take: all blocks of the first look, and of a row that is decided last.
void SayHowLong(const Pilot& pilot, const GateRule& rule, Progress& progress) {
  const double block_s = 4 * pilot.slot_s;
  const double first = rule.first_blocks * block_s, most = 2 * rule.most_blocks * block_s;
  progress.Say(fmt::format(
      "{} row{} to time: about {} for {} blocks; at most {} where rows take longer to decide",
      pilot.rows.size(), pilot.rows.size() == 1 ? "" : "s", HumanSeconds(first), rule.first_blocks,
      HumanSeconds(most)));
}

void RunTiming(const GateSettings& settings, Runner& runner, const Pilot& pilot, Progress& progress,
               GateReport& report) {
  Timing timing(settings, runner, pilot);
  std::string stopped;
  Decision because = Decision::kInconclusive;
  try {
    timing.Run(progress);
  } catch (const Interrupted&) {
    stopped = fmt::format("interrupted after {} whole blocks", timing.schedule().blocks_done());
  } catch (const CannotMeasure& error) {
    stopped = error.what();
    because = Decision::kNotComparable;
  }
  ReportRows(settings, pilot, timing, report);
  if (runner.repeats_by_runs()) {
    report.warnings.emplace_back(
        "the baseline fails when it is asked for single rows or for repetitions: each repetition "
        "was a run of its own");
  }
  if (stopped.empty()) return;
  // An interruption is no answer; a crash does not undo the FAIL of another row.
  const bool stays = because == Decision::kNotComparable && report.decision == Decision::kFail;
  if (!stays) report.decision = because;
  report.headline = stopped + "; " + report.headline;
}

void RunPilotAndTiming(const GateSettings& settings, Progress& progress, GateReport& report) {
  Runner runner(settings);
  progress.Show("pilot: one repetition of each binary");
  const Pilot pilot = RunPilot(settings, runner);
  report.settings["context"] = pilot.context;
  report.settings["warm_up_repetitions"] = pilot.warm_ups;
  report.settings["sample_s"] = pilot.sample_s;
  report.warnings = pilot.warnings;
  if (!pilot.not_comparable.empty()) throw CannotMeasure(pilot.not_comparable);
  if (!pilot.exact.empty()) {
    ReportExact(pilot, report);
  } else if (pilot.rows.empty()) {
    report.rows = pilot.settled;
    Conclude(report);
    report.headline += "; no row could be timed";
  } else {
    SayHowLong(pilot, settings.rule, progress);
    RunTiming(settings, runner, pilot, progress, report);
  }
}

}  // namespace

GateReport RunGate(const GateSettings& settings, Progress& progress) {
  GateReport report;
  report.allow_missing = settings.allow_missing;
  report.settings = DescribeSettings(settings);
  if (!settings.time_identical && AreIdentical(settings.baseline, settings.candidate)) {
    report.decision = Decision::kPass;
    report.headline =
        "not timed: the binaries are identical, byte for byte, and load the same libraries "
        "(--time-identical)";
    return report;
  }
  try {
    RunPilotAndTiming(settings, progress, report);
  } catch (const Interrupted&) {
    report.decision = Decision::kInconclusive;
    report.headline = "interrupted before anything was timed";
  } catch (const CannotMeasure& error) {
    report.decision = Decision::kNotComparable;
    report.headline = error.what();
  }
  return report;
}

Plan RunPlan(const GateSettings& settings, double seconds, Progress& progress) {
  GateSettings against_itself = settings;
  against_itself.candidate = settings.baseline;
  against_itself.rule.first_blocks = against_itself.rule.most_blocks = 1'000'000;  // never decides
  Runner runner(against_itself);
  try {
    const auto start = Clock::now();
    const Pilot pilot = RunPilot(against_itself, runner);
    if (!pilot.not_comparable.empty()) throw CannotMeasure(pilot.not_comparable);
    if (pilot.rows.empty()) throw CannotMeasure("no row can be timed");
    Timing timing(against_itself, runner, pilot);
    timing.Run(progress, seconds - SecondsSince(start));
    Plan plan;
    plan.seconds = SecondsSince(start);
    for (const GateRow& row : timing.schedule().rows()) {
      if (row.broke_off) continue;
      plan.rows.push_back({row.name, *EstimateOf(row.blocks, settings.rule)});
      plan.moved_sentinel = MovedSentinel(row.blocks, settings.rule);
    }
    if (plan.rows.empty()) throw CannotMeasure("no row could be timed to its end");
    return plan;
  } catch (const Interrupted&) {
    throw CannotMeasure("interrupted before sigma was known");
  }
}

}  // namespace flopledger
