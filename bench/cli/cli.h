// The command line: parses, dispatches, and turns exceptions into one line and an exit code.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "bench/cli/common.h"

namespace flopledger {

/// Runs the program with `args` (without the program's name): results to `out`, log and errors to
/// `err`. Returns the exit code; throws nothing.
int RunCli(const std::vector<std::string>& args, std::ostream& out, std::ostream& err);

}  // namespace flopledger
