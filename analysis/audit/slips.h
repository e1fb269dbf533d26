// Slips that people make in an accounting, and the figure that each gives: a factor lost, a part
// left out, a size taken for another, another model assumed. Arithmetic only; nothing here knows
// what was claimed.
#pragma once

#include <string>
#include <vector>

#include "analysis/audit/quantities.h"

namespace flopledger {

/// One slip that turns the derived value into the claimed one.
struct Cause {
  std::string text;
  std::string factor;  // the symbol or term concerned
  // lost, extra, replaced, elementwise, forgotten, counted_twice, elementwise_only, unit, rounding,
  // model
  std::string kind;
  int cost = 0;  // lower is more common and simpler
};

/// Costs of causes. Of several that explain a figure the cheapest is named first.
inline constexpr int kCommon = 10, kOfPart = 20, kOfGroup = 24, kInOnePart = 30, kFarFetched = 40,
                     kPair = 50;

struct Hypothesis {
  Cause cause;
  Exact value;
};

/// Slips in the factor of the whole alone.
std::vector<Hypothesis> WholeFactorSlips(const Catalogue& catalogue, const Quantity& quantity);

/// Every slip in one quantity's formula, the cheapest first.
std::vector<Hypothesis> SlipsIn(const Catalogue& catalogue, const Quantity& quantity);

/// The quantity's figure for a model that differs in a part or a size; `far`: at another context,
/// or for another preset.
std::vector<Hypothesis> AssumptionsIn(const Catalogue& catalogue, const Quantity& quantity,
                                      bool far);

/// Two slips of `single` made together.
std::vector<Hypothesis> PairsOf(const std::vector<Hypothesis>& single, const Exact& derived);

/// What people call a quantity: "both T×T products of attention".
std::string Called(const std::string& quantity);

/// How often `part` stands in `whole`; 0 where it is no part of it.
Exact TimesIn(const Contents& part, const Contents& whole);

}  // namespace flopledger
