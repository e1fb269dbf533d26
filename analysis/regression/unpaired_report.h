// The forms of a comparison of two saved results.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "analysis/regression/unpaired.h"
#include "analysis/text/table.h"

namespace flopledger {

/// `rows` of name, metric, verdict and reason, with the values, the ratio and its bounds.
nlohmann::json ToJson(const UnpairedComparison& comparison, const UnpairedRule& rule);

/// One line a row; where there is none, one on the whole. Numbers stand in columns of their own, a
/// value in the unit that the column `unit` names.
std::string ToCsv(const UnpairedComparison& comparison);

/// For people: one line a row.
Table ToTable(const UnpairedComparison& comparison);

/// The lines below the table: what is not comparable, what differs, what can be concluded and what
/// cannot, the verdict.
std::string Conclusion(const UnpairedComparison& comparison, const UnpairedRule& rule);

}  // namespace flopledger
