#include "bench/cli/run_plan.h"

#include <fmt/format.h>

#include "analysis/accounting/accounting.h"
#include "analysis/prediction/predict.h"
#include "analysis/text/numbers.h"
#include "analysis/text/wrap.h"
#include "bench/calibration/calibration_file.h"
#include "bench/run/predictions.h"

namespace flopledger {
namespace {

/// How long all passes take, or why that is not known.
std::string TimeText(std::span<const RunSettings> side_by_side, const MemoryPlan& plan,
                     int64_t repetitions) {
  double pass_s = 0;
  for (const RunSettings& settings : side_by_side) {
    if (!settings.calibration) {
      return "time unavailable: this machine is not calibrated ('flopledger calibrate')";
    }
    const PassPrediction pass = PredictPass(
        *settings.calibration, {.model = settings.OwnModel(),
                                .shape = settings.Shape(plan.layers),
                                .matmul = std::string(settings.kernels.matmul->name),
                                .threads = settings.threads,
                                .speed = CalibratedSpeed(*settings.calibration, settings.threads),
                                .hosts = settings.team != nullptr ? settings.team->hosts : 1});
    if (!pass.total.seconds) return "time unavailable: " + pass.total.unavailable_because;
    pass_s += *pass.total.seconds;
  }
  const int64_t passes = side_by_side.front().warm_up + repetitions;
  return fmt::format("about {}, besides filling the weights and counting FLOPs",
                     HumanSeconds(pass_s * static_cast<double>(passes)));
}

}  // namespace

std::string PlanText(std::span<const RunSettings> side_by_side, const MemoryPlan& plan,
                     int64_t repetitions, std::size_t width) {
  const RunSettings& settings = side_by_side.front();
  const int64_t ranks = settings.shard().ranks;
  const int64_t flops =
      CountFlops(settings.model, settings.Shape(plan.layers), Convention::kMatmul).total;
  std::string text = fmt::format(
      "plan: {}, {} of {} layers, context {}, batch {}, {}{} thread{}{}: {} a pass (matmul), {} of "
      "memory{}; {} warm-up pass{} (the first is verified), {} repetition{}; {}\n",
      settings.model.name, plan.layers, settings.model.num_layers, Grouped(settings.context),
      settings.batch, ranks > 1 ? fmt::format("{} ranks of ", ranks) : "", settings.threads,
      Plural(settings.threads),
      side_by_side.size() > 1 ? fmt::format("; the first of {} points", side_by_side.size()) : "",
      HumanScaled(static_cast<double>(flops), "FLOP"), HumanBytes(plan.needed_bytes),
      plan.available_bytes ? fmt::format(" of {} available{}", HumanBytes(*plan.available_bytes),
                                         ranks > 1 ? ", at the first rank" : "")
                           : "",
      settings.warm_up, settings.warm_up == 1 ? "" : "es", repetitions, Plural(repetitions),
      TimeText(side_by_side, plan, repetitions));
  if (plan.cut_by_memory) {
    text += fmt::format("all {} layers need {}: only {} are run\n", settings.model.num_layers,
                        HumanBytes(plan.whole_bytes), plan.layers);
  }
  text += "less: --layers 1, --context 128, a smaller --model ('flopledger presets')";
  return Wrapped(text, width, 2);
}

}  // namespace flopledger
