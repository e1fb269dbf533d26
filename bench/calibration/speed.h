// How fast the machine is at the moment, by three reference speeds: the FMA peak
// (bench/calibration/calibrate), memory's read bandwidth, and a product of fixed shape. On a
// virtual machine each of them drifts on its own: a neighbour's traffic slows the caches, and
// products with them, while the FMA peak stays.
#pragma once

#include "bench/calibration/team_buffer.h"
#include "kernels/tensor.h"

namespace flopledger {

/// Of a team of threads, on memory of its own.
class SpeedProbe {
 public:
  explicit SpeedProbe(int threads);
  /// What it takes.
  static int64_t Bytes(int threads);

  int threads() const { return memory_.threads(); }
  TeamBuffer& memory() { return memory_; }
  const DramBuffer& dram_buffer() const { return dram_buffer_; }

  /// Bytes a second that the threads together read from memory, the whole buffer at least once:
  /// some 20 ms. Nothing else is left in the caches.
  double MeasureRead();

  /// FLOP/s of the reference GEMM, [256, 1024]·[1024, 1024] with eight weights in turn, by the
  /// first backend, its weights coming from memory (what the buffer begins with): some 50 ms.
  /// Call it after MeasureRead.
  double MeasureProduct();

  struct Rates {
    double product_flops_per_s = 0, read_bytes_per_s = 0;
  };
  /// Medians of several measurements of both, some 200 ms in all.
  Rates Measure();

 private:
  DramBuffer dram_buffer_;
  TeamBuffer memory_;
  Matrix<float> x_, y_;
};

}  // namespace flopledger
