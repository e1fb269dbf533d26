// The pages that ToHtml puts together.
#pragma once

#include <string>
#include <vector>

#include "analysis/report/report.h"

namespace flopledger {

/// The sections of one run, in the order in which they are read; `id` begins the names of its
/// headings.
std::string RunPage(const ReportView& view, const std::string& id);

/// Several runs side by side, each held against the first.
std::string ComparisonPage(const std::vector<ReportView>& views);

/// The letter that a run goes by: A, B, …
std::string LetterOf(std::size_t run);

/// Letters of an operation's name in a table.
constexpr std::size_t kLongestName = 80;
/// Colours by name: c1 to c8, and c0 for all else.
constexpr std::size_t kColours = 8;

}  // namespace flopledger
