// The product of activations with weights that were packed when they were loaded.
#pragma once

#include "kernels/matmul.h"

namespace flopledger {

/// Elements of `scratch` that a product of x [M, K] needs: x in the order of the micro-kernel.
int64_t PackedScratchSize(int64_t M, int64_t K);

/// y = x·w + bias, and args.epilogue, for w in WeightLayout::kPanels. Executes 2·M·K FLOPs for each
/// column of each panel, the padded ones too, and those of the epilogue for each of y's elements.
template <class Scalar>
void MatmulPacked(const MatmulArgs<Scalar>& args);

}  // namespace flopledger
