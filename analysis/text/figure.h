// Figures as people write them: "1,557,611,200", "1.56 billion", "4.5 × 10^12", "~4 GB", "57,4 %".
// A figure is exact, or it stands for every value that rounds to its last digit.
#pragma once

#include <boost/multiprecision/cpp_int.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace flopledger {

/// Exact arithmetic: what is claimed is compared with what is derived without rounding.
using Exact = boost::multiprecision::cpp_rational;

enum class Unit {
  kParameters,
  kFlops,
  kMacs,  // multiply-adds, 2 FLOPs each
  kBytes,
  kPercent,
  kPlain,
  kRatio,
  kSeconds,
  kHours,
  kDays,
  kTokensPerSecond,
  kFlopsPerByte
};
std::string_view NameOf(Unit unit);

struct Figure {
  std::string written;
  Exact value;
  Exact low, high;  // what the written digits may stand for; both `value` when exact

  bool exact() const { return low == high; }
  bool Covers(const Exact& other) const { return low <= other && other <= high; }
};

/// Every reading of a figure, the likeliest first: digits in groups, a point or a decimal comma, a
/// power of ten, a scale (k, M, million, B, G, T, tera, …) and a name of the unit. Words such as
/// "about", a point, a power or a scale make it a rounded figure; so do units that are no counts
/// (%, hours, …); else it is exact. There are two readings of a number below 1 that is a share and
/// has no %: a proportion, or percent. In front of bytes B is the unit, but a number too small or
/// too broken to be bytes is in billions. Throws InputError (naming `where`) for what is no such
/// number, is negative, has another unit, or passes 2^63 − 1.
std::vector<Figure> FigureReadings(std::string_view text, Unit unit, const std::string& where);

/// The likeliest reading.
Figure ParseFigure(std::string_view text, Unit unit, const std::string& where);

/// Whether the text ends in a unit or a scale ("80 GB", not "80").
bool HasUnit(std::string_view text);

/// 6220499200 as "6,220,499,200"; a fraction with up to six digits.
std::string Show(const Exact& value);

}  // namespace flopledger
