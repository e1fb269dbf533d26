// CSV as RFC 4180 has it, through libcsv.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace flopledger {

/// One line with its line end; fields are quoted where they must be.
std::string CsvLine(std::span<const std::string> fields);

/// All lines of `text`. Throws InputError (naming `where`) for a malformed quote or for lines of
/// unequal length.
std::vector<std::vector<std::string>> ParseCsv(std::string_view text, const std::string& where);

}  // namespace flopledger
