// Where a row that fails spends its time: its runs once more under `perf record`.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "bench/gate/settings.h"

namespace flopledger {

/// Folded stacks ("root;…;leaf count" lines, as flame graph tools read them) from the text that
/// `perf script` prints.
std::string FoldStacks(std::string_view perf_script);

/// Profiles each of these rows with both binaries and leaves <row>.baseline.folded and
/// <row>.candidate.folded in `folder`. Returns a line on each file, or on why there is none.
std::vector<std::string> ProfileRows(const GateSettings& settings,
                                     const std::vector<std::string>& rows,
                                     const std::string& folder);

}  // namespace flopledger
