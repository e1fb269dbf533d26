#include "bench/calibration/speed.h"

#include <omp.h>

#include <algorithm>

#include "analysis/text/stats.h"
#include "bench/calibration/calibrate.h"
#include "bench/machine/stopwatch.h"
#include "bench/machine/threads.h"
#include "kernels/matmul.h"

namespace flopledger {
namespace {

constexpr int64_t kRows = 256, kSize = 1024;
constexpr int64_t kStride = OddLinesStride<float>(kSize);
constexpr int64_t kWeights = 8;  // 32 MiB

int64_t DramFloats() { return DramBufferBytes() / static_cast<int64_t>(sizeof(float)); }
bool IsLargeEnough(std::span<const float> buffer) {
  return static_cast<int64_t>(buffer.size()) >= DramFloats();
}

const MatmulBackend<float>& Backend() { return MatmulBackends<float>().front(); }

}  // namespace

int64_t SpeedProbe::Bytes(std::span<const float> dram_buffer) {
  const int64_t floats =
      (IsLargeEnough(dram_buffer) ? 0 : DramFloats()) + kRows * (kStride + kSize);
  return floats * static_cast<int64_t>(sizeof(float));
}

SpeedProbe::SpeedProbe(std::span<const float> dram_buffer) : x_(kRows, kStride), y_(kRows, kSize) {
  if (!IsLargeEnough(dram_buffer)) {
    own_dram_buffer_ = Matrix<float>(1, DramFloats());
    std::fill_n(own_dram_buffer_.data(), own_dram_buffer_.size(), 0.0f);
    dram_buffer = {own_dram_buffer_.data(), static_cast<std::size_t>(own_dram_buffer_.size())};
  }
  dram_buffer_ = dram_buffer.first(static_cast<std::size_t>(DramFloats()));
  std::fill_n(x_.data(), x_.size(), 0.5f);
  std::fill_n(y_.data(), y_.size(), 0.0f);  // touched before it is timed
}

double SpeedProbe::MeasureRead(int threads) { return MeasureMemoryRead(threads, dram_buffer_); }

double SpeedProbe::MeasureProduct(int threads) {
  const int before = omp_get_max_threads();
  UseThreads(threads);
  const bool packed = Backend().packs_weights;
  const auto start = Clock::now();
  for (int64_t i = 0; i < kWeights; ++i) {
    const WeightView<const float> weight{
        .data = dram_buffer_.data() + i * kSize * kSize,
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

SpeedProbe::Rates SpeedProbe::Measure(int threads) {
  constexpr int kTimes = 3;
  std::vector<double> reads, products;
  for (int i = 0; i < kTimes; ++i) {
    reads.push_back(MeasureRead(threads));
    products.push_back(MeasureProduct(threads));
  }
  return {.product_flops_per_s = Median(products), .read_bytes_per_s = Median(reads)};
}

}  // namespace flopledger
