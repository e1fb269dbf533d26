// The flags of Google Benchmark that `run` hands on.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace flopledger {

/// Refuses values at which Google Benchmark ends the program, in its own words or in silence. Of
/// several flags of one name the last holds. Throws InputError.
void CheckBenchmarkFlags(const std::vector<std::string>& flags);

/// Repetitions that the flags ask for; 3 where they do not. Throws InputError.
int64_t RepetitionsOf(const std::vector<std::string>& flags);

}  // namespace flopledger
