// Google Benchmark as part of a program with a line and an output of its own.
#pragma once

#include <string>
#include <vector>

namespace flopledger {

/// Hands `flags` to Google Benchmark. Throws InputError for one that it does not take.
void InitializeGoogleBenchmark(const std::vector<std::string>& flags);

/// Runs the registered benchmarks that the filter selects, with Google Benchmark's own table and
/// remarks kept off the terminal, and forgets them.
void RunSilently();

}  // namespace flopledger
