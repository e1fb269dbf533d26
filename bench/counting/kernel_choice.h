// The kernels of a run, resolved once from the names on the command line.
#pragma once

#include <string_view>

#include "analysis/accounting/executed.h"
#include "kernels/matmul.h"
#include "model/ops.h"

namespace flopledger {

enum class AttentionKernel {
  kFused,      // scores, softmax and values in one, nothing stored
  kReference,  // three ops, the scores stored
};
/// "fused", "reference".
std::string_view NameOf(AttentionKernel attention);

struct KernelChoice {
  const MatmulBackend<float>* matmul = &MatmulBackends<float>().front();
  AttentionKernel attention = AttentionKernel::kFused;

  /// `shape` with what these kernels make of the list of operations.
  RunShape Apply(RunShape shape) const;
};

/// What the `executed` formulas must know of the kernels of this build. `matmul` is a backend's
/// name, for any scalar.
KernelFacts FactsOf(std::string_view matmul, AttentionKernel attention);
inline KernelFacts FactsOf(const KernelChoice& kernels) {
  return FactsOf(kernels.matmul->name, kernels.attention);
}

}  // namespace flopledger
