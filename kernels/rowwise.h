// Kernels that reduce along each row: LayerNorm, RMSNorm, softmax. Rows run in parallel.
// Legend: R rows (B·T), C columns (d_model). Scalar is float, double, or a counting scalar.
#pragma once

#include "kernels/tensor.h"

namespace flopledger {

/// y = (x − mean) / sqrt(var + eps) · gain + bias for each row; var is the biased variance.
/// x, y: [R, C], may be the same; gain: [C]; bias: [C] or null. Source: Ba et al. 2016.
template <class Scalar>
void LayerNorm(ConstMatrixView<Scalar> x, const Scalar* gain, const Scalar* bias, Scalar eps,
               MatrixView<Scalar> y);

/// y = x / sqrt(mean(x²) + eps) · gain for each group of gain.cols neighbours in a row: the whole
/// row, or each head of a row of queries or keys (Henry et al. 2020, QK-norm). x, y: [R, a multiple
/// of gain.cols], may be the same; gain: one row. Source: Zhang and Sennrich 2019.
template <class Scalar>
void RmsNorm(ConstMatrixView<Scalar> x, ConstMatrixView<Scalar> gain, Scalar eps,
             MatrixView<Scalar> y);

}  // namespace flopledger
