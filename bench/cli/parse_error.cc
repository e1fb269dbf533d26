#include "bench/cli/parse_error.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "model/input_error.h"

namespace flopledger {
namespace {

/// The option that the error names: the one with the longest name that its text holds.
const CLI::Option* OptionOf(const CLI::App& command, const std::string& text) {
  const CLI::Option* found = nullptr;
  for (const CLI::Option* option : command.get_options()) {
    const std::string name = option->get_name();
    if (text.find(name) == std::string::npos) continue;
    if (found == nullptr || name.size() > found->get_name().size()) found = option;
  }
  return found;
}

std::string KindOf(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  if (type == "UINT") return "a whole number from 0 on";
  if (type == "INT") return "a whole number";
  return type == "FLOAT" ? "a number" : "a value of the right kind";
}

}  // namespace

std::string InOurWords(const CLI::App& command, const CLI::ParseError& error) {
  const std::string text = error.what();
  const CLI::Option* option = OptionOf(command, text);
  if (option == nullptr) return text;
  const std::string name = option->get_name();
  if (dynamic_cast<const CLI::ConversionError*>(&error) != nullptr) {
    const std::string found = option->results().empty() ? "" : option->results().back();
    return fmt::format("{} must be {}, found '{}'", name, KindOf(*option), found);
  }
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr) {
    if (option->get_items_expected_max() == 0) return fmt::format("{} takes no value", name);
    return option->results().size() > 1
               ? fmt::format("{} is given {} times; once is allowed", name,
                             option->results().size())
               : fmt::format("{} needs a value: {}", name, option->get_description());
  }
  return text;
}

std::string UnknownWord(const CLI::App& command, const std::string& word) {
  const std::string where = "; 'flopledger help " + command.get_name() + "' lists its options";
  if (!word.starts_with('-')) {
    return fmt::format("'{}' belongs to no option of '{}'{}", word, command.get_name(), where);
  }
  if (word.starts_with("--benchmark_")) {
    return fmt::format("'{}' takes no flags of Google Benchmark, found '{}'", command.get_name(),
                       word);
  }
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  const std::string bare = word.substr(0, word.find('='));
  const std::string hint = Suggest(bare, names);
  return fmt::format("unknown option '{}'{}", word, hint.starts_with("; allowed") ? where : hint);
}

}  // namespace flopledger
