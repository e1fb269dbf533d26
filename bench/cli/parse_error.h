// What is wrong with a command line, in this program's words.
#pragma once

#include <string>

namespace CLI {
class App;
class ParseError;
}  // namespace CLI

namespace flopledger {

/// What CLI11 found wrong with the options of `command`.
std::string InOurWords(const CLI::App& command, const CLI::ParseError& error);

/// What is wrong with a word that `command` does not know.
std::string UnknownWord(const CLI::App& command, const std::string& word);

}  // namespace flopledger
