// What the plain Google Benchmark binaries share: their options and their main.
#pragma once

#include <functional>
#include <vector>

#include "bench/run/workload.h"

namespace flopledger {

/// Registers benchmarks on a workload that lives until they have run; called for each point of a
/// sweep, where names must tell one from another.
using RegisterFn = std::function<void(Workload&, bool is_sweep)>;

/// Parses --model, --layers, the lists --context, --batch, --threads and --matmul, and Google
/// Benchmark's flags, makes a workload for each point (one layer of gpt2-xl unless told otherwise),
/// calls `register_all`, and runs what was registered. Returns the exit code of the program.
int BenchMain(int argc, char** argv, const char* description, const RegisterFn& register_all);

/// Registers one benchmark for each op of the workload whose kind is in `kinds`. Names of a sweep
/// have context and batch as well, for m may be the same.
void RegisterOps(Workload& workload, const std::vector<OpKind>& kinds, bool is_sweep);

}  // namespace flopledger
