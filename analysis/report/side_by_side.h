// Ledgers of several backends as one table.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "analysis/ledger/record.h"
#include "analysis/text/table.h"

namespace flopledger {

/// A line for each op of `rows` and a column for each backend (the rows' `matmul`), both as they
/// first appear: `field` times `scale` with so many digits, blank where a backend has no such row
/// or figure. `title` stands above the ops and says what the figures are.
Table SideBySide(const std::vector<Record>& rows, const std::string& title,
                 std::optional<double> Record::*field, double scale, int digits);

}  // namespace flopledger
