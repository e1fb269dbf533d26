// What the plain Google Benchmark binaries share: their options and their main.
#pragma once

#include <functional>
#include <vector>

#include "bench/run/workload.h"

namespace flopledger {

/// Registers benchmarks on a workload that lives until they have run; called for each backend.
using RegisterFn = std::function<void(Workload&)>;

/// Parses --model, --context, --layers, --threads, --matmul and Google Benchmark's flags, makes the
/// workload (one layer of gpt2-xl unless told otherwise), calls `register_all`, and runs what was
/// registered. Returns the exit code of the program.
int BenchMain(int argc, char** argv, const char* description, const RegisterFn& register_all);

/// Registers one benchmark for each op of the workload whose kind is in `kinds`.
void RegisterOps(Workload& workload, const std::vector<OpKind>& kinds);

}  // namespace flopledger
