// Matrix products y = x·w + bias: the interface, and the table of backends that this build has.
// Backends are plain functions; which one runs is chosen once, by name, before anything is timed.
// Legend: M rows of x and y, K the summed dimension, N columns of y.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>

#include "kernels/pointwise.h"
#include "kernels/tensor.h"
#include "kernels/weight.h"

namespace flopledger {

/// What a backend that fuses does to an element of y when its sum is complete, while it is in
/// cache.
enum class Epilogue {
  kNone,
  kResidual,  // y += x·w + bias instead of y = x·w + bias
  kActivate,  // y = f(x·w + bias)
  kGate,      // y = f(gate) · (x·w + bias)
};

/// The operands of one product.
template <class Scalar>
struct MatmulArgs {
  ConstMatrixView<Scalar> x;            // [M, K]
  WeightView<const Scalar> w;           // [K, N], in a layout that the backend takes
  const Scalar* bias = nullptr;         // [N], or null for none
  MatrixView<Scalar> y;                 // [M, N], overwritten; must not overlap the inputs
  Epilogue epilogue = Epilogue::kNone;  // of a backend that fuses_epilogues
  Nonlinearity nonlinearity = {};       // f of kActivate and kGate
  ConstMatrixView<Scalar> gate = {};    // [M, N], for kGate
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
  bool packs_weights = false;    // takes WeightLayout::kPanels, else the two plain layouts
  bool fuses_epilogues = false;  // and so is run on lists of ops that leave them to the products
};

/// The backends that this build has for Scalar (instantiated for float, double and
/// Counted<float>).
template <class Scalar>
std::span<const MatmulBackend<Scalar>> MatmulBackends();

/// The library of that name (kernels/matmul_library.h), or null where it cannot be loaded here.
const MatmulBackend<float>* FindLoadedMatmul(std::string_view name);

/// The backend of that name, or null where this build has none and no library is loaded for it.
template <class Scalar>
const MatmulBackend<Scalar>* FindMatmul(std::string_view name) {
  for (const MatmulBackend<Scalar>& backend : MatmulBackends<Scalar>()) {
    if (backend.name == name) return &backend;
  }
  if constexpr (std::is_same_v<Scalar, float>) return FindLoadedMatmul(name);
  return nullptr;
}

/// Whether the backend of that name fuses epilogues; false where there is none.
inline bool FusesEpilogues(std::string_view name) {
  const MatmulBackend<float>* backend = FindMatmul<float>(name);
  return backend != nullptr && backend->fuses_epilogues;
}

/// Fails unless the shapes of x, w and y belong together.
template <class Scalar>
void CheckMatmulShapes(const MatmulArgs<Scalar>& args) {
  FL_CHECK(args.x.rows == args.y.rows, args.x.rows, args.y.rows);
  FL_CHECK(args.x.cols == args.w.inputs, args.x.cols, args.w.inputs);
  FL_CHECK(args.y.cols == args.w.outputs, args.y.cols, args.w.outputs);
}

/// Puts the bias, or zero, into y's rows [m, m_end) and columns [n, n_end): what is added onto.
template <class Scalar>
void InitWithBias(const MatmulArgs<Scalar>& args, int64_t m, int64_t m_end, int64_t n,
                  int64_t n_end) {
  for (; m < m_end; ++m) {
    if (args.bias != nullptr) {
      std::copy(args.bias + n, args.bias + n_end, args.y.row(m) + n);
    } else {
      std::fill(args.y.row(m) + n, args.y.row(m) + n_end, Scalar(0));
    }
  }
}

}  // namespace flopledger
