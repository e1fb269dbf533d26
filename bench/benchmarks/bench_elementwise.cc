// Times embedding, norms, activations and residuals, one op at a time, at a model's shapes.
#include "bench/benchmarks/bench_main.h"

int main(int argc, char** argv) {
  using flopledger::OpKind;
  return flopledger::BenchMain(
      argc, argv, "Times embedding, norms, activations and residuals at a model's shapes.",
      [](flopledger::Workload& workload, bool is_sweep) {
        RegisterOps(workload,
                    {OpKind::kEmbedding, OpKind::kNorm, OpKind::kActivation, OpKind::kResidual},
                    is_sweep);
      });
}
