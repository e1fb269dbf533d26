#include "analysis/text/figure.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <optional>
#include <regex>
#include <utility>

#include "analysis/text/table.h"
#include "model/input_error.h"

namespace flopledger {
namespace {

using Integer = boost::multiprecision::cpp_int;

Exact Power(int base, int exponent) {
  const Integer power =
      boost::multiprecision::pow(Integer(base), static_cast<unsigned>(std::abs(exponent)));
  return exponent < 0 ? Exact(Integer(1), power) : Exact(power);
}

/// What a text writes with other characters than ASCII, or as TeX, and what it means.
constexpr std::pair<std::string_view, std::string_view> kSpellings[] = {
    {"\u00a0", " "}, {"\u202f", " "},   {"\u2009", " "}, {"\u2007", " "},   {"’", "'"},
    {"−", "-"},      {"×", "x"},        {"·", "x"},      {"⋅", "x"},        {"∙", "x"},
    {"≈", "~"},      {"≃", "~"},        {"∼", "~"},      {"≅", "~"},        {"µ", "u"},
    {"μ", "u"},      {"\\times", "x"},  {"\\cdot", "x"}, {"\\approx", "~"}, {"\\sim", "~"},
    {"{,}", ","},    {"\\,", " "},      {"\\;", " "},    {"\\%", "%"},      {"$", ""},
    {"\\text", " "}, {"\\mathrm", " "}, {"{", ""},       {"}", ""},         {"**", "^"},
    {"*", "x"}};
constexpr std::string_view kSuperscripts[] = {"⁰", "¹", "²", "³", "⁴", "⁵",
                                              "⁶", "⁷", "⁸", "⁹", "⁻"};

void Replace(std::string& text, std::string_view from, std::string_view to) {
  for (auto at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

/// In ASCII and small letters: "≈4.5 × 10¹²" as "~4.5 x 10^12".
std::string Plain(std::string_view written) {
  std::string text(written);
  for (const auto& [from, to] : kSpellings) Replace(text, from, to);
  std::size_t first = std::string::npos;
  for (const std::string_view digit : kSuperscripts) first = std::min(first, text.find(digit));
  if (first != std::string::npos) text.insert(first, "^");
  for (std::size_t i = 0; i < std::size(kSuperscripts); ++i) {
    Replace(text, kSuperscripts[i], i == 10 ? "-" : std::to_string(i));
  }
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

struct Scale {
  std::string_view text;
  int base, exponent;
};
/// The longest first, so that "million" is not read as "m".
constexpr Scale kScales[] = {{"quadrillion", 10, 15},
                             {"quintillion", 10, 18},
                             {"thousand", 10, 3},
                             {"trillions", 10, 12},
                             {"trillion", 10, 12},
                             {"billions", 10, 9},
                             {"billion", 10, 9},
                             {"millions", 10, 6},
                             {"million", 10, 6},
                             {"kilo", 10, 3},
                             {"mega", 10, 6},
                             {"giga", 10, 9},
                             {"tera", 10, 12},
                             {"peta", 10, 15},
                             {"kibi", 1024, 1},
                             {"mebi", 1024, 2},
                             {"gibi", 1024, 3},
                             {"tebi", 1024, 4},
                             {"pebi", 1024, 5},
                             {"exa", 10, 18},
                             {"mio", 10, 6},
                             {"mrd", 10, 9},
                             {"bn", 10, 9},
                             {"mn", 10, 6},
                             {"tn", 10, 12},
                             {"ki", 1024, 1},
                             {"mi", 1024, 2},
                             {"gi", 1024, 3},
                             {"ti", 1024, 4},
                             {"pi", 1024, 5},
                             {"k", 10, 3},
                             {"m", 10, 6},
                             {"b", 10, 9},
                             {"g", 10, 9},
                             {"t", 10, 12},
                             {"p", 10, 15},
                             {"e", 10, 18},
                             {"", 10, 0}};

/// A unit's name and how many of the unit it is.
struct UnitName {
  std::string_view text;
  Exact units;
};

std::vector<UnitName> Times(const Exact& of_second) {
  const Exact minute = 60, hour = 3600, day = 86400;
  std::vector<UnitName> names{{"us", Exact(1) / 1000000},
                              {"ms", Exact(1) / 1000},
                              {"milliseconds", Exact(1) / 1000},
                              {"s", 1},
                              {"sec", 1},
                              {"secs", 1},
                              {"second", 1},
                              {"seconds", 1},
                              {"min", minute},
                              {"mins", minute},
                              {"minute", minute},
                              {"minutes", minute},
                              {"h", hour},
                              {"hr", hour},
                              {"hrs", hour},
                              {"hour", hour},
                              {"hours", hour},
                              {"d", day},
                              {"day", day},
                              {"days", day},
                              {"weeks", 7 * day},
                              {"year", 365 * day},
                              {"years", 365 * day},
                              {"", of_second}};
  for (UnitName& name : names) name.units /= of_second;
  return names;
}

std::vector<UnitName> FlopNames(const Exact& flop, const Exact& mac) {
  std::vector<UnitName> names{{"", 1}};
  for (const char* text :
       {"flop", "flops", "f", "fl", "flop/s", "flops/s", "flop per second", "flops per second",
        "floating point operations", "floating-point operations", "operations", "ops"}) {
    names.push_back({text, flop});
  }
  for (const char* text : {"mac", "macs", "multiply-adds", "multiply adds", "madds", "mult-adds"}) {
    names.push_back({text, mac});
  }
  return names;
}

std::vector<UnitName> NamesOf(Unit unit) {
  switch (unit) {
    case Unit::kParameters:
      return {{"", 1},
              {"param", 1},
              {"params", 1},
              {"parameter", 1},
              {"weights", 1},
              {"parameters", 1},
              {"trainable parameters", 1},
              {"trainable params", 1}};
    case Unit::kFlops: return FlopNames(1, 2);
    case Unit::kMacs: return FlopNames(Exact(1) / 2, 1);
    case Unit::kBytes: return {{"", 1}, {"b", 1}, {"byte", 1}, {"bytes", 1}};
    case Unit::kPercent: return {{"", 1}, {"%", 1}, {"percent", 1}, {"per cent", 1}, {"pct", 1}};
    case Unit::kPlain: return {{"", 1}, {"sequences", 1}, {"tokens", 1}};
    case Unit::kRatio: return {{"", 1}, {"x", 1}, {"times", 1}, {"fold", 1}, {"-fold", 1}};
    case Unit::kSeconds: return Times(1);
    case Unit::kHours: return Times(3600);
    case Unit::kDays: return Times(86400);
    case Unit::kTokensPerSecond:
      return {{"", 1},           {"tokens/s", 1}, {"tok/s", 1},
              {"tokens/sec", 1}, {"tps", 1},      {"tokens per second", 1}};
    case Unit::kFlopsPerByte:
      return {{"", 1},        {"flops/byte", 1},     {"flop/byte", 1},    {"flop/b", 1},
              {"flops/b", 1}, {"flops per byte", 1}, {"flop per byte", 1}};
  }
  return {};
}

/// A scale and a unit's name, such as "tflops", "gib", "billion parameters".
struct Suffix {
  Exact step = 1;
  std::string_view unit;
  bool scaled = false;
};

std::optional<Suffix> ParseSuffix(std::string_view text, Unit unit) {
  const std::vector<UnitName> names = NamesOf(unit);
  const auto named = [&](std::string_view name) {
    return std::ranges::find(names, name, &UnitName::text);
  };
  // "b" alone is the byte of bytes; "s", "h", "d" are no scales.
  if (const auto whole = named(text); whole != names.end()) {
    return Suffix{whole->units, whole->text, false};
  }
  for (const Scale& scale : kScales) {
    if (!text.starts_with(scale.text)) continue;
    std::string_view rest = text.substr(scale.text.size());
    while (rest.starts_with(' ') || rest.starts_with('-')) rest.remove_prefix(1);
    const auto found = named(rest);
    const bool percent = unit == Unit::kPercent;
    if (found == names.end() || percent) continue;
    return Suffix{Power(scale.base, scale.exponent) * found->units, found->text, true};
  }
  return std::nullopt;
}

/// The number's own digits, as written: the places before and after the point.
struct Digits {
  std::string whole, fraction;
};

/// Groups of three by commas, spaces, apostrophes or _, by two dots or more, and a point or a
/// decimal comma. A comma before three digits and no more is a group: 1,557.
std::optional<Digits> ParseDigits(const std::string& text, Unit unit) {
  static const std::regex commas(R"(([1-9][0-9]{0,2}(?:,[0-9]{3})+)(?:\.([0-9]+))?)");
  static const std::regex spaced(
      R"(([1-9][0-9]{0,2}([ '_])[0-9]{3}(?:\2[0-9]{3})*)(?:[.,]([0-9]+))?)");
  static const std::regex dots(
      R"(([1-9][0-9]{0,2}(?:\.[0-9]{3}){2,}|[1-9][0-9]{0,2}\.[0-9]{3}(?=,))(?:,([0-9]+))?)");
  static const std::regex plain(R"(([0-9]*)(?:[.,]([0-9]+))?)");
  std::smatch match;
  Digits digits;
  // No share is above 100 %: 57,412 % has a decimal comma.
  const bool share = unit == Unit::kPercent && std::ranges::count(text, ',') == 1;
  if (!share && std::regex_match(text, match, commas)) {
    digits = {match[1], match[2]};
  } else if (std::regex_match(text, match, spaced)) {
    digits = {match[1], match[3]};
  } else if (std::regex_match(text, match, dots) || std::regex_match(text, match, plain)) {
    digits = {match[1], match[2]};
  } else {
    return std::nullopt;
  }
  std::erase_if(digits.whole, [](unsigned char c) { return std::isdigit(c) == 0; });
  if (digits.whole.empty() && digits.fraction.empty()) return std::nullopt;
  return digits;
}

/// The parts of a figure, in small ASCII letters.
struct Parts {
  bool about = false, negative = false;
  std::string number, suffix;
  int base = 10, exponent = 0;
  bool power = false;  // an exponent was written
};

std::optional<Parts> Split(const std::string& text) {
  static const std::regex pattern(
      R"(\s*((?:~|=|about|approximately|approx\.?|roughly|around|circa|ca\.?|nearly|almost|some)?)\s*~?\s*x?(-?)([0-9.,'_]+(?: [0-9]{3}(?![0-9])[0-9.,]*)*)(?:e\+?(-?[0-9]{1,4})|\s*x\s*(10|2)\s*\^\s*\(?\+?(-?[0-9]{1,3})\)?|\^\(?\+?(-?[0-9]{1,3})\)?)?\s*(.*?)\s*)");
  std::smatch match;
  if (!std::regex_match(text, match, pattern)) return std::nullopt;
  Parts parts;
  const std::string before = match[1];
  parts.about = (!before.empty() && before != "=") || text.find('~') != std::string::npos;
  parts.negative = match[2].length() > 0;
  parts.number = match[3];
  parts.suffix = match[8];
  for (const std::size_t group : {4, 6, 7}) {
    if (match[group].length() == 0) continue;
    parts.exponent = std::stoi(match[group]);
    parts.power = true;
  }
  if (match[5] == "2") parts.base = 2;
  if (match[7].length() > 0) {  // 10^12, 2^30
    if (parts.number != "10" && parts.number != "2") return std::nullopt;
    parts.base = std::stoi(parts.number);
    parts.number = "1";
  }
  return parts;
}

/// A number that cannot be bytes, with "B" after it: 8.51 B is in billions.
bool BillionsOfBytes(const Parts& parts, const Digits& digits, Unit unit) {
  constexpr std::size_t kFewestDigits = 4;
  return unit == Unit::kBytes && parts.suffix == "b" && !parts.power &&
         (!digits.fraction.empty() || digits.whole.size() < kFewestDigits);
}

bool IsCount(Unit unit) {
  return unit == Unit::kParameters || unit == Unit::kFlops || unit == Unit::kMacs ||
         unit == Unit::kBytes || unit == Unit::kPlain;
}

Figure MakeFigure(const Parts& parts, const Digits& written, const Suffix& suffix, Unit unit) {
  std::string digits = written.whole + written.fraction;
  digits.erase(0, std::min(digits.find_first_not_of('0'), digits.size() - 1));
  Exact step = suffix.step * Power(parts.base, parts.exponent) *
               Power(10, -static_cast<int>(written.fraction.size()));
  const bool scaled = suffix.scaled || BillionsOfBytes(parts, written, unit);
  if (BillionsOfBytes(parts, written, unit)) step *= Power(10, 9);
  Figure figure;
  figure.value = Exact(Integer(digits)) * step;
  // 2 · 2^30 is exact; 2 · 10^9 has one digit.
  const bool power = parts.power && parts.base == 10;
  const bool rounded =
      parts.about || scaled || power || !written.fraction.empty() || !IsCount(unit);
  if (parts.about && written.fraction.empty() && !power) {
    // Of "~3,500" the zeros are no digits that anyone vouches for.
    const auto last = digits.find_last_not_of('0');
    const auto zeros = last == std::string::npos ? 0 : digits.size() - 1 - last;
    step *= Power(10, static_cast<int>(zeros));
  }
  const Exact half = rounded ? Exact(step / 2) : Exact(0);
  figure.low = figure.value - half;
  figure.high = figure.value + half;
  return figure;
}

std::string AllowedUnits(Unit unit) {
  switch (unit) {
    case Unit::kPercent: return "%";
    case Unit::kBytes: return "B, kB, MB, GB, TB, KiB, MiB, GiB, TiB, billion bytes";
    case Unit::kSeconds:
    case Unit::kHours:
    case Unit::kDays: return "ms, s, min, hours, days, years";
    case Unit::kTokensPerSecond: return "tokens/s";
    case Unit::kFlopsPerByte: return "FLOPs/byte";
    case Unit::kRatio: return "x, times, -fold";
    default: break;
  }
  return fmt::format("k, M, B, T, P, million, billion, trillion, giga, tera{}{}",
                     NameOf(unit).empty() ? "" : ", ", NameOf(unit));
}

}  // namespace

std::string_view NameOf(Unit unit) {
  switch (unit) {
    case Unit::kParameters: return "parameters";
    case Unit::kFlops: return "FLOPs";
    case Unit::kMacs: return "MACs";
    case Unit::kBytes: return "bytes";
    case Unit::kPercent: return "%";
    case Unit::kRatio: return "times";
    case Unit::kSeconds: return "s";
    case Unit::kHours: return "hours";
    case Unit::kDays: return "days";
    case Unit::kTokensPerSecond: return "tokens/s";
    case Unit::kFlopsPerByte: return "FLOPs/byte";
    case Unit::kPlain: break;
  }
  return "";
}

std::vector<Figure> FigureReadings(std::string_view text, Unit unit, const std::string& where) {
  const std::string written(text);
  const auto fail = [&](std::string_view why) -> InputError {
    return InputError(fmt::format("{}: '{}' {}", where, written.substr(0, 60), why));
  };
  constexpr std::size_t kLongest = 100;
  std::optional<Parts> parts;
  if (written.size() <= kLongest) parts = Split(Plain(written));
  std::optional<Digits> digits;
  if (parts) digits = ParseDigits(parts->number, unit);
  if (!digits) throw fail("is no number; write 1,557,611,200, 3.5T, ~4 GB or 57.4 %");
  if (parts->negative) throw fail("is negative; a count cannot be");
  const std::optional<Suffix> suffix = ParseSuffix(parts->suffix, unit);
  if (!suffix) {
    throw fail(
        fmt::format("has an unknown unit '{}'; allowed: {}", parts->suffix, AllowedUnits(unit)));
  }
  Figure figure = MakeFigure(*parts, *digits, *suffix, unit);
  figure.written = written;
  if (figure.value > Exact(Integer("9223372036854775807"))) {
    throw fail("is beyond 64-bit integers (9.2e18); no figure of a model is that large");
  }
  if (unit != Unit::kPercent || !suffix->unit.empty() || figure.value >= 1) return {figure};
  Figure proportion = figure;
  for (Exact* value : {&proportion.value, &proportion.low, &proportion.high}) *value *= 100;
  return {proportion, figure};
}

Figure ParseFigure(std::string_view text, Unit unit, const std::string& where) {
  return FigureReadings(text, unit, where).front();
}

bool HasUnit(std::string_view text) {
  const std::optional<Parts> parts = Split(Plain(text));
  return parts && !parts->suffix.empty();
}

std::string Show(const Exact& value) {
  if (denominator(value) != 1) return fmt::format("{:.6g}", value.convert_to<double>());
  const Integer whole = numerator(value);
  return whole > Integer("9223372036854775807") ? whole.str()
                                                : Grouped(whole.convert_to<int64_t>());
}

}  // namespace flopledger
