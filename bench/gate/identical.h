// Whether two binaries are the same program, so that timing them would compare nothing.
#pragma once

#include <string>

namespace flopledger {

/// Both are ELF executables of one content, their libraries resolve to the same files, and nothing
/// that they may read beside themselves differs. False in doubt: then they are timed.
bool AreIdentical(const std::string& baseline, const std::string& candidate);

}  // namespace flopledger
