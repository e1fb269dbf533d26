#include "bench/run/same_settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "model/input_error.h"

namespace flopledger {
namespace {

using nlohmann::json;

/// Names and values, in the order in which a difference is named. The model comes first: what is
/// left out of its JSON where it is the default shifts what follows.
using NamedValues = std::vector<std::pair<std::string, std::string>>;

NamedValues ValuesOf(std::span<const RunSettings> points) {
  constexpr const char* kCounts[] = {"off", "sample", "full", "auto"};
  NamedValues values{{"points", fmt::to_string(points.size())}};
  for (const RunSettings& point : points) {
    values.emplace_back("model", point.model.name);
    const json model = ToJson(point.model).flatten();
    for (const auto& [key, value] : model.items()) {
      values.emplace_back("model" + key, value.dump());
    }
    values.emplace_back("context", fmt::to_string(point.context));
    values.emplace_back("batch", fmt::to_string(point.batch));
    values.emplace_back("layers", point.layers ? fmt::to_string(*point.layers) : "not given");
    values.emplace_back("matmul", point.kernels.matmul->name);
    values.emplace_back("attention", NameOf(point.kernels.attention));
    values.emplace_back("count", kCounts[static_cast<int>(point.count)]);
    values.emplace_back("trace", point.trace ? "on" : "off");
    values.emplace_back("warmup", fmt::to_string(point.warm_up));
    values.emplace_back("decode", fmt::to_string(point.decode));
    values.emplace_back("seed", fmt::to_string(point.seed));
  }
  return values;
}

/// "batch 2, and rank 0 batch 1"; empty where they are the same.
std::string FirstDifference(const NamedValues& first, const NamedValues& other) {
  const auto [a, b] = std::ranges::mismatch(first, other);
  if (a == first.end() || b == other.end()) return "";
  return fmt::format("{} {}, and rank 0 {} {}", b->first, b->second, a->first, a->second);
}

}  // namespace

void CheckSameSettings(std::span<const RunSettings> points) {
  Team* const team = points.front().team;
  if (team == nullptr) return;
  const NamedValues own = ValuesOf(points);
  const std::vector<std::string> all = Gather(team->link, json(own).dump());
  std::string refusal;
  for (std::size_t rank = 1; rank < all.size() && refusal.empty(); ++rank) {
    const std::string difference = FirstDifference(own, json::parse(all[rank]).get<NamedValues>());
    if (difference.empty()) continue;
    refusal = fmt::format(
        "rank {} runs other settings than rank 0: {}; FLOPLEDGER_ variables and files must be the "
        "same on every host",
        rank, difference);
  }
  refusal = Broadcast(team->link, refusal);
  if (!refusal.empty()) throw InputError(refusal);
}

}  // namespace flopledger
