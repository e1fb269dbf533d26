// Kernels without a reduction: token embedding, activations, residual add. Rows run in parallel.
// Legend: R rows (B·T), C d_model, F d_ff, V vocabulary.
#pragma once

#include <cmath>
#include <span>

#include "kernels/eigen_map.h"
#include "kernels/weight.h"

namespace flopledger {

/// y[r] = row tokens[r] of the table (+ positions[r mod context] unless positions.data is null).
/// tokens: [R], each in [0, V), checked by the caller; table: [C, V] in any layout; positions:
/// [≥ context, C].
template <class Scalar>
void Embed(std::span<const int32_t> tokens, WeightView<const Scalar> table,
           ConstMatrixView<Scalar> positions, int64_t context, MatrixView<Scalar> y) {
  FL_CHECK(static_cast<int64_t>(tokens.size()) == y.rows && table.inputs == y.cols, tokens.size(),
           y.rows, table.inputs, y.cols);
#pragma omp parallel for
  for (int64_t r = 0; r < y.rows; ++r) {
    const int64_t token = tokens[static_cast<std::size_t>(r)];
    for (int64_t c = 0; c < y.cols; ++c) y(r, c) = table(c, token);
    if (positions.data != nullptr) AsRow(y, r) += AsRow(positions, r % context);
  }
}

/// x[i] = 0.5·x·(1 + tanh(√(2/π)·(x + 0.044715·x³))), the form that GPT-2 was trained with.
/// Source: Hendrycks and Gimpel 2016, §2.
template <class Scalar>
void GeluTanhRow(Scalar* x, int64_t n) {
  const Scalar linear(0.7978845608028654);  // √(2/π)
  const Scalar cubic(0.7978845608028654 * 0.044715);
  auto row = AsRow(x, n);
  row = Scalar(0.5) * row * (Scalar(1) + (row * (linear + cubic * row.square())).tanh());
}

/// x[i] = 0.5·x·(1 + erf(x/√2)), the exact form. Source: Hendrycks and Gimpel 2016, §2.
template <class Scalar>
void GeluErfRow(Scalar* x, int64_t n) {
  const Scalar inverse_sqrt2(0.7071067811865476);
  auto row = AsRow(x, n);
  row = Scalar(0.5) * row * (Scalar(1) + (row * inverse_sqrt2).unaryExpr([](const Scalar& v) {
          using std::erf;
          return erf(v);
        }));
}

/// x[i] = max(x, 0).
template <class Scalar>
void ReluRow(Scalar* x, int64_t n) {
  AsRow(x, n) = AsRow(x, n).max(Scalar(0));
}

/// y[i] = gate / (1 + e^−gate) · up, SwiGLU's gating; y may be either. Source: Shazeer 2020.
template <class Scalar>
void SiluGateRow(const Scalar* gate, const Scalar* up, Scalar* y, int64_t n) {
  const auto row = AsRow(gate, n);
  AsRow(y, n) = row / (Scalar(1) + (-row).exp()) * AsRow(up, n);
}

/// The same of each row in place, x: [R, F].
template <class Scalar>
void GeluTanh(MatrixView<Scalar> x) {
#pragma omp parallel for
  for (int64_t r = 0; r < x.rows; ++r) GeluTanhRow(x.row(r), x.cols);
}
template <class Scalar>
void GeluErf(MatrixView<Scalar> x) {
#pragma omp parallel for
  for (int64_t r = 0; r < x.rows; ++r) GeluErfRow(x.row(r), x.cols);
}
template <class Scalar>
void Relu(MatrixView<Scalar> x) {
#pragma omp parallel for
  for (int64_t r = 0; r < x.rows; ++r) ReluRow(x.row(r), x.cols);
}

/// In place of the gate: gate [R, F] = SiLU(gate) · up [R, F].
template <class Scalar>
void SiluGate(MatrixView<Scalar> gate, ConstMatrixView<Scalar> up) {
  FL_CHECK(gate.rows == up.rows && gate.cols == up.cols, gate.rows, gate.cols, up.rows, up.cols);
#pragma omp parallel for
  for (int64_t r = 0; r < gate.rows; ++r) {
    SiluGateRow<Scalar>(gate.row(r), up.row(r), gate.row(r), gate.cols);
  }
}

/// In place: x += y. Both [R, C].
template <class Scalar>
void AddResidual(MatrixView<Scalar> x, ConstMatrixView<Scalar> y) {
  FL_CHECK(x.rows == y.rows && x.cols == y.cols, x.rows, x.cols, y.rows, y.cols);
#pragma omp parallel for
  for (int64_t r = 0; r < x.rows; ++r) AsRow(x, r) += AsRow(y, r);
}

}  // namespace flopledger
