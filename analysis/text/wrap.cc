#include "analysis/text/wrap.h"

#include <algorithm>

#include "analysis/text/markup.h"

namespace flopledger {
namespace {

std::vector<std::string_view> Words(std::string_view text) {
  std::vector<std::string_view> words;
  for (std::size_t begin = 0; (begin = text.find_first_not_of(' ', begin)) != text.npos;) {
    const std::size_t end = std::min(text.find(' ', begin), text.size());
    words.push_back(text.substr(begin, end - begin));
    begin = end;
  }
  return words;
}

/// Bytes of the first `length` characters of `text`.
std::size_t BytesOf(std::string_view text, std::size_t length) {
  std::size_t end = 0;
  while (end < text.size() && length > 0) {
    ++end;
    while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) ++end;
    --length;
  }
  return end;
}

/// Bytes of `word` for a line of `width` characters: up to a mark that parts names and paths, where
/// one is in its second half.
std::size_t CutAt(std::string_view word, std::size_t width) {
  const std::size_t end = BytesOf(word, width);
  const std::size_t mark = word.substr(0, end).find_last_of("._/,:");
  return mark != word.npos && mark + 1 > end / 2 ? mark + 1 : end;
}

/// One paragraph with a hanging indent; its leading blanks stay.
std::string WrappedParagraph(std::string_view text, std::size_t width, std::size_t indent) {
  if (LengthOf(text) <= width) return std::string(text) + "\n";
  std::string line(std::min(text.find_first_not_of(' '), text.size()), ' ');
  indent += line.size();
  std::string lines;
  bool begun = false;
  for (const std::string_view word : Words(text)) {
    if (begun && LengthOf(line) + 1 + LengthOf(word) > width) {
      lines += line + "\n";
      line = std::string(indent, ' ');
      begun = false;
    }
    if (begun) line += ' ';
    line += word;
    begun = true;
  }
  return lines + line + "\n";
}

}  // namespace

std::vector<std::string> WrappedLines(std::string_view text, std::size_t width) {
  width = std::max<std::size_t>(width, 1);
  std::vector<std::string> lines(1);
  for (std::string_view word : Words(text)) {
    std::size_t free = width - LengthOf(lines.back());
    if (!lines.back().empty()) {
      if (LengthOf(word) < free) {
        lines.back() += ' ';
      } else {
        lines.emplace_back();
      }
    }
    while (LengthOf(word) > width) {
      const std::size_t end = CutAt(word, width);
      lines.back() += word.substr(0, end);
      word.remove_prefix(end);
      lines.emplace_back();
    }
    lines.back() += word;
  }
  return lines;
}

std::string Wrapped(std::string_view text, std::size_t width, std::size_t indent) {
  std::string lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    lines += WrappedParagraph(text.substr(0, end), width, indent);
    if (end == text.npos) break;
    text.remove_prefix(end + 1);
  }
  return lines;
}

}  // namespace flopledger
