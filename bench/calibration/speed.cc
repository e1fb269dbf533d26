#include "bench/calibration/speed.h"

#include <omp.h>

#include <algorithm>

#include "analysis/text/stats.h"
#include "bench/calibration/streams.h"
#include "bench/machine/stopwatch.h"
#include "bench/machine/threads.h"
#include "kernels/matmul.h"

namespace flopledger {
namespace {

constexpr int64_t kRows = 256, kSize = 1024;
constexpr int64_t kStride = OddLinesStride<float>(kSize);
constexpr int64_t kWeights = 8;  // 32 MiB: what DramBufferFor never goes below

const MatmulBackend<float>& Backend() { return MatmulBackends<float>().front(); }

}  // namespace

int64_t SpeedProbe::Bytes(int threads) {
  return DramBufferOf(threads).bytes +
         kRows * (kStride + kSize) * static_cast<int64_t>(sizeof(float));
}

SpeedProbe::SpeedProbe(int threads)
    : dram_buffer_(DramBufferOf(threads)),
      memory_(threads, dram_buffer_.bytes),
      x_(kRows, kStride),
      y_(kRows, kSize) {
  // Touched before they are timed, by the threads that use them.
#pragma omp parallel for num_threads(threads)
  for (int64_t row = 0; row < kRows; ++row) {
    std::fill_n(x_.view().row(row), kStride, 0.5f);
    std::fill_n(y_.view().row(row), kSize, 0.0f);
  }
}

double SpeedProbe::MeasureRead() {
  constexpr double kSeconds = 0.015;
  return ReadRate(memory_, memory_.share(), kSeconds);
}

double SpeedProbe::MeasureProduct() {
  const int before = omp_get_max_threads();
  UseThreads(threads());
  CheckTeamSize(threads());
  const bool packed = Backend().packs_weights;
  const auto start = Clock::now();
  for (int64_t i = 0; i < kWeights; ++i) {
    const WeightView<const float> weight{
        .data = memory_.data() + i * kSize * kSize,
        .inputs = kSize,
        .outputs = kSize,
        .stride = packed ? kSize * WeightView<float>::kColumns : kSize,
        .layout = packed ? WeightLayout::kPanels : WeightLayout::kInputsByOutputs};
    Backend().run({.x = x_.view().block(0, 0, kRows, kSize), .w = weight, .y = y_.view()});
  }
  const double seconds = SecondsSince(start);
  UseThreads(before);
  return 2.0 * kWeights * kRows * kSize * kSize / seconds;
}

SpeedProbe::Rates SpeedProbe::Measure() {
  constexpr int kTimes = 3;
  std::vector<double> reads, products;
  for (int i = 0; i < kTimes; ++i) {
    reads.push_back(MeasureRead());
    products.push_back(MeasureProduct());
  }
  return {.product_flops_per_s = Median(products), .read_bytes_per_s = Median(reads)};
}

}  // namespace flopledger
