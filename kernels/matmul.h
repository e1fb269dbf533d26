// Matrix products y = x·w + bias: the interface, and the table of backends that this build has.
// Backends are plain functions; which one runs is chosen once, by name, before anything is timed.
// Legend: M rows of x and y, K the summed dimension, N columns of y.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "kernels/tensor.h"

namespace flopledger {

/// The operands of one product.
template <class Scalar>
struct MatmulArgs {
  ConstMatrixView<Scalar> x;  // [M, K]
  ConstMatrixView<Scalar> w;  // [K, N], or [N, K] when w_transposed
  bool w_transposed = false;
  const Scalar* bias = nullptr;  // [N], or null for none
  MatrixView<Scalar> y;          // [M, N], overwritten; must not overlap the inputs
};

/// Computes y = x·w + bias with all OpenMP threads, or with the calling thread alone when it is
/// already inside a parallel region (attention runs one product per head that way).
/// Rounding error of each element is at most gamma(K + 1) · (Σ|x||w| + |bias|), with
/// gamma(n) = n·u / (1 − n·u) (Higham, Accuracy and Stability of Numerical Algorithms, §3.1).
template <class Scalar>
using MatmulFn = void (*)(const MatmulArgs<Scalar>&);

/// How a backend cuts a product. Plain numbers, which closed formulas of what it executes take.
struct MatmulBlocking {
  int64_t tile_m = 0;   // rows of a tile of y; the last tile takes what is left as well
  int64_t tile_n = 0;   // columns of a tile of y, likewise
  int64_t k_block = 0;  // K is cut into ceil(K / k_block) blocks, each added onto y
};

/// How the "eigen" backend cuts products, whatever the scalar. k_block is at most Eigen's own.
MatmulBlocking EigenBlocking();

/// One entry of the table of backends.
template <class Scalar>
struct MatmulBackend {
  std::string_view name;
  std::string_view description;
  MatmulFn<Scalar> run;
};

/// The backends that this build has for Scalar (instantiated for float, double and
/// Counted<float>).
template <class Scalar>
std::span<const MatmulBackend<Scalar>> MatmulBackends();

/// The backend of that name, or null where this build has none.
template <class Scalar>
MatmulFn<Scalar> FindMatmul(std::string_view name) {
  for (const MatmulBackend<Scalar>& backend : MatmulBackends<Scalar>()) {
    if (backend.name == name) return backend.run;
  }
  return nullptr;
}

}  // namespace flopledger
