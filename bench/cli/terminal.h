// How results are laid out on a stream: as wide as the terminal, in colour where that is wanted.
#pragma once

#include <ostream>
#include <string>
#include <string_view>

#include "analysis/text/table.h"

namespace flopledger {

/// Characters that a line on `out` may take: as SetWidth said; else $COLUMNS; else the terminal's
/// width, where `out` is standard output or error and that is a terminal; else 100.
std::size_t WidthOf(std::ostream& out);
/// 0 gives the choice back.
void SetWidth(std::ostream& out, std::size_t width);

/// --color: "auto" (on a terminal, unless NO_COLOR is set), "always", "never". Throws InputError.
void SetColour(std::ostream& out, std::string_view choice);

/// `table` as the format says: for people as wide as `out` allows, its verdicts in colour where
/// `out` has colours. kJson is not drawn here.
std::string Drawn(const Table& table, Format format, std::ostream& out);

/// `share` of a bar of that many characters.
std::string Bar(double share, std::size_t width);

/// Lines of text, wrapped at the width of `out`, verdicts in colour as in tables; what follows the
/// first line of each is indented.
void PrintNote(std::ostream& out, std::string_view text);

/// What to call next, on standard error, after a result for people.
void PrintNext(std::ostream& err, std::string_view text);

}  // namespace flopledger
