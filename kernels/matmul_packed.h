// The product of activations with weights that were packed when they were loaded.
#pragma once

#include "kernels/matmul.h"

namespace flopledger {

/// y = x·w + bias, and args.epilogue, for w in WeightLayout::kPanels. x is read where it lies: its
/// rows had best be OddLinesStride apart (multiples of 1,024 floats cost 8 to 25 % on Zen 4).
/// Executes 2·M·K FLOPs for each column of each panel, the padded ones too, and those of the
/// epilogue for each of y's elements.
template <class Scalar>
void MatmulPacked(const MatmulArgs<Scalar>& args);

}  // namespace flopledger
