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

PredictedRun Predicted(const MeasuredRun& run, const RunShape& shape, const MachineSpeed& speed) {
  return {.model = RankModel(run.model, shape.shard),
          .shape = shape,
          .matmul = run.kernels.matmul,
          .threads = run.threads,
          .speed = speed,
          .hosts = run.hosts};
}

}  // namespace

MachineSpeed SpeedAround(std::span<const Trial> trials, const Calibration& calibration,
                         int64_t threads) {
  std::vector<double> peaks, products, reads;
  for (const Trial& trial : trials) {
    const auto ranks = static_cast<double>(trial.ranks);
    peaks.push_back(trial.peak() / ranks);
    if (trial.product_flops_per_s) products.push_back(*trial.product_flops_per_s / ranks);
    if (trial.read_bytes_per_s) reads.push_back(*trial.read_bytes_per_s / ranks);
  }
  MachineSpeed speed = CalibratedSpeed(calibration, threads);
  speed.peak_flops_per_s = Median(peaks);
  if (!products.empty()) speed.product_flops_per_s = Median(products);
  if (!reads.empty()) speed.read_bytes_per_s = Median(reads);
  return speed;
}

std::optional<double> PredictedByPeakAlone(const MeasuredRun& run, const Calibration& calibration,
                                           double peak_flops_per_s) {
  MachineSpeed speed = CalibratedSpeed(calibration, run.threads);
  const double drift = peak_flops_per_s / speed.peak_flops_per_s;
  speed.peak_flops_per_s *= drift;
  speed.product_flops_per_s *= drift;
  speed.read_bytes_per_s *= drift;
  return PredictPass(calibration, Predicted(run, run.shape, speed)).total.seconds;
}

std::string SetPredictions(std::vector<Record>& rows, const MeasuredRun& run,
                           const Calibration& calibration, const MachineSpeed& speed) {
  const PassPrediction pass = PredictPass(calibration, Predicted(run, run.shape, speed));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    Record& row = rows[i];
    if (row.kind == "extrapolated") {
      Fill(row, PredictPass(calibration, Predicted(run, run.WholeShape(), speed)).total);
    } else {
      Fill(row, i < pass.ops.size() ? pass.ops[i] : pass.total);
    }
  }
  return pass.total.unavailable_because;
}

}  // namespace flopledger
