// The user's cache folder.
#pragma once

#include <string>

namespace flopledger {

/// FlopLedger's folder in the user's cache: $XDG_CACHE_HOME/flopledger, else
/// $HOME/.cache/flopledger. A variable that is set to nothing counts as not set (XDG Base Directory
/// Specification). Empty where the user has neither. The folder need not exist yet.
std::string CacheDir();

}  // namespace flopledger
