// Text in lines that fit a terminal.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace flopledger {

/// The lines of `text`, broken at blanks, each of at most `width` characters (at least 1); a longer
/// word is cut, after one of ._/,: where that leaves no short piece.
std::vector<std::string> WrappedLines(std::string_view text, std::size_t width);

/// `text` in lines of at most `width` characters, each with its line end; those after the first
/// are indented by so many blanks. A word that is longer (a path, a flag) keeps a line of its own.
/// Line ends in `text` stay.
std::string Wrapped(std::string_view text, std::size_t width, std::size_t indent = 0);

}  // namespace flopledger
