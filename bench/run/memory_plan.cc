#include "bench/run/memory_plan.h"

#include <fmt/format.h>

#include <utility>

#include "analysis/text/table.h"
#include "bench/calibration/speed.h"
#include "bench/machine/machine.h"
#include "bench/run/decode.h"
#include "kernels/attention_fused.h"
#include "model/input_error.h"

namespace flopledger {
namespace {

/// The kernels' own working memory: attention's tiles, and what pads the rows of activations.
int64_t ScratchBytes(const RunSettings& settings) {
  const ModelConfig& model = settings.model;
  const AttentionShape attention{settings.batch, settings.context, model.num_heads,
                                 model.num_kv_heads, model.head_size()};
  constexpr int64_t kPadding = 6 * 31;  // floats a row, of six activations at most
  const int64_t floats = settings.batch * settings.context * kPadding +
                         settings.threads * FusedScratch<float>::Size(attention);
  return floats * static_cast<int64_t>(sizeof(float));
}

int64_t NeededBytes(std::span<const RunSettings> side_by_side, int64_t layers) {
  // The program itself, thread stacks and the kernels' packing buffers.
  constexpr int64_t kOverhead = int64_t{128} << 20;
  int64_t bytes = 0;
  bool has_layout[2] = {false, false};  // plain, packed: filled once for all that read it
  for (const RunSettings& settings : side_by_side) {
    const MemoryFigures memory = CountMemory(settings.model, settings.Shape(layers));
    bytes += memory.activation_bytes + ScratchBytes(settings) + kOverhead;
    if (settings.decode > 0)
      bytes += DecodeBytes(settings, layers) + SpeedProbe::Bytes(settings.threads);
    bool& has = has_layout[settings.kernels.matmul->packs_weights ? 1 : 0];
    if (!std::exchange(has, true)) bytes += memory.weights_bytes;
    if (settings.calibration) bytes += SpeedProbe::Bytes(settings.threads);
  }
  return bytes;
}

}  // namespace

MemoryPlan PlanMemory(std::span<const RunSettings> side_by_side) {
  const RunSettings& settings = side_by_side.front();
  MemoryPlan plan;
  plan.available_bytes =
      settings.max_memory_bytes ? settings.max_memory_bytes : AvailableMemoryBytes();
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

}  // namespace flopledger
