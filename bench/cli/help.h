// Help: of a command, of all of them, and what a bare `flopledger` says.
#pragma once

#include <ostream>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace flopledger {

/// Sets how the help of `app` and of its commands looks: in lines of at most `width` characters.
void SetHelpWidth(CLI::App& app, std::size_t width);

/// What to do first, in a few lines.
void PrintShortHelp(std::ostream& out);

/// The help of every command, as Markdown: docs/cli.md.
std::string MarkdownHelp(CLI::App& app);

/// The help of `command`, or of the program where it is empty. Throws InputError for an unknown
/// one.
std::string HelpOf(CLI::App& app, const std::string& command);

/// The names of the commands.
std::vector<std::string> CommandNames(const CLI::App& app);

}  // namespace flopledger
