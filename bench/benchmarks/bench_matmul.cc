// Times the products with weights, one op at a time, at a model's shapes.
#include "bench/benchmarks/bench_main.h"

int main(int argc, char** argv) {
  using flopledger::OpKind;
  return flopledger::BenchMain(argc, argv, "Times the products with weights at a model's shapes.",
                               [](flopledger::Workload& workload, bool is_sweep) {
                                 RegisterOps(workload, {OpKind::kMatmul}, is_sweep);
                               });
}
