// How fast the machine is at the moment, by three reference speeds: the FMA peak
// (bench/calibration/calibrate), memory's read bandwidth, and a product of fixed shape. On a
// virtual machine each of them drifts on its own: a neighbour's traffic slows the caches, and
// products with them, while the FMA peak stays.
#pragma once

#include <span>

#include "kernels/tensor.h"

namespace flopledger {

class SpeedProbe {
 public:
  /// `dram_buffer` is memory of the caller's to read from; where it is shorter than
  /// DramBufferBytes, the probe takes its own. Takes Bytes(dram_buffer) in all.
  explicit SpeedProbe(std::span<const float> dram_buffer);
  static int64_t Bytes(std::span<const float> dram_buffer);

  /// Bytes a second that `threads` threads together read from memory: some 20 ms. Nothing else is
  /// left in the caches.
  double MeasureRead(int threads);

  /// FLOP/s of the reference GEMM, [256, 1024]·[1024, 1024] with eight weights in turn, by the
  /// first backend, its weights coming from memory (what `dram_buffer` begins with): some 50 ms.
  /// Call it after MeasureRead.
  double MeasureProduct(int threads);

  struct Rates {
    double product_flops_per_s = 0, read_bytes_per_s = 0;
  };
  /// Medians of several measurements of both, some 200 ms in all.
  Rates Measure(int threads);

 private:
  Matrix<float> own_dram_buffer_;
  std::span<const float> dram_buffer_;
  Matrix<float> x_, y_;
};

}  // namespace flopledger
