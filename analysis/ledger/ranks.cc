#include "analysis/ledger/ranks.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace flopledger {
namespace {

using nlohmann::json;

/// The largest of some seconds, and how much that is above their mean.
struct Slowest {
  double seconds = 0, imbalance = 1;
};

template <class SecondsOf>
Slowest SlowestOf(std::span<const Trial> ranks, const SecondsOf& seconds_of) {
  double largest = 0, sum = 0;
  for (const Trial& trial : ranks) {
    largest = std::max(largest, seconds_of(trial));
    sum += seconds_of(trial);
  }
  return {largest, sum > 0 ? largest * static_cast<double>(ranks.size()) / sum : 1};
}

/// The sum of what every rank has.
std::optional<double> SumOf(std::span<const Trial> ranks, std::optional<double> Trial::*field) {
  double sum = 0;
  for (const Trial& trial : ranks) {
    if (!(trial.*field)) return std::nullopt;
    sum += *(trial.*field);
  }
  return sum;
}

/// The worse of what two ranks met. What other processes took is unknown: the ranks are among them.
SystemActivity WorseOf(const SystemActivity& a, const SystemActivity& b) {
  SystemActivity worse = a;
  if (b.stolen_s) worse.stolen_s = std::max(*b.stolen_s, a.stolen_s.value_or(0));
  if (b.throttled_s) worse.throttled_s = std::max(*b.throttled_s, a.throttled_s.value_or(0));
  worse.others_s.reset();
  worse.involuntary_switches = std::max(a.involuntary_switches, b.involuntary_switches);
  return worse;
}

json OrNull(const std::optional<double>& value) { return value ? json(*value) : json(nullptr); }

std::optional<double> IfAny(const json& value) {
  return value.is_null() ? std::nullopt : std::optional(value.get<double>());
}

template <class AnyFigures, class Visit>
void ForEachFigure(AnyFigures& figures, const Visit& visit) {
  visit("flops", figures.flops);
  visit("instructions", figures.instructions);
  visit("cycles", figures.cycles);
  visit("cache_misses", figures.cache_misses);
  visit("task_clock_ns", figures.task_clock_ns);
  visit("page_faults", figures.page_faults);
  visit("context_switches", figures.context_switches);
}

using Counts = std::vector<std::pair<OpId, int64_t>>;

json ToJson(const Counts& counts) {
  json list = json::array();
  for (const auto& [id, count] : counts) list.push_back({static_cast<int>(id), count});
  return list;
}

Counts CountsFromJson(const json& list) {
  Counts counts;
  for (const json& pair : list) {
    counts.emplace_back(static_cast<OpId>(pair.at(0).get<int>()), pair.at(1).get<int64_t>());
  }
  return counts;
}

}  // namespace

Trial TogetherOf(std::span<const Trial> ranks) {
  Trial together = ranks.front();
  together.ranks = static_cast<int64_t>(ranks.size());
  const Slowest pass = SlowestOf(ranks, [](const Trial& trial) { return trial.pass_s; });
  together.pass_s = pass.seconds;
  together.pass_imbalance = pass.imbalance;
  together.op_imbalance.clear();
  for (std::size_t i = 0; i < together.op_s.size(); ++i) {
    const Slowest op = SlowestOf(ranks, [i](const Trial& trial) { return trial.op_s[i]; });
    together.op_s[i] = op.seconds;
    together.op_imbalance.push_back(op.imbalance);
  }
  together.peak_before_flops_per_s = together.peak_after_flops_per_s = 0;
  for (const Trial& trial : ranks) {
    together.peak_before_flops_per_s += trial.peak_before_flops_per_s;
    together.peak_after_flops_per_s += trial.peak_after_flops_per_s;
    together.activity = WorseOf(together.activity, trial.activity);
  }
  together.product_flops_per_s = SumOf(ranks, &Trial::product_flops_per_s);
  together.read_bytes_per_s = SumOf(ranks, &Trial::read_bytes_per_s);
  return together;
}

FlopsEvidence TogetherOf(std::span<const FlopsEvidence> ranks) {
  FlopsEvidence together = ranks.front();
  for (const FlopsEvidence& other : ranks.subspan(1)) {
    for (std::size_t i = 0; i < together.counted.size(); ++i) {
      together.counted[i].second += other.counted[i].second;
    }
    for (std::size_t i = 0; i < together.sampled.met.size(); ++i) {
      int64_t& met = together.sampled.met[i].second;
      met = std::min(met, other.sampled.met[i].second);
      together.sampled.counted[i].second += other.sampled.counted[i].second;
    }
    if (!other.counters) together.counters.reset();
    if (!together.counters) continue;
    for (std::size_t i = 0; i < together.counters->by_op.size(); ++i) {
      together.counters->by_op[i] += other.counters->by_op[i];
    }
    together.counters->check.executed += other.counters->check.executed;
    together.counters->check.counted += other.counters->check.counted;
  }
  return together;
}

std::vector<RankList> ListsOfRanks(const MeasuredRun& run, const RunShape& shape) {
  std::vector<RankList> lists;
  for (int64_t rank = 0; rank < shape.shard.ranks; ++rank) {
    RankList& list = lists.emplace_back();
    list.shape = shape;
    list.shape.shard.rank = rank;
    list.model = RankModel(run.model, list.shape.shard);
    list.ops = ForwardOps(list.model, list.shape);
  }
  return lists;
}

json ToJson(const Trial& trial) {
  return {{"passes", trial.passes},
          {"pass_s", trial.pass_s},
          {"op_s", trial.op_s},
          {"peak_before_flops_per_s", trial.peak_before_flops_per_s},
          {"peak_after_flops_per_s", trial.peak_after_flops_per_s},
          {"product_flops_per_s", OrNull(trial.product_flops_per_s)},
          {"read_bytes_per_s", OrNull(trial.read_bytes_per_s)},
          {"seconds", trial.activity.seconds},
          {"stolen_s", OrNull(trial.activity.stolen_s)},
          {"throttled_s", OrNull(trial.activity.throttled_s)},
          {"switches", trial.activity.involuntary_switches}};
}

Trial TrialFromJson(const json& json) {
  Trial trial;
  trial.passes = json.at("passes").get<int64_t>();
  trial.pass_s = json.at("pass_s").get<double>();
  trial.op_s = json.at("op_s").get<std::vector<double>>();
  trial.peak_before_flops_per_s = json.at("peak_before_flops_per_s").get<double>();
  trial.peak_after_flops_per_s = json.at("peak_after_flops_per_s").get<double>();
  trial.product_flops_per_s = IfAny(json.at("product_flops_per_s"));
  trial.read_bytes_per_s = IfAny(json.at("read_bytes_per_s"));
  trial.activity.seconds = json.at("seconds").get<double>();
  trial.activity.stolen_s = IfAny(json.at("stolen_s"));
  trial.activity.throttled_s = IfAny(json.at("throttled_s"));
  trial.activity.involuntary_switches = json.at("switches").get<int64_t>();
  return trial;
}

json ToJson(const FlopsEvidence& evidence) {
  json document = {{"mode", static_cast<int>(evidence.mode)},
                   {"counted", ToJson(evidence.counted)},
                   {"samples", evidence.sampled.samples},
                   {"met", ToJson(evidence.sampled.met)},
                   {"sample_counted", ToJson(evidence.sampled.counted)},
                   {"none_because", evidence.none_because}};
  if (!evidence.counters) return document;
  json by_op = json::array();
  for (const CounterFigures& figures : evidence.counters->by_op) {
    json& row = by_op.emplace_back();
    row["scale"] = figures.scale;
    ForEachFigure(figures, [&](const char* name, const std::optional<double>& value) {
      row[name] = OrNull(value);
    });
  }
  document["counters"] = {{"by_op", std::move(by_op)},
                          {"executed", evidence.counters->check.executed},
                          {"counted", evidence.counters->check.counted}};
  return document;
}

FlopsEvidence EvidenceFromJson(const json& json) {
  FlopsEvidence evidence;
  evidence.mode = static_cast<CountMode>(json.at("mode").get<int>());
  evidence.counted = CountsFromJson(json.at("counted"));
  evidence.sampled = {.samples = json.at("samples").get<int64_t>(),
                      .met = CountsFromJson(json.at("met")),
                      .counted = CountsFromJson(json.at("sample_counted"))};
  evidence.none_because = json.at("none_because").get<std::string>();
  if (!json.contains("counters")) return evidence;
  CounterEvidence& counters = evidence.counters.emplace();
  for (const auto& row : json.at("counters").at("by_op")) {
    CounterFigures& figures = counters.by_op.emplace_back();
    figures.scale = row.at("scale").get<double>();
    ForEachFigure(figures, [&](const char* name, std::optional<double>& value) {
      value = IfAny(row.at(name));
    });
  }
  counters.check = {json.at("counters").at("executed").get<int64_t>(),
                    json.at("counters").at("counted").get<double>()};
  return evidence;
}

}  // namespace flopledger
