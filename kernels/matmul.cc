#include "kernels/matmul.h"

#include <omp.h>

#include <algorithm>

#include "kernels/eigen_map.h"

namespace flopledger {
namespace {

template <class Scalar>
void CheckShapes(const MatmulArgs<Scalar>& args) {
  const int64_t w_rows = args.w_transposed ? args.w.cols : args.w.rows;
  const int64_t w_cols = args.w_transposed ? args.w.rows : args.w.cols;
  FL_CHECK(args.x.rows == args.y.rows, args.x.rows, args.y.rows);
  FL_CHECK(args.x.cols == w_rows, args.x.cols, w_rows);
  FL_CHECK(args.y.cols == w_cols, args.y.cols, w_cols);
}

/// Three loops, the definition itself: what the others are held against.
template <class Scalar>
void MatmulReference(const MatmulArgs<Scalar>& args) {
  CheckShapes(args);
  const int64_t M = args.x.rows, K = args.x.cols, N = args.y.cols;
#pragma omp parallel for if (!omp_in_parallel())
  for (int64_t m = 0; m < M; ++m) {
    for (int64_t n = 0; n < N; ++n) {
      Scalar sum = args.bias != nullptr ? args.bias[n] : Scalar(0);
      for (int64_t k = 0; k < K; ++k) {
        sum += args.x(m, k) * (args.w_transposed ? args.w(n, k) : args.w(k, n));
      }
      args.y(m, n) = sum;
    }
  }
}

/// The columns of `args` from `begin` to `end` as a product of its own.
template <class Scalar>
MatmulArgs<Scalar> ColumnsOf(const MatmulArgs<Scalar>& args, int64_t begin, int64_t end) {
  MatmulArgs<Scalar> part = args;
  part.w = args.w_transposed ? args.w.block(begin, 0, end - begin, args.w.cols)
                             : args.w.block(0, begin, args.w.rows, end - begin);
  part.bias = args.bias != nullptr ? args.bias + begin : nullptr;
  part.y = args.y.block(0, begin, args.y.rows, end - begin);
  return part;
}

template <class Scalar>
MatmulArgs<Scalar> RowsOf(const MatmulArgs<Scalar>& args, int64_t begin, int64_t end) {
  MatmulArgs<Scalar> part = args;
  part.x = args.x.block(begin, 0, end - begin, args.x.cols);
  part.y = args.y.block(begin, 0, end - begin, args.y.cols);
  return part;
}

/// One thread's product. Eigen adds its accumulators onto what stands in y, whatever stands there
/// (for "=" it clears y first), so starting from the bias makes the bias free.
template <class Scalar>
void MatmulEigenSerial(const MatmulArgs<Scalar>& args) {
  for (int64_t m = 0; m < args.y.rows; ++m) {
    if (args.bias != nullptr) {
      std::copy_n(args.bias, args.y.cols, args.y.row(m));
    } else {
      std::fill_n(args.y.row(m), args.y.cols, Scalar(0));
    }
  }
  auto y = AsMatrix(args.y);
  if (args.w_transposed) {
    y.noalias() += AsMatrix(args.x) * AsMatrix(args.w).transpose();
  } else {
    y.noalias() += AsMatrix(args.x) * AsMatrix(args.w);
  }
}

/// Cuts the larger of M and N into one run of whole micro-tiles a thread. Eigen's own partition
/// (EIGEN_DONT_PARALLELIZE turns it off) synchronises on packed blocks and loses to this.
template <class Scalar>
void MatmulEigen(const MatmulArgs<Scalar>& args) {
  CheckShapes(args);
  if (omp_in_parallel()) return MatmulEigenSerial(args);
  constexpr int64_t kTile = 48;  // a multiple of every micro-kernel's height that Eigen 3.4 uses
  const bool by_columns = args.y.cols >= args.y.rows;
  const int64_t size = by_columns ? args.y.cols : args.y.rows;
  const int64_t tiles = (size + kTile - 1) / kTile;
#pragma omp parallel
  {
    const int64_t thread = omp_get_thread_num(), threads = omp_get_num_threads();
    const int64_t begin = std::min(size, tiles * thread / threads * kTile);
    const int64_t end = std::min(size, tiles * (thread + 1) / threads * kTile);
    if (begin < end) {
      MatmulEigenSerial(by_columns ? ColumnsOf(args, begin, end) : RowsOf(args, begin, end));
    }
  }
}

}  // namespace

template <class Scalar>
std::span<const MatmulBackend<Scalar>> MatmulBackends() {
  static constexpr MatmulBackend<Scalar> kBackends[] = {
      {"eigen", "Eigen's blocked product, cut into one part a thread", MatmulEigen<Scalar>},
      {"reference", "three plain loops, to check the others against", MatmulReference<Scalar>},
  };
  return kBackends;
}

template std::span<const MatmulBackend<float>> MatmulBackends<float>();
template std::span<const MatmulBackend<double>> MatmulBackends<double>();

}  // namespace flopledger
