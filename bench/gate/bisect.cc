#include "bench/gate/bisect.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <sstream>

#include "analysis/regression/bisect.h"
#include "bench/gate/gate.h"
#include "bench/gate/runner.h"
#include "bench/machine/files.h"
#include "bench/machine/interrupt.h"
#include "bench/machine/stopwatch.h"
#include "model/input_error.h"
#include "model/json.h"

namespace flopledger {
namespace {

using nlohmann::json;

constexpr std::string_view kPass = "PASS", kFail = "FAIL", kSkipped = "skipped";

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

json ToJson(const CommitGate& gate) {
  json estimate;
  if (const auto& e = gate.estimate) {
    estimate = {{"ratio", e->ratio},
                {"lower", e->lower},
                {"upper", e->upper},
                {"blocks", e->blocks},
                {"higher_is_better", e->higher_is_better}};
  }
  return {{"commit", gate.commit},
          {"verdict", gate.verdict},
          {"sentence", gate.sentence},
          {"estimate", std::move(estimate)}};
}

CommitGate CommitGateFromJson(const json& json) {
  CommitGate gate{json.at("commit"), json.at("verdict"), json.at("sentence"), {}};
  if (const auto& e = json.at("estimate"); e.is_object()) {
    gate.estimate = RatioEstimate{.blocks = e.at("blocks"),
                                  .ratio = e.at("ratio"),
                                  .lower = e.at("lower"),
                                  .upper = e.at("upper"),
                                  .higher_is_better = e.at("higher_is_better")};
  }
  return gate;
}

/// A run of `bisect`, from its revisions to its report.
class Search {
 public:
  Search(const BisectSettings& settings, Progress& progress, std::ostream& log)
      : settings_(settings), progress_(progress), builds_(settings.build, log) {
    good_ = builds_.Commit(settings.good);
    bad_ = builds_.Commit(settings.bad);
    // Along first parents, so that a merge stands for the branch that it brought.
    commits_ = Lines(builds_.Git({"rev-list", "--first-parent", "--reverse", good_ + ".." + bad_}));
    const auto base = Lines(builds_.Git({"merge-base", good_, bad_}));
    if (commits_.empty() || base.empty() || base.front() != good_) {
      throw InputError(
          fmt::format("--good {} is no ancestor of --bad {}", settings.good, settings.bad));
    }
    state_path_ = std::filesystem::absolute(builds_.Git(
        {"rev-parse", "--path-format=absolute", "--git-path", "flopledger-bisect.json"}));
    Resume();
  }

  BisectReport Run() {
    const auto start = Clock::now();
    const double before = report_.seconds;
    try {
      Halve();
    } catch (const CannotMeasure& error) {
      End(interrupted ? BisectReport::End::kInterrupted : BisectReport::End::kNotComparable,
          error.what());
    }
    report_.seconds = before + SecondsSince(start);
    if (report_.end == BisectReport::End::kInterrupted) {
      Save();
    } else {
      std::error_code ignored;
      std::filesystem::remove(state_path_, ignored);
    }
    return std::move(report_);
  }

 private:
  // --- State between runs ------------------------------------------------------------------------

  /// What must be equal for the answers of an interrupted run to hold.
  json Identity() const {
    json metrics = json::array();
    for (const Metric& metric : settings_.gate.metrics) metrics.push_back(metric.name);
    const GateRule& rule = settings_.gate.rule;
    return {{"good", good_},
            {"bad", bad_},
            {"preset", settings_.build.preset},
            {"target", settings_.build.target},
            {"arguments", settings_.gate.arguments},
            {"metrics", metrics},
            {"budget", rule.budget},
            {"blocks", {rule.first_blocks, rule.most_blocks}}};
  }

  void Resume() {
    if (!std::filesystem::exists(state_path_)) return;
    try {
      const json state = ParseJson(ReadTextFile(state_path_), state_path_);
      if (state.at("identity") != Identity()) {
        progress_.Say("an interrupted bisect of other revisions or settings is forgotten");
        return;
      }
      for (const json& gate : state.at("gates")) report_.gates.push_back(CommitGateFromJson(gate));
      report_.row = state.at("row");
      report_.metric = {.name = state.at("metric"),
                        .higher_is_better = state.at("higher_is_better")};
      report_.seconds = state.at("seconds");
      progress_.Say(fmt::format("resumed after {} gates", report_.gates.size()));
    } catch (const std::exception& error) {
      throw InputError(fmt::format("{}: cannot be resumed from ({}); delete it to start anew",
                                   state_path_, error.what()));
    }
  }

  void Save() const {
    json gates = json::array();
    for (const CommitGate& gate : report_.gates) gates.push_back(ToJson(gate));
    const json state{
        {"identity", Identity()},        {"row", report_.row},
        {"metric", report_.metric.name}, {"higher_is_better", report_.metric.higher_is_better},
        {"seconds", report_.seconds},    {"gates", std::move(gates)}};
    WriteWhole(state_path_, state.dump(1, ' ', false, json::error_handler_t::replace) + "\n");
  }

  // --- The search --------------------------------------------------------------------------------

  void End(BisectReport::End end, const std::string& reason) {
    report_.end = end;
    report_.reason = reason;
  }

  void Halve() {
    const CommitGate whole = AnswerOn(bad_);
    if (whole.verdict == kPass) {
      return End(BisectReport::End::kNotSlower,
                 fmt::format("{} is not slower than {}", settings_.bad, settings_.good));
    }
    if (whole.verdict != kFail) return End(end_of_no_answer_, whole.sentence);
    Bisection bisection(commits_.size());
    while (const auto next = bisection.Next()) {
      progress_.Say(fmt::format("{} commits in question, about {} gates",
                                bisection.last() - bisection.first() + 1, bisection.StepsLeft()));
      const CommitGate gate = AnswerOn(commits_[*next]);
      bisection.Note(*next, gate.verdict == kPass   ? CommitVerdict::kFast
                            : gate.verdict == kFail ? CommitVerdict::kSlow
                                                    : CommitVerdict::kSkipped);
    }
    for (std::size_t i = bisection.first(); i <= bisection.last(); ++i) {
      report_.suspects.push_back(commits_[i]);
      report_.subjects.push_back(builds_.Git({"log", "-1", "--format=%s", commits_[i]}));
    }
    report_.end = BisectReport::End::kFound;
  }

  /// The gate of this commit against the good one: from an interrupted run, or now.
  CommitGate AnswerOn(const std::string& commit) {
    const auto known = std::ranges::find(report_.gates, commit, &CommitGate::commit);
    if (known != report_.gates.end()) return *known;
    if (baseline_.empty()) baseline_ = builds_.Build(0, good_);
    CommitGate gate{commit, std::string(kSkipped), "", {}};
    try {
      const std::string candidate = builds_.Build(1, commit);
      GateCommit(candidate, gate);
    } catch (const CannotMeasure& error) {
      if (interrupted || report_.gates.empty()) throw;  // the bad revision must be built
      gate.sentence = error.what();
    }
    if (interrupted) throw CannotMeasure("interrupted");
    report_.gates.push_back(gate);
    progress_.Say(fmt::format("{} {}: {}", commit.substr(0, 10), gate.verdict, gate.sentence));
    return gate;
  }

  void GateCommit(const std::string& candidate, CommitGate& gate) {
    GateSettings settings = settings_.gate;
    settings.baseline = baseline_;
    settings.candidate = candidate;
    const bool is_first = report_.gates.empty();
    if (!is_first) {  // the one row that is followed
      settings.arguments.push_back(FilterOf({report_.row}));
      settings.metrics = {report_.metric};
    }
    GateReport answer = RunGate(settings, progress_);
    if (answer.decision == Decision::kInconclusive && !interrupted) {
      GateRule& rule = settings.rule;
      rule.first_blocks = rule.most_blocks;
      rule.most_blocks *= 2;
      progress_.Say(fmt::format("no answer: again, with {} to {} blocks", rule.first_blocks,
                                rule.most_blocks));
      answer = RunGate(settings, progress_);
    }
    gate.sentence = answer.headline;
    if (answer.decision == Decision::kPass) gate.verdict = kPass;
    end_of_no_answer_ = answer.decision == Decision::kNotComparable
                            ? BisectReport::End::kNotComparable
                            : BisectReport::End::kInconclusive;
    const RowReport* row = is_first ? SlowestOf(answer) : Find(answer, report_.row);
    if (row == nullptr) return;
    gate.sentence = row->sentence;
    gate.estimate = row->estimate;
    if (is_first) {
      report_.row = row->name;
      report_.metric = row->metric;
    }
    // A row that fails, where the bad revision is only slower, shows another fault: no answer.
    const bool by_time =
        is_first ? row->estimate.has_value() : report_.gates[0].estimate.has_value();
    const bool same_fault = row->estimate.has_value() == by_time;
    gate.verdict = row->decision == Decision::kPass                 ? kPass
                   : row->decision == Decision::kFail && same_fault ? kFail
                                                                    : kSkipped;
  }

  static const RowReport* Find(const GateReport& answer, const std::string& name) {
    const auto row = std::ranges::find(answer.rows, name, &RowReport::name);
    return row == answer.rows.end() ? nullptr : &*row;
  }

  /// Of the rows that fail the one that is slower by the most; null where none fails.
  static const RowReport* SlowestOf(const GateReport& answer) {
    const auto slowdown = [](const RowReport& row) {
      if (!row.estimate) return 0.0;
      return row.estimate->higher_is_better ? 1 / row.estimate->ratio : row.estimate->ratio;
    };
    const RowReport* slowest = nullptr;
    for (const RowReport& row : answer.rows) {
      if (row.decision != Decision::kFail) continue;
      if (slowest == nullptr || slowdown(row) > slowdown(*slowest)) slowest = &row;
    }
    return slowest;
  }

  const BisectSettings& settings_;
  Progress& progress_;
  RevisionBuilds builds_;
  std::string good_, bad_, baseline_, state_path_;
  std::vector<std::string> commits_;  // after the good one, up to the bad one
  BisectReport::End end_of_no_answer_ = BisectReport::End::kInconclusive;
  BisectReport report_;
};

}  // namespace

BisectReport RunBisect(const BisectSettings& settings, Progress& progress, std::ostream& log) {
  return Search(settings, progress, log).Run();
}

std::string_view NameOf(BisectReport::End end) {
  switch (end) {
    case BisectReport::End::kFound: return "found";
    case BisectReport::End::kNotSlower: return "not slower";
    case BisectReport::End::kInconclusive: return "inconclusive";
    case BisectReport::End::kNotComparable: return "not comparable";
    case BisectReport::End::kInterrupted: return "interrupted";
  }
  return "";
}

json ToJson(const BisectReport& report) {
  json suspects = json::array(), gates = json::array();
  for (std::size_t i = 0; i < report.suspects.size(); ++i) {
    suspects.push_back({{"commit", report.suspects[i]}, {"subject", report.subjects[i]}});
  }
  for (const CommitGate& gate : report.gates) gates.push_back(ToJson(gate));
  return {{"end", NameOf(report.end)},    {"reason", report.reason}, {"row", report.row},
          {"metric", report.metric.name}, {"suspects", suspects},    {"gates", gates},
          {"seconds", report.seconds}};
}

}  // namespace flopledger
