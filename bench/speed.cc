#include "bench/speed.h"

#include <omp.h>

#include <algorithm>

#include "analysis/stats.h"
#include "bench/calibrate.h"
#include "bench/stopwatch.h"
#include "kernels/matmul.h"
#include "kernels/matmul_packed.h"

namespace flopledger {
namespace {

constexpr int64_t kRows = 256, kSize = 1024;
constexpr int kWeights = 8;  // 32 MiB

int64_t FarFloats() { return FarBytes() / static_cast<int64_t>(sizeof(float)); }
bool IsFar(std::span<const float> far) { return static_cast<int64_t>(far.size()) >= FarFloats(); }

const MatmulBackend<float>& Backend() { return MatmulBackends<float>().front(); }

}  // namespace

int64_t SpeedProbe::Bytes(std::span<const float> far) {
  const int64_t floats = (IsFar(far) ? 0 : FarFloats()) + kWeights * kSize * kSize +
                         2 * kRows * kSize + PackedScratchSize(kRows, kSize);
  return floats * static_cast<int64_t>(sizeof(float));
}

SpeedProbe::SpeedProbe(std::span<const float> far)
    : x_(kRows, kSize), y_(kRows, kSize), scratch_(1, PackedScratchSize(kRows, kSize)) {
  if (!IsFar(far)) {
    own_far_ = Matrix<float>(1, FarFloats());
    std::fill_n(own_far_.data(), own_far_.size(), 0.0f);
    far = {own_far_.data(), static_cast<std::size_t>(own_far_.size())};
  }
  far_ = far.first(static_cast<std::size_t>(FarFloats()));
  const auto layout =
      Backend().packs_weights ? WeightLayout::kPanels : WeightLayout::kInputsByOutputs;
  for (int i = 0; i < kWeights; ++i) {
    Weight<float>& weight = weights_.emplace_back(kSize, kSize, layout);
    std::fill_n(weight.view().data, weight.stored_size(), 0.01f);
  }
  std::fill_n(x_.data(), x_.size(), 0.5f);
  std::fill_n(y_.data(), y_.size(), 0.0f);  // touched before it is timed, as the scratch is
  std::fill_n(scratch_.data(), scratch_.size(), 0.0f);
}

double SpeedProbe::MeasureRead(int threads) { return MeasureMemoryRead(threads, far_); }

double SpeedProbe::MeasureProduct(int threads) {
  const int before = omp_get_max_threads();
  omp_set_num_threads(threads);
  const auto start = Clock::now();
  for (const Weight<float>& weight : weights_) {
    Backend().run({.x = x_.view(), .w = weight.view(), .y = y_.view(), .scratch = scratch_.data()});
  }
  const double seconds = SecondsSince(start);
  omp_set_num_threads(before);
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
