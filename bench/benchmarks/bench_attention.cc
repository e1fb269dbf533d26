// Times attention's products and softmax, and RoPE, one op at a time, at a model's shapes.
#include "bench/benchmarks/bench_main.h"

int main(int argc, char** argv) {
  using flopledger::OpKind;
  return flopledger::BenchMain(
      argc, argv, "Times attention's products and softmax, and RoPE at a model's shapes.",
      [](flopledger::Workload& workload, bool is_sweep) {
        RegisterOps(workload,
                    {OpKind::kRope, OpKind::kAttentionScores, OpKind::kAttentionSoftmax,
                     OpKind::kAttentionValues, OpKind::kAttention},
                    is_sweep);
      });
}
