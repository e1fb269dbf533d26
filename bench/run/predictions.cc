#include "bench/run/predictions.h"

#include "analysis/text/stats.h"

namespace flopledger {
namespace {

void Fill(Record& row, const OpPrediction& prediction) {
  if (!prediction.seconds) return;
  row.predicted_time_s = prediction.seconds;
  row.bound = NameOf(prediction.bound);
  if (row.time_s && row.kind != "extrapolated") row.time_ratio = *row.time_s / *prediction.seconds;
}

}  // namespace

MachineSpeed SpeedAround(std::span<const Trial> trials, const Calibration& calibration,
                         int64_t threads) {
  std::vector<double> peaks, products, reads;
  for (const Trial& trial : trials) {
    peaks.push_back(trial.peak());
    if (trial.product_flops_per_s) products.push_back(*trial.product_flops_per_s);
    if (trial.read_bytes_per_s) reads.push_back(*trial.read_bytes_per_s);
  }
  MachineSpeed speed = CalibratedSpeed(calibration, threads);
  speed.peak_flops_per_s = Median(peaks);
  if (!products.empty()) speed.product_flops_per_s = Median(products);
  if (!reads.empty()) speed.read_bytes_per_s = Median(reads);
  return speed;
}

nlohmann::json PredictedByPeakAlone(const RunSettings& settings, int64_t layers_run,
                                    const Calibration& calibration, double peak_flops_per_s) {
  MachineSpeed speed = CalibratedSpeed(calibration, settings.threads);
  const double drift = peak_flops_per_s / speed.peak_flops_per_s;
  speed.peak_flops_per_s *= drift;
  speed.product_flops_per_s *= drift;
  speed.read_bytes_per_s *= drift;
  const PassPrediction pass = PredictPass(calibration, {.model = settings.model,
                                                        .shape = settings.Shape(layers_run),
                                                        .matmul = settings.matmul,
                                                        .threads = settings.threads,
                                                        .speed = speed});
  return pass.total.seconds ? nlohmann::json(*pass.total.seconds) : nlohmann::json(nullptr);
}

std::string SetPredictions(std::vector<Record>& rows, const RunSettings& settings,
                           int64_t layers_run, const Calibration& calibration,
                           const MachineSpeed& speed) {
  PredictedRun run{.model = settings.model,
                   .shape = settings.Shape(layers_run),
                   .matmul = settings.matmul,
                   .threads = settings.threads,
                   .speed = speed};
  const PassPrediction pass = PredictPass(calibration, run);
  run.shape = settings.Shape(settings.model.num_layers);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    Record& row = rows[i];
    if (row.kind == "extrapolated") {
      Fill(row, PredictPass(calibration, run).total);
    } else {
      Fill(row, i < pass.ops.size() ? pass.ops[i] : pass.total);
    }
  }
  return pass.total.unavailable_because;
}

}  // namespace flopledger
