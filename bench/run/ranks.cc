#include "bench/run/ranks.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "analysis/ledger/ranks.h"

namespace flopledger {
namespace {

using nlohmann::json;

/// Every rank's text, parsed, at the first rank; nothing elsewhere.
std::vector<json> GatherJson(Team& team, const json& own) {
  std::vector<json> all;
  for (const std::string& text : Gather(team.link, own.dump())) all.push_back(json::parse(text));
  return all;
}

json ToJson(const Slice& slice) {
  json document = {{"level", static_cast<int>(slice.level)},
                   {"name", slice.name},
                   {"layer", slice.layer},
                   {"thread", slice.thread},
                   {"start_ns", slice.start_ns},
                   {"duration_ns", slice.duration_ns}};
  if (slice.flops) document["flops"] = *slice.flops;
  if (!slice.op) return document;
  const Op& op = *slice.op;  // as far as a trace tells of it
  document["op"] = {static_cast<int>(op.id),
                    static_cast<int>(op.kind),
                    op.per_layer,
                    op.m,
                    op.n,
                    op.k,
                    op.products};
  return document;
}

Slice SliceFromJson(const json& json) {
  Slice slice{.level = static_cast<Slice::Level>(json.at("level").get<int>()),
              .name = json.at("name").get<std::string>(),
              .layer = json.at("layer").get<int64_t>(),
              .thread = json.at("thread").get<int>(),
              .start_ns = json.at("start_ns").get<int64_t>(),
              .duration_ns = json.at("duration_ns").get<int64_t>()};
  if (json.contains("flops")) slice.flops = json.at("flops").get<int64_t>();
  if (!json.contains("op")) return slice;
  const auto& op = json.at("op");
  slice.op = Op{.id = static_cast<OpId>(op.at(0).get<int>()),
                .kind = static_cast<OpKind>(op.at(1).get<int>()),
                .per_layer = op.at(2).get<bool>(),
                .m = op.at(3).get<int64_t>(),
                .n = op.at(4).get<int64_t>(),
                .k = op.at(5).get<int64_t>(),
                .products = op.at(6).get<int64_t>()};
  return slice;
}

}  // namespace

Trial Together(Team* team, const Trial& own) {
  if (team == nullptr) return own;
  std::vector<Trial> trials;
  for (const json& each : GatherJson(*team, ToJson(own))) trials.push_back(TrialFromJson(each));
  return trials.empty() ? own : TogetherOf(trials);
}

FlopsEvidence Together(Team* team, const FlopsEvidence& own) {
  if (team == nullptr) return own;
  std::vector<FlopsEvidence> all;
  for (const json& each : GatherJson(*team, ToJson(own))) all.push_back(EvidenceFromJson(each));
  return all.empty() ? own : TogetherOf(all);
}

Verification Together(Team* team, const Verification& own) {
  if (team == nullptr) return own;
  Verification together = own;
  const std::vector<json> all = GatherJson(*team, {{"checked", own.checked},
                                                   {"worst_ratio", own.worst_ratio},
                                                   {"worst_op", own.worst_op},
                                                   {"first_failure", own.first_failure}});
  if (!all.empty()) together = {};
  for (std::size_t rank = 0; rank < all.size(); ++rank) {
    together.checked += all[rank].at("checked").get<int64_t>();
    const json& worst = all[rank].at("worst_ratio");  // JSON has no infinity
    const auto ratio =
        worst.is_null() ? std::numeric_limits<double>::infinity() : worst.get<double>();
    if (ratio >= together.worst_ratio) {
      together.worst_ratio = ratio;
      together.worst_op = all[rank].at("worst_op").get<std::string>();
    }
    const auto failure = all[rank].at("first_failure").get<std::string>();
    if (failure.empty() || !together.first_failure.empty()) continue;
    together.first_failure = fmt::format("rank {}: {}", rank, failure);
  }
  together.first_failure = Broadcast(team->link, together.first_failure);
  return together;
}

std::vector<CollectiveSplit> Together(Team* team, const std::vector<CollectiveSplit>& own) {
  if (team == nullptr) return own;
  json seconds = json::array();
  for (const auto& split : own) seconds.push_back({split.waiting_s, split.transfer_s});
  const std::vector<json> all = GatherJson(*team, seconds);
  std::vector<CollectiveSplit> together = own;
  for (std::size_t i = 0; i < together.size() && !all.empty(); ++i) {
    together[i].waiting_s = together[i].transfer_s = 0;
    for (const json& rank : all) {
      const auto ranks = static_cast<double>(all.size());
      together[i].waiting_s += rank.at(i).at(0).get<double>() / ranks;
      together[i].transfer_s += rank.at(i).at(1).get<double>() / ranks;
    }
  }
  return together;
}

PassTrace Together(Team* team, const PassTrace& own) {
  if (team == nullptr) return own;
  json slices = json::array();
  for (const Slice& slice : own.slices) slices.push_back(ToJson(slice));
  const std::vector<json> all =
      GatherJson(*team, {{"slices", std::move(slices)}, {"peaks", own.peaks_flops_per_s}});
  if (all.empty()) return own;
  PassTrace together;
  for (std::size_t rank = 0; rank < all.size(); ++rank) {
    for (const json& slice : all[rank].at("slices")) {
      together.slices.push_back(SliceFromJson(slice));
      together.slices.back().rank = static_cast<int>(rank);
    }
    for (const json& peak : all[rank].at("peaks")) {
      together.peaks_flops_per_s.push_back(peak.get<double>());
    }
  }
  return together;
}

DecodeFigures Together(Team* team, const DecodeFigures& own) {
  if (team == nullptr) return own;
  json seconds = json::array();
  for (const DecodedOp& op : own.ops) seconds.push_back(op.seconds);
  const std::vector<json> all = GatherJson(
      *team, {{"ops", seconds}, {"total", own.total.seconds}, {"read", own.read_bytes_per_s}});
  DecodeFigures together = own;
  const auto slowest = [](std::vector<double>& seconds_of, const json& others) {
    for (std::size_t i = 0; i < seconds_of.size(); ++i) {
      seconds_of[i] = std::max(seconds_of[i], others.at(i).get<double>());
    }
  };
  for (std::size_t rank = 1; rank < all.size(); ++rank) {
    const json& other = all[rank];
    for (std::size_t i = 0; i < together.ops.size(); ++i) {
      slowest(together.ops[i].seconds, other.at("ops").at(i));
    }
    slowest(together.total.seconds, other.at("total"));
    for (std::size_t i = 0; i < together.read_bytes_per_s.size(); ++i) {
      together.read_bytes_per_s[i] += other.at("read").at(i).get<double>();
    }
  }
  return together;
}

RankFacts DescribeRanks(Team& team) {
  RankFacts facts;
  facts.ranks = team.link.shard().ranks;
  facts.hosts = Gather(team.link, team.host);
  return facts;
}

}  // namespace flopledger
