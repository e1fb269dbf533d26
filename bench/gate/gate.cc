#include "bench/gate/gate.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>

#include "analysis/regression/benchmark_json.h"
#include "analysis/regression/saved_runs.h"
#include "analysis/text/stats.h"
#include "bench/machine/interrupt.h"
#include "bench/machine/machine.h"
#include "bench/machine/process.h"
#include "bench/machine/stopwatch.h"
#include "model/input_error.h"
#include "model/json.h"

namespace flopledger {
namespace {

using nlohmann::json;

constexpr int kSamples = 3;             // repetitions of which a run's value is the median
constexpr double kSampleSeconds = 0.1;  // each at least this long
constexpr double kWarmUpSeconds = 0.5;  // of repetitions before them, at least one, discarded
constexpr double kShortest = 0.8;       // of a repetition, to one of the same iterations before
constexpr int kMostWarmUps = 50;

const char* SideName(bool candidate) { return candidate ? "candidate" : "baseline"; }

template <class Names>
std::string FirstFew(const Names& names) {
  constexpr std::size_t kMost = 5;
  const std::vector<std::string> all(names.begin(), names.end());
  const auto shown = std::min(all.size(), kMost);
  std::string text =
      fmt::format("{}", fmt::join(all.begin(), all.begin() + static_cast<long>(shown), ", "));
  if (all.size() > kMost) text += fmt::format(", +{} more", all.size() - kMost);
  return text;
}

/// Runs either binary from a private folder, at paths of equal length.
class Runner {
 public:
  explicit Runner(const GateSettings& settings) : settings_(settings) {
    for (const bool candidate : {false, true}) {
      std::filesystem::create_directory(folder_.path(Letter(candidate)));
      const auto& binary = candidate ? settings.candidate : settings.baseline;
      std::filesystem::create_symlink(std::filesystem::absolute(binary),
                                      Path(candidate, "benchmark"));
      stamps_[candidate] = StampOf(candidate);
    }
  }

  /// One run with these flags after the user's. Throws CannotMeasure where it leaves no results.
  BenchmarkFile Run(bool candidate, const std::vector<std::string>& flags) const {
    const std::string results = Path(candidate, "results.json"), log = Path(candidate, "log.txt");
    std::vector<std::string> words{Path(candidate, "benchmark")};
    words.insert(words.end(), settings_.arguments.begin(), settings_.arguments.end());
    words.insert(words.end(), flags.begin(), flags.end());
    words.push_back("--benchmark_report_aggregates_only=false");
    words.push_back("--benchmark_out_format=json");
    words.push_back("--benchmark_out=" + results);
    std::error_code ignored;
    std::filesystem::remove(results, ignored);
    if (StampOf(candidate) != stamps_[candidate]) {
      throw CannotMeasure(fmt::format("{} was built anew while it was gated", SideName(candidate)));
    }
    const ChildResult child = RunChild(
        words, {.folder = "", .log = log, .errors = "", .time_limit_s = settings_.time_limit_s});
    if (child.end == ChildResult::End::kInterrupted) throw Interrupted{};
    const auto fail = [&](const std::string& what) -> CannotMeasure {
      const std::string said = LastWords(log);
      return CannotMeasure(fmt::format("{} {}{}{}", SideName(candidate), what,
                                       said.empty() ? "" : "; it said: ", said));
    };
    if (child.end == ChildResult::End::kTimedOut) {
      throw fail(child.ToText() + " (--time-limit)");
    }
    if (!child.ok()) throw fail(child.ToText());
    if (!std::filesystem::exists(results, ignored)) {
      throw fail("left no results: it does not know --benchmark_out, or ran nothing");
    }
    BenchmarkFile file;
    try {
      file = BenchmarkFromJson(ParseLooseJson(ReadTextFile(results), "its results"), "its results");
    } catch (const InputError& error) {
      throw fail(fmt::format("left no results that can be read: {}", error.what()));
    }
    CheckRows(candidate, file);
    return file;
  }

  /// A path of the side's own; both sides' are equally long.
  std::string Path(bool candidate, const std::string& name) const {
    return folder_.path(Letter(candidate)) + "/" + name;
  }

 private:
  static std::string Letter(bool candidate) { return candidate ? "b" : "a"; }

  /// What tells a file from another build at the same path.
  using Stamp = std::pair<std::uintmax_t, std::filesystem::file_time_type>;
  Stamp StampOf(bool candidate) const {
    const std::string path = Path(candidate, "benchmark");
    std::error_code gone;  // then both are what no file has
    return {std::filesystem::file_size(path, gone), std::filesystem::last_write_time(path, gone)};
  }

  static void CheckRows(bool candidate, const BenchmarkFile& file) {
    if (file.rows.empty()) {
      throw CannotMeasure(fmt::format(
          "{} {}", SideName(candidate),
          file.has_aggregates
              ? "reports aggregates only (ReportAggregatesOnly in its source): the gate reads "
                "repetitions"
              : "has no row: does --benchmark_filter match any?"));
    }
    for (const BenchmarkRow& row : file.rows) {
      const auto fail = [&](const std::string& what) {
        throw CannotMeasure(fmt::format("{}: row {} {}", SideName(candidate), row.name, what));
      };
      if (!row.error.empty()) fail("skipped itself: " + OneLine(row.error));
      if (row.duplicate_name) fail("is the name of two benchmarks, which cannot be told apart");
      for (const double seconds : row.seconds) {
        if (!(seconds > 0) || !std::isfinite(seconds)) fail("took no time that can be compared");
      }
    }
  }

  const GateSettings& settings_;
  PrivateFolder folder_;
  Stamp stamps_[2];
};

/// What one untimed repetition of each binary tells.
struct Pilot {
  std::vector<std::string> rows;
  std::vector<std::vector<std::string>> exact;  // differences of each row
  std::string not_comparable;                   // why not; else empty
  std::vector<std::string> warnings;
  int warm_ups = 1;
  json context;
};

std::map<std::string, double> ExactCounters(const BenchmarkRow& row,
                                            const std::vector<std::string>& more) {
  std::map<std::string, double> exact;
  for (const auto& [name, values] : row.counters) {
    if (IsExactCounter(name) || std::ranges::find(more, name) != more.end()) {
      exact[name] = Median(values);
    }
  }
  return exact;
}

/// Why rows of these two cannot be compared at all; empty where they can.
std::string BuildDifference(const json& baseline, const json& candidate) {
  for (const char* key : {"library_build_type", "build"}) {
    const json a = baseline.value(key, json()), b = candidate.value(key, json());
    if (a != b)
      return fmt::format("{} differs: A {}, B {} (--across-builds)", key, a.dump(), b.dump());
  }
  return "";
}

void CompareRowNames(const BenchmarkFile& baseline, const BenchmarkFile& candidate, Pilot& pilot) {
  std::vector<std::string> missing, extra;
  for (const BenchmarkRow& row : baseline.rows) {
    (candidate.Find(row.name) != nullptr ? pilot.rows : missing).push_back(row.name);
  }
  for (const BenchmarkRow& row : candidate.rows) {
    if (baseline.Find(row.name) == nullptr) extra.push_back(row.name);
  }
  if (!missing.empty()) pilot.not_comparable = "the candidate lacks rows: " + FirstFew(missing);
  if (!extra.empty()) {
    pilot.not_comparable += fmt::format("{}the baseline lacks rows: {}",
                                        pilot.not_comparable.empty() ? "" : "; ", FirstFew(extra));
  }
}

Pilot RunPilot(const GateSettings& settings, const Runner& runner) {
  const std::vector<std::string> flags{"--benchmark_repetitions=1",
                                       fmt::format("--benchmark_min_time={}", kSampleSeconds)};
  const BenchmarkFile baseline = runner.Run(false, flags), candidate = runner.Run(true, flags);
  Pilot pilot;
  pilot.context = {{"baseline", baseline.context}, {"candidate", candidate.context}};
  if (!settings.across_builds) {
    pilot.not_comparable = BuildDifference(baseline.context, candidate.context);
    if (!pilot.not_comparable.empty()) return pilot;
  }
  CompareRowNames(baseline, candidate, pilot);
  for (const std::string& counter : settings.exact) {
    const bool known = std::ranges::any_of(
        baseline.rows, [&](const BenchmarkRow& row) { return row.counters.contains(counter); });
    if (!known) pilot.not_comparable = fmt::format("no row has a counter '{}' (--exact)", counter);
  }
  if (!pilot.not_comparable.empty()) return pilot;

  std::vector<std::string> short_rows;
  for (const std::string& name : pilot.rows) {
    const BenchmarkRow &a = *baseline.Find(name), &b = *candidate.Find(name);
    auto& exact = pilot.exact.emplace_back();
    for (const ExactDifference& difference :
         ExactDifferences(ExactCounters(a, settings.exact), ExactCounters(b, settings.exact))) {
      exact.push_back(difference.ToText());
    }
    const double repetition_s = std::min(a.repetition_s.back(), b.repetition_s.back());
    if (repetition_s < 0.9 * kSampleSeconds) {
      short_rows.push_back(name);
      continue;
    }
    pilot.warm_ups = std::max(
        pilot.warm_ups, static_cast<int>(std::ceil(kWarmUpSeconds / (kShortest * repetition_s))));
  }
  pilot.warm_ups = std::min(pilot.warm_ups, kMostWarmUps);
  if (!short_rows.empty()) {
    pilot.warnings.push_back(
        fmt::format("repetitions of less than {} s, for these rows fix their own iterations: {}",
                    kSampleSeconds, FirstFew(short_rows)));
  }
  return pilot;
}

/// Medians of every run of one row: its seconds and its counters, A and B.
struct RowHistory {
  std::vector<double> seconds[2];
  std::map<std::string, std::vector<double>> counters[2];
};

/// Feeds a schedule from real runs, and keeps every run.
class Timing {
 public:
  Timing(const GateSettings& settings, const Runner& runner, const Pilot& pilot)
      : settings_(settings),
        runner_(runner),
        pilot_(pilot),
        schedule_(settings.rule, pilot.rows, settings.seed),
        history_(pilot.rows.size()) {}

  /// Until every row is decided, or `enough` says so after a block.
  template <class Enough>
  void Run(Progress& progress, Enough&& enough) {
    auto before = MeasureSentinel();
    int blocks = 0;
    while (const auto request = schedule_.Next()) {
      if (interrupted) throw Interrupted{};
      progress.Show(fmt::format("block {}, run {} of 4 ({}), {} row{} undecided",
                                request->block + 1, request->slot + 1, SideName(request->candidate),
                                request->rows.size(), request->rows.size() == 1 ? "" : "s"));
      before = RunSlot(*request, before);
      if (schedule_.blocks_done() > blocks && enough(blocks = schedule_.blocks_done())) break;
    }
    progress.Clear();
  }

  const GateSchedule& schedule() const { return schedule_; }
  const json& slots() const { return slots_; }
  const RowHistory& history(std::size_t row) const { return history_[row]; }

 private:
  std::optional<double> MeasureSentinel() const {
    if (!settings_.sentinel) return std::nullopt;
    return settings_.sentinel();
  }

  /// Runs and feeds one slot; the sentinel after it is the one before the next.
  std::optional<double> RunSlot(const SlotRequest& request, std::optional<double> before) {
    std::vector<std::string> flags{
        fmt::format("--benchmark_repetitions={}", pilot_.warm_ups + kSamples),
        fmt::format("--benchmark_min_time={}", kSampleSeconds)};
    std::vector<std::string> names;
    for (const std::size_t row : request.rows) names.push_back(pilot_.rows[row]);
    if (names.size() < pilot_.rows.size()) flags.push_back(FilterOf(names));
    const auto start = Clock::now();
    const BenchmarkFile file = runner_.Run(request.candidate, flags);
    const double seconds = SecondsSince(start);
    const auto after = MeasureSentinel();

    json rows = json::object();
    SlotResult result;
    if (before && after) result.sentinel = (*before + *after) / 2;
    for (std::size_t i = 0; i < names.size(); ++i) {
      result.seconds.push_back(TakeRow(request, request.rows[i], file, rows));
    }
    if (file.rows.size() != names.size()) {
      throw CannotMeasure(fmt::format("{}: its rows change between runs: {} where {} stood before",
                                      SideName(request.candidate), file.rows.size(), names.size()));
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

  /// The median of a row's last repetitions; those before were its warm-up.
  double TakeRow(const SlotRequest& request, std::size_t index, const BenchmarkFile& file,
                 json& rows) {
    const std::string& name = pilot_.rows[index];
    const BenchmarkRow* row = file.Find(name);
    if (row == nullptr) {
      throw CannotMeasure(fmt::format("{}: its rows change between runs: {} is missing",
                                      SideName(request.candidate), name));
    }
    const auto n = row->seconds.size();
    if (n < kSamples + 1) {
      throw CannotMeasure(
          fmt::format("{}: row {} ran {} repetition{} where {} were asked for: it sets its own; at "
                      "least {} are "
                      "needed",
                      SideName(request.candidate), name, n, n == 1 ? "" : "s",
                      pilot_.warm_ups + kSamples, kSamples + 1));
    }
    double warm_up_s = 0;
    for (std::size_t i = 0; i + kSamples < n; ++i) warm_up_s += row->repetition_s[i];
    const auto last = [&](const std::vector<double>& values) {
      const auto count = std::min<std::size_t>(values.size(), kSamples);
      return std::vector<double>(values.end() - static_cast<long>(count), values.end());
    };
    const std::vector<double> samples = last(row->seconds);
    rows[name] = {{"warm_up_s", warm_up_s}, {"samples_s", samples}};
    RowHistory& history = history_[index];
    history.seconds[request.candidate].push_back(Median(samples));
    for (const auto& [counter, values] : row->counters) {
      history.counters[request.candidate][counter].push_back(Median(last(values)));
    }
    return Median(samples);
  }

  const GateSettings& settings_;
  const Runner& runner_;
  const Pilot& pilot_;
  GateSchedule schedule_;
  std::vector<RowHistory> history_;
  json slots_ = json::array();
};

RowReport ReportRow(const GateRow& row, const RowHistory& history, const GateRule& rule) {
  RowReport report{.name = row.name,
                   .decision = row.decision,
                   .sentence = ExplainRow(row, rule),
                   .estimate = EstimateOf(row.blocks, rule),
                   .confirmation = EstimateOf(row.fresh, rule),
                   .baseline_s = {},
                   .candidate_s = {},
                   .quantities = {}};
  if (!history.seconds[0].empty()) report.baseline_s = Median(history.seconds[0]);
  if (!history.seconds[1].empty()) report.candidate_s = Median(history.seconds[1]);
  for (const auto& [name, values] : history.counters[0]) {
    const auto other = history.counters[1].find(name);
    if (other == history.counters[1].end()) continue;
    report.quantities.push_back({name, Median(values), Median(other->second)});
  }
  return report;
}

/// Rows whose FLOPs changed, where that decides; nothing is timed then.
void ReportExact(const Pilot& pilot, GateReport& report) {
  for (std::size_t i = 0; i < pilot.rows.size(); ++i) {
    if (pilot.exact[i].empty()) continue;
    report.rows.push_back({.name = pilot.rows[i],
                           .decision = Decision::kFail,
                           .sentence = fmt::format("FAIL {}: {}. Exact, so nothing was timed.",
                                                   pilot.rows[i], fmt::join(pilot.exact[i], "; ")),
                           .estimate = {},
                           .confirmation = {},
                           .baseline_s = {},
                           .candidate_s = {},
                           .quantities = {}});
  }
  Conclude(report);
  report.headline = fmt::format(
      "the FLOPs of {} of {} rows changed; none was timed "
      "(--flops-may-change)",
      report.rows.size(), pilot.rows.size());
}

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
          {"sample_s", kSampleSeconds},
          {"warm_up_s", kWarmUpSeconds},
          {"machine", ToJson(DescribeMachine())}};
}

void RunTiming(const GateSettings& settings, const Runner& runner, const Pilot& pilot,
               Progress& progress, GateReport& report) {
  Timing timing(settings, runner, pilot);
  std::string stopped;
  Decision because = Decision::kInconclusive;
  try {
    timing.Run(progress, [](int) { return false; });
  } catch (const Interrupted&) {
    stopped = fmt::format("interrupted after {} whole blocks", timing.schedule().blocks_done());
  } catch (const CannotMeasure& error) {
    stopped = error.what();
    because = Decision::kNotComparable;
  }
  report.slots = timing.slots();
  const auto& rows = timing.schedule().rows();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    report.rows.push_back(ReportRow(rows[i], timing.history(i), settings.rule));
  }
  Conclude(report);
  if (stopped.empty()) return;
  // An interruption is no answer; a crash does not undo the FAIL of another row.
  report.decision = because == Decision::kInconclusive ? because : Worse(report.decision, because);
  report.headline = stopped + "; " + report.headline;
}

/// Whether both run the same code. Two files of one content may not: where they look for libraries
/// beside themselves.
bool AreIdentical(const std::string& a, const std::string& b) {
  if (std::filesystem::equivalent(a, b)) return true;
  if (std::filesystem::file_size(a) != std::filesystem::file_size(b)) return false;
  const std::string content = ReadTextFile(a);
  return content == ReadTextFile(b) && content.find("$ORIGIN") == std::string::npos;
}

}  // namespace

void CheckGateSettings(const GateSettings& settings) {
  for (const bool candidate : {false, true}) {
    const std::string& path = candidate ? settings.candidate : settings.baseline;
    std::error_code ignored;
    if (!std::filesystem::is_regular_file(path, ignored)) {
      throw InputError(fmt::format("{} '{}': no such file", SideName(candidate), path));
    }
    if (access(path.c_str(), X_OK) != 0) {
      throw InputError(fmt::format("{} '{}': is not executable", SideName(candidate), path));
    }
  }
  CheckGateArguments(settings);
}

void CheckGateArguments(const GateSettings& settings) {
  for (const std::string& word : settings.arguments) {
    for (const char* flag :
         {"--benchmark_out", "--benchmark_out_format", "--benchmark_repetitions",
          "--benchmark_min_time", "--benchmark_list_tests", "--benchmark_report_aggregates_only"}) {
      if (word.substr(0, word.find('=')) != flag) continue;
      throw InputError(fmt::format("{} is set by the gate itself", flag));
    }
  }
}

std::string FilterOf(const std::vector<std::string>& rows) {
  std::vector<std::string> escaped;  // for POSIX's grammar and for ECMAScript's
  for (const std::string& row : rows) {
    std::string& text = escaped.emplace_back();
    for (const char c : row) {
      if (std::string_view(".[]{}()\\*+?^$|").find(c) != std::string_view::npos) text += '\\';
      text += c;
    }
  }
  return fmt::format("--benchmark_filter=^({})$", fmt::join(escaped, "|"));
}

GateReport RunGate(const GateSettings& settings, Progress& progress) {
  GateReport report;
  report.settings = DescribeSettings(settings);
  if (!settings.time_identical && AreIdentical(settings.baseline, settings.candidate)) {
    report.decision = Decision::kPass;
    report.headline = "the binaries are identical, byte for byte; nothing was timed";
    return report;
  }
  try {
    const Runner runner(settings);
    progress.Show("pilot: one repetition of each binary");
    const Pilot pilot = RunPilot(settings, runner);
    report.settings["context"] = pilot.context;
    report.settings["warm_up_repetitions"] = pilot.warm_ups;
    report.warnings = pilot.warnings;
    if (!pilot.not_comparable.empty()) throw CannotMeasure(pilot.not_comparable);
    std::vector<std::string> changed;
    for (std::size_t i = 0; i < pilot.rows.size(); ++i) {
      if (pilot.exact[i].empty()) continue;
      changed.push_back(fmt::format("{}: {}", pilot.rows[i], fmt::join(pilot.exact[i], "; ")));
    }
    if (!changed.empty() && !settings.flops_may_change) {
      ReportExact(pilot, report);
      return report;
    }
    report.warnings.insert(report.warnings.end(), changed.begin(), changed.end());
    RunTiming(settings, runner, pilot, progress, report);
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
  const Runner runner(against_itself);
  try {
    const auto start = Clock::now();
    const auto elapsed = [&] { return SecondsSince(start); };
    const Pilot pilot = RunPilot(against_itself, runner);
    if (!pilot.not_comparable.empty()) throw CannotMeasure(pilot.not_comparable);
    Timing timing(against_itself, runner, pilot);
    timing.Run(progress, [&](int blocks) {
      return blocks >= 3 && elapsed() * (blocks + 1) / blocks > seconds;
    });
    Plan plan;
    plan.seconds = elapsed();
    plan.contamination = Contamination(timing.schedule().rows().front().blocks, settings.rule);
    for (const GateRow& row : timing.schedule().rows()) {
      plan.rows.push_back({row.name, *EstimateOf(row.blocks, settings.rule)});
    }
    return plan;
  } catch (const Interrupted&) {
    throw CannotMeasure("interrupted before sigma was known");
  }
}

}  // namespace flopledger
