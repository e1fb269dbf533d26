#include "analysis/text/figure.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <regex>

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

struct Scale {
  int decimal_kilos = 0, binary_kilos = 0;
  bool written = false;
};

/// The scale in "", "k", "GB", "GiB", "TFLOPs", "B parameters", …; false when it is none.
bool ParseScale(std::string text, Unit unit, Scale& scale) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::tolower(c); });
  static const std::regex bytes("([kmgtpe]?)(i?)(b|byte|bytes)?");
  static const std::regex percent("()()(%|percent)?");
  static const std::regex counts("([kmbgtpe]?)() ?(flops?|flops?/s|params?|parameters?)?");
  const std::regex& form = unit == Unit::kBytes ? bytes : unit == Unit::kPercent ? percent : counts;
  std::smatch match;
  if (!std::regex_match(text, match, form)) return false;
  if (match[1].length() == 0) return match[2].length() == 0;
  const char letter = *match[1].first == 'b' ? 'g' : *match[1].first;
  const int kilos = static_cast<int>(std::string_view("kmgtpe").find(letter)) + 1;
  (match[2].length() > 0 ? scale.binary_kilos : scale.decimal_kilos) = kilos;
  scale.written = true;
  return true;
}

}  // namespace

std::string_view NameOf(Unit unit) {
  switch (unit) {
    case Unit::kParameters: return "parameters";
    case Unit::kFlops: return "FLOPs";
    case Unit::kBytes: return "bytes";
    case Unit::kPercent: return "%";
    case Unit::kPlain: break;
  }
  return "";
}

Figure ParseFigure(std::string_view text, Unit unit, const std::string& where) {
  const std::string written(text);
  const auto fail = [&](std::string_view why) -> InputError {
    return InputError(fmt::format("{}: '{}' {}", where, written.substr(0, 60), why));
  };
  constexpr std::size_t kLongest = 100;
  static const std::regex pattern(
      R"(\s*(~|≈|about |ca\. ?)?\s*(-?)((?:[0-9]{1,3}(?:[,_][0-9]{3})+)|[0-9]+)(?:\.([0-9]+))?(?:[eE]\+?(-?[0-9]{1,3}))?\s*(.*?)\s*)");
  std::smatch match;
  if (written.size() > kLongest || !std::regex_match(written, match, pattern)) {
    throw fail("is no number; write 1,557,611,200, 3.5T, ~4 GB or 57.4 %");
  }
  if (match[2].length() > 0) throw fail("is negative; a count cannot be");
  Scale scale;
  if (!ParseScale(match[6], unit, scale)) {
    throw fail(
        fmt::format("has an unknown unit '{}'; allowed: k, M, B, T, P, of bytes also kB, "
                    "MB, GB, GiB, and % for a share",
                    match[6].str()));
  }
  std::string whole = match[3];
  std::erase_if(whole, [](char c) { return c == ',' || c == '_'; });
  const std::string fraction = match[4];
  const int exponent = match[5].length() > 0 ? std::stoi(match[5]) : 0;
  std::string digits = whole + fraction;
  digits.erase(0, std::min(digits.find_first_not_of('0'), digits.size() - 1));

  const int last_place = exponent - static_cast<int>(fraction.size());
  const Exact step_of_scale = Power(1000, scale.decimal_kilos) * Power(1024, scale.binary_kilos);
  Figure figure;
  figure.written = written;
  figure.decimal_kilos = scale.decimal_kilos;
  figure.value = Exact(Integer(digits)) * Power(10, last_place) * step_of_scale;
  if (figure.value > Exact(Integer("9223372036854775807"))) {
    throw fail("is beyond 64-bit integers (9.2e18); no figure of a model is that large");
  }
  const bool about = match[1].length() > 0;
  const bool rounded = about || scale.written || exponent != 0 || !fraction.empty();
  int zeros = 0;  // of "~3,500" the zeros are no digits that anyone vouches for
  if (about && fraction.empty() && exponent == 0 && !scale.written) {
    const auto last = digits.find_last_not_of('0');
    zeros = last == std::string::npos ? 0 : static_cast<int>(digits.size() - 1 - last);
  }
  const Exact half = rounded ? Power(10, last_place + zeros) * step_of_scale / 2 : Exact(0);
  figure.low = figure.value - half;
  figure.high = figure.value + half;
  return figure;
}

std::string Show(const Exact& value) {
  const Integer whole = numerator(value) / denominator(value);
  if (denominator(value) != 1) {
    return fmt::format("{:.6g}", value.convert_to<double>());
  }
  return whole > Integer("9223372036854775807") ? whole.str()
                                                : Grouped(whole.convert_to<int64_t>());
}

}  // namespace flopledger
