// Activations of one row: for kernels/pointwise.h, and for products that apply them to a tile which
// is still in cache.
#pragma once

#include <cmath>
#include <concepts>
#include <unsupported/Eigen/SpecialFunctions>

#include "kernels/eigen_map.h"
#include "kernels/pointwise.h"

namespace flopledger {

namespace internal {

/// Calls use(f(x)) with the array expression that `nonlinearity` makes of x. Eigen holds the parts
/// of an expression by value, maps among them.
template <class Array, class Use>
void WithNonlinearity(Nonlinearity nonlinearity, const Array& x, Use&& use) {
  using Scalar = typename Array::Scalar;
  switch (nonlinearity) {
    case Nonlinearity::kGeluTanh: {
      const Scalar linear(0.7978845608028654);  // √(2/π)
      const Scalar cubic(0.7978845608028654 * 0.044715);
      return use(Scalar(0.5) * x * (Scalar(1) + (x * (linear + cubic * x.square())).tanh()));
    }
    case Nonlinearity::kGeluErf: {
      const Scalar inverse_sqrt2(0.7071067811865476);
      if constexpr (std::same_as<Scalar, float>) {  // the others have no packets of it
        return use(Scalar(0.5) * x * (Scalar(1) + (x * inverse_sqrt2).erf()));
      } else {
        return use(Scalar(0.5) * x *
                   (Scalar(1) + (x * inverse_sqrt2).unaryExpr([](const Scalar& v) {
                     using std::erf;
                     return erf(v);
                   })));
      }
    }
    case Nonlinearity::kRelu: return use(x.max(Scalar(0)));
    case Nonlinearity::kReluSquared: return use(x.max(Scalar(0)).square());
    case Nonlinearity::kSilu: return use(x / (Scalar(1) + (-x).exp()));
    case Nonlinearity::kGeluSigmoid: return use(x / (Scalar(1) + (x * Scalar(-1.702)).exp()));
  }
}

}  // namespace internal

/// In place: x[i] = f(x[i]).
template <class Scalar>
void ActivateRow(Nonlinearity f, Scalar* x, int64_t n) {
  auto row = AsRow(x, n);
  internal::WithNonlinearity(f, row, [&](const auto& activated) { row = activated; });
}

/// y[i] = f(gate[i]) · up[i], the gating of SwiGLU, GeGLU and ReGLU; y may be either. Source:
/// Shazeer 2020.
template <class Scalar>
void GateRow(Nonlinearity f, const Scalar* gate, const Scalar* up, Scalar* y, int64_t n) {
  internal::WithNonlinearity(
      f, AsRow(gate, n), [&](const auto& activated) { AsRow(y, n) = activated * AsRow(up, n); });
}

}  // namespace flopledger
