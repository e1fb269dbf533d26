// Names of foreign benchmarks as they can be printed.
#pragma once

#include <string>
#include <string_view>

namespace flopledger {

/// `text` with control characters written out, a line end as "\n", an escape as "\x1b", so that two
/// names stay two; marks that turn the direction of writing become U+FFFD.
std::string EscapedName(std::string_view text);

}  // namespace flopledger
