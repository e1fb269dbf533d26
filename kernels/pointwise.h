// Kernels without a reduction: token embedding, activations, residual add. Rows run in parallel.
// Legend: R rows (B·T), C d_model, F d_ff, V vocabulary.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/tensor.h"
#include "kernels/weight.h"

namespace flopledger {

/// The operands of an embedding.
template <class Scalar>
struct EmbedArgs {
  std::span<const int32_t> tokens;         // [R], each in [0, V), checked by the caller
  WeightView<const Scalar> table;          // [C, V] in any layout
  double scale = 1;                        // of the table's rows
  ConstMatrixView<Scalar> positions = {};  // [≥ context, C], or no data
  int64_t context = 1;                     // rows of one sequence
  MatrixView<Scalar> y;                    // [R, C]
};

/// y[r] = scale · row tokens[r] of the table (+ positions[r mod context]).
template <class Scalar>
void Embed(const EmbedArgs<Scalar>& args);

/// In place: y[r] += positions[r mod context]; nothing where positions.data is null. y: [R, C],
/// positions: [≥ context, C].
template <class Scalar>
void AddPositions(ConstMatrixView<Scalar> positions, int64_t context, MatrixView<Scalar> y);

/// What the FFN does to each element, of its only projection or of its gate.
enum class Nonlinearity {
  kGeluTanh,  // 0.5·x·(1 + tanh(√(2/π)·(x + 0.044715·x³))), the form that GPT-2 was trained with
  kGeluErf,  // 0.5·x·(1 + erf(x/√2)), the exact form. Source of both: Hendrycks and Gimpel 2016
  kRelu,     // max(x, 0)
  kReluSquared,  // max(x, 0)². Source: So et al. 2021 (Primer)
  kSilu,         // x / (1 + e^−x). Source: Elfwing et al. 2017
  kGeluSigmoid,  // x / (1 + e^(−1.702·x)), an approximation of GELU
};

/// In place, each row of x [R, F].
template <class Scalar>
void Activate(Nonlinearity f, MatrixView<Scalar> x);

/// In place of the gate [R, F]: gate = f(gate) · up [R, F].
template <class Scalar>
void ActivateGate(Nonlinearity f, MatrixView<Scalar> gate, ConstMatrixView<Scalar> up);

/// In place: x += multiplier · y. Both [R, C].
template <class Scalar>
void AddResidual(MatrixView<Scalar> x, ConstMatrixView<Scalar> y, double multiplier = 1);

}  // namespace flopledger
