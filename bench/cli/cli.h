// The command line: parses, dispatches, and turns exceptions into one line and an exit code.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "bench/cli/common.h"

namespace flopledger {

struct Team;  // bench/machine/team.h

/// Runs the program with `args` (without the program's name): results to `out`, log and errors to
/// `err`. Returns the exit code; throws nothing. A `team` runs it as one of its ranks: each calls
/// this with the same words.
int RunCli(const std::vector<std::string>& args, std::ostream& out, std::ostream& err,
           Team* team = nullptr);

}  // namespace flopledger
