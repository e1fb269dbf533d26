#include "model/input_error.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <numeric>
#include <utility>

namespace flopledger {
namespace {

std::string LowerCase(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lower;
}

/// The least number of inserted, deleted or replaced letters that turns a into b (Levenshtein).
std::size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, diagonal + 1, row[j] + 1});
    }
  }
  return row.back();
}

}  // namespace

InputError::InputError(const std::string& what) : std::runtime_error(OneLine(what)) {}

std::string OneLine(std::string text) {
  for (char& letter : text) {
    const auto code = static_cast<unsigned char>(letter);
    if (std::iscntrl(code)) letter = std::isspace(code) ? ' ' : '?';
  }
  return text;
}

std::string Suggest(std::string_view word, const std::vector<std::string>& allowed) {
  const auto distance = [&](std::string_view other) {
    return EditDistance(LowerCase(word), LowerCase(other));
  };
  const auto nearest = std::ranges::min_element(allowed, {}, distance);
  if (nearest != allowed.end() && distance(*nearest) <= (word.size() + 2) / 3) {
    return fmt::format("; did you mean '{}'?", *nearest);
  }
  return fmt::format("; allowed: {}", fmt::join(allowed, ", "));
}

}  // namespace flopledger
