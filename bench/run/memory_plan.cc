#include "bench/run/memory_plan.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "analysis/text/table.h"
#include "bench/calibration/speed.h"
#include "bench/machine/machine.h"
#include "bench/run/decode.h"
#include "bench/run/same_settings.h"
#include "kernels/attention_fused.h"
#include "model/input_error.h"

namespace flopledger {
namespace {

/// The kernels' own working memory: attention's tiles, and what pads the rows of activations.
int64_t ScratchBytes(const RunSettings& settings) {
  const ModelConfig model = settings.OwnModel();
  const AttentionShape attention{settings.batch, settings.context, model.num_heads,
                                 model.num_kv_heads, model.head_size()};
  constexpr int64_t kPadding = 6 * 31;  // floats a row, of six activations at most
  const int64_t rows = settings.batch * settings.context;
  const int64_t floats = rows * kPadding + settings.threads * FusedScratch<float>::Size(attention) +
                         AllReduceScratch(rows * model.d_model, settings.shard().ranks);
  return floats * static_cast<int64_t>(sizeof(float));
}

int64_t NeededBytes(std::span<const RunSettings> side_by_side, int64_t layers) {
  // The program itself, thread stacks and the kernels' packing buffers.
  constexpr int64_t kOverhead = int64_t{128} << 20;
  int64_t bytes = kOverhead;
  bool has_layout[2] = {false, false};  // plain, packed: filled once for all that read it
  for (const RunSettings& settings : side_by_side) {
    const MemoryFigures memory = CountMemory(settings.OwnModel(), settings.Shape(layers));
    bytes += memory.activation_bytes + ScratchBytes(settings);
    if (settings.decode > 0)
      bytes += DecodeBytes(settings, layers) + SpeedProbe::Bytes(settings.threads);
    bool& has = has_layout[settings.kernels.matmul->packs_weights ? 1 : 0];
    if (!std::exchange(has, true)) bytes += memory.weights_bytes;
    if (settings.calibration) bytes += SpeedProbe::Bytes(settings.threads);
  }
  return bytes;
}

/// Of one rank, which may take its part of what its host has available.
MemoryPlan PlanOwnMemory(std::span<const RunSettings> side_by_side) {
  const RunSettings& settings = side_by_side.front();
  MemoryPlan plan;
  plan.available_bytes = AvailableMemoryBytes();
  if (const auto& most = settings.max_memory_bytes) {
    plan.available_bytes = std::min(plan.available_bytes.value_or(*most), *most);
  }
  if (plan.available_bytes && settings.team != nullptr) {
    *plan.available_bytes /= settings.team->ranks_here;
  }
  plan.whole_bytes = NeededBytes(side_by_side, settings.model.num_layers);
  plan.layers = settings.layers.value_or(settings.model.num_layers);
  const auto fits = [&](int64_t layers) {
    return !plan.available_bytes || NeededBytes(side_by_side, layers) <= *plan.available_bytes;
  };
  if (!fits(plan.layers)) {
    const int64_t least = settings.layers.value_or(1);
    if (!fits(least)) {
      throw CannotMeasure(fmt::format(
          "{} layer{} of {} at context {}, batch {} need{} {}, and {} is available; use a shorter "
          "--context or a smaller model",
          least, least == 1 ? "" : "s", settings.model.name, settings.context, settings.batch,
          least == 1 ? "s" : "", HumanBytes(NeededBytes(side_by_side, least)),
          HumanBytes(*plan.available_bytes)));
    }
    plan.cut_by_memory = true;
    int64_t fitting = least, too_many = plan.layers;
    while (too_many - fitting > 1) {
      const int64_t middle = fitting + (too_many - fitting) / 2;
      (fits(middle) ? fitting : too_many) = middle;
    }
    plan.layers = fitting;
  }
  plan.needed_bytes = NeededBytes(side_by_side, plan.layers);
  return plan;
}

/// The fewest layers of all ranks. Throws what the first rank threw that cannot take its part, at
/// every rank, with its name.
int64_t AgreedLayers(Link& link, int64_t layers, const std::string& why_not) {
  const std::vector<std::string> plans =
      Gather(link, nlohmann::json({{"layers", layers}, {"why_not", why_not}}).dump());
  nlohmann::json agreed = {{"layers", layers}, {"why_not", why_not}};
  for (std::size_t rank = 0; rank < plans.size(); ++rank) {
    const auto plan = nlohmann::json::parse(plans[rank]);
    agreed["layers"] = std::min(agreed["layers"].get<int64_t>(), plan["layers"].get<int64_t>());
    const auto reason = plan["why_not"].get<std::string>();
    if (reason.empty()) continue;
    agreed["why_not"] = fmt::format("rank {}: {}", rank, reason);
    break;
  }
  agreed = nlohmann::json::parse(Broadcast(link, agreed.dump()));
  if (agreed["why_not"] != "") throw CannotMeasure(agreed["why_not"].get<std::string>());
  return agreed["layers"].get<int64_t>();
}

}  // namespace

MemoryPlan PlanMemory(std::span<const RunSettings> side_by_side) {
  Team* const team = side_by_side.front().team;
  if (team == nullptr) return PlanOwnMemory(side_by_side);
  CheckSameSettings(side_by_side);
  MemoryPlan plan;
  std::string why_not;
  try {
    plan = PlanOwnMemory(side_by_side);
  } catch (const CannotMeasure& error) {
    why_not = error.what();
  }
  const int64_t layers = AgreedLayers(team->link, plan.layers, why_not);
  plan.cut_by_memory |= layers < plan.layers;
  plan.layers = layers;
  plan.needed_bytes = NeededBytes(side_by_side, layers);
  return plan;
}

}  // namespace flopledger
