// Figures as people write them: "1,557,611,200", "3.5T", "~4 GB", "57.4 %".
// A figure is exact, or it stands for every value that rounds to its last digit.
#pragma once

#include <boost/multiprecision/cpp_int.hpp>
#include <string>
#include <string_view>

namespace flopledger {

/// Exact arithmetic: what is claimed is held against what is derived without rounding.
using Exact = boost::multiprecision::cpp_rational;

enum class Unit { kParameters, kFlops, kBytes, kPercent, kPlain };
std::string_view NameOf(Unit unit);

struct Figure {
  std::string written;
  Exact value;
  Exact low, high;        // what the written digits may stand for; both `value` when exact
  int decimal_kilos = 0;  // 3 for GB: the power of 1,000 whose binary sister may have been meant

  bool exact() const { return low == high; }
  bool Covers(const Exact& other) const { return low <= other && other <= high; }
};

/// Digits with commas, a point, an exponent, then a scale (k, M, B or G, T, P, E; of bytes kB, MB,
/// GB, GiB, …) and the unit's name. "~", a point or a scale make it a rounded figure; else it is
/// exact. In front of bytes B is the unit, elsewhere the billion. Throws InputError (naming
/// `where`) for what is no such number, is negative, or passes 2^63 − 1.
Figure ParseFigure(std::string_view text, Unit unit, const std::string& where);

/// 6220499200 as "6,220,499,200"; a fraction with up to six digits.
std::string Show(const Exact& value);

}  // namespace flopledger
