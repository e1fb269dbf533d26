#include "analysis/text/markup.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace flopledger {
namespace {

bool Continues(char byte) { return (static_cast<unsigned char>(byte) & 0xc0) == 0x80; }

/// Bytes of a control character or of a mark of direction at the head of `text`; 0 for any other.
std::size_t Unprintable(std::string_view text) {
  const auto byte = static_cast<unsigned char>(text.front());
  if (byte < 0x20 || byte == 0x7f) return 1;
  if (byte == 0xc2 && text.size() > 1 && static_cast<unsigned char>(text[1]) < 0xa0) return 2;
  static constexpr std::array<std::string_view, 13> kDirections = {
      "\u061c", "\u200e", "\u200f", "\u202a", "\u202b", "\u202c", "\u202d",
      "\u202e", "\u2066", "\u2067", "\u2068", "\u2069", "\ufeff"};
  const auto found = std::ranges::find_if(
      kDirections, [&](std::string_view mark) { return text.starts_with(mark); });
  return found == kDirections.end() ? 0 : found->size();
}

/// Calls plain(c) for each byte that can be shown, and appends U+FFFD for what cannot.
template <class Plain>
std::string Cleaned(std::string_view text, Plain&& plain) {
  std::string clean;
  for (std::size_t i = 0; i < text.size();) {
    if (const std::size_t skip = Unprintable(text.substr(i))) {
      clean += "\ufffd";
      i += skip;
    } else {
      plain(clean, i);
      ++i;
    }
  }
  return clean;
}

void AppendEntity(std::string& text, char c) {
  switch (c) {
    case '&': text += "&amp;"; break;
    case '<': text += "&lt;"; break;
    case '>': text += "&gt;"; break;
    case '"': text += "&quot;"; break;
    case '\'': text += "&#39;"; break;
    default: text += c;
  }
}

}  // namespace

std::string Printable(std::string_view text) {
  return Cleaned(text, [&](std::string& clean, std::size_t i) { clean += text[i]; });
}

std::string EscapedHtml(std::string_view text) {
  return Cleaned(text, [&](std::string& clean, std::size_t i) { AppendEntity(clean, text[i]); });
}

std::string EscapedMarkdown(std::string_view text) {
  const auto inside_word = [&](std::size_t i) {
    const auto letter = [&](std::size_t at) {
      return at < text.size() && std::isalnum(static_cast<unsigned char>(text[at])) != 0;
    };
    return text[i] == '_' && i > 0 && letter(i - 1) && letter(i + 1);
  };
  return Cleaned(text, [&](std::string& clean, std::size_t i) {
    constexpr std::string_view kMarks = "\\`*_[]#!|~$@";
    const char c = text[i];
    if (c == '&' || c == '<' || c == '>') {
      AppendEntity(clean, c);
    } else if (c == ':' && text.substr(i).starts_with("://")) {
      clean += "&#58;";  // else GitHub makes a link of it
    } else if (kMarks.find(c) != std::string_view::npos && !inside_word(i)) {
      clean += '\\';
      clean += c;
    } else {
      clean += c;
    }
  });
}

std::size_t LengthOf(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return !Continues(c); }));
}

std::string Shortened(std::string_view text, std::size_t length) {
  if (LengthOf(text) <= length) return std::string(text);
  std::size_t end = 0;
  for (std::size_t taken = 0; taken + 1 < length; ++taken) {
    ++end;
    while (end < text.size() && Continues(text[end])) ++end;
  }
  return std::string(text.substr(0, end)) + "…";
}

}  // namespace flopledger
