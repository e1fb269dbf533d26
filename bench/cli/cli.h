// The command line: parses, dispatches, and turns exceptions into one line and an exit code.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "bench/cli/common.h"

namespace flopledger {

struct Team;  // bench/machine/team.h

/// What a command ends with.
struct Ending {
  int code = kDone;  // the exit code
  std::string why;   // one line; empty where it did not fail, or has said why itself
};

/// Runs the program with `args` (without the program's name): results to `out`, log to `err`.
/// Throws nothing. A `team` runs it as one of its ranks: each calls this with the same words.
Ending RunCommand(const std::vector<std::string>& args, std::ostream& out, std::ostream& err,
                  Team* team = nullptr);

/// The same, with the line to `err` where it failed. Returns the exit code.
int RunCli(const std::vector<std::string>& args, std::ostream& out, std::ostream& err);

}  // namespace flopledger
