// The man page and the shells' completions, written from the options as the commands describe them
// to CLI11: nothing about a command or an option is written a second time.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace flopledger {

/// In roff, with the macros of man(7).
std::string ManPage(const CLI::App& app);

std::string BashCompletion(const CLI::App& app);
std::string ZshCompletion(const CLI::App& app);
std::string FishCompletion(const CLI::App& app);

/// The commands that the help lists.
std::vector<const CLI::App*> ListedCommands(const CLI::App& app);

/// False for a flag.
bool TakesValue(const CLI::Option& option);

}  // namespace flopledger
