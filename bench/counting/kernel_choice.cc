#include "bench/counting/kernel_choice.h"

#include "kernels/attention_fused.h"
#include "kernels/weight.h"

namespace flopledger {

std::string_view NameOf(AttentionKernel attention) {
  return attention == AttentionKernel::kFused ? "fused" : "reference";
}

RunShape KernelChoice::Apply(RunShape shape) const {
  shape.fused_attention = attention == AttentionKernel::kFused;
  shape.fused_epilogues = matmul->fuses_epilogues;
  return shape;
}

KernelFacts FactsOf(std::string_view matmul, AttentionKernel attention) {
  const MatmulBlocking blocking = EigenBlocking();
  return {.matmul = std::string(matmul),
          .attention = std::string(NameOf(attention)),
          .panel = kTileColumns<float>,
          .queries = FusedBlocking<float>().queries,
          .keys = FusedBlocking<float>().keys,
          .tile_m = blocking.tile_m,
          .tile_n = blocking.tile_n,
          .k_block = blocking.k_block};
}

}  // namespace flopledger
