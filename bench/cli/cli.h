// The command line: parses, dispatches, and turns exceptions into one line and an exit code.
#pragma once

#include <ostream>
#include <string>
#include <vector>

namespace flopledger {

/// Exit codes of the program (see README).
enum ExitCode { kDone = 0, kCheckFailed = 1, kBadInput = 2, kNoAnswer = 3, kProgramFault = 4 };

/// Runs the program with `args` (without the program's name): results to `out`, log and errors to
/// `err`. Returns the exit code; throws nothing.
int RunCli(const std::vector<std::string>& args, std::ostream& out, std::ostream& err);

}  // namespace flopledger
