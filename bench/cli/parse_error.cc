#include "bench/cli/parse_error.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <string_view>

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

/// What somebody meant who gave a command a word that it does not take.
struct Instead {
  std::string_view command, words;
};
constexpr Instead kMeantInstead[] = {
    {"gate", "write --baseline OLD --candidate NEW"},
    {"bisect", "write --good REV"},
    {"count-instructions", "write --kernel NAME, or --model MODEL"},
    {"presets", "'flopledger account MODEL' shows one"},
};

/// What follows `mark` in `text`; all of it where the mark is not there.
std::string AfterFirst(const std::string& text, std::string_view mark) {
  const std::size_t at = text.find(mark);
  return at == text.npos ? text : text.substr(at + mark.size());
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
  if (dynamic_cast<const CLI::FileError*>(&error) != nullptr) {
    return fmt::format("--config: {} cannot be read",
                       text.substr(0, text.rfind(" was not readable")));
  }
  if (dynamic_cast<const CLI::ConfigError*>(&error) != nullptr) {
    return fmt::format("--config: '{}' is no option; write e.g. model=\"gpt2\" under '[run]'",
                       AfterFirst(text, "parse "));
  }
  if (const std::size_t at = text.find(" was given a disallowed flag override"); at != text.npos) {
    return fmt::format("--{} takes no value", AfterFirst(text.substr(0, at), "--"));
  }
  const CLI::Option* option = OptionOf(command, text);
  if (option == nullptr) return text;
  const std::string name = option->get_name();
  if (dynamic_cast<const CLI::ConversionError*>(&error) != nullptr) {
    const std::string found = option->results().empty() ? "" : option->results().back();
    return fmt::format("{} must be {}, found '{}'", name, KindOf(*option), found);
  }
  if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr) {
    for (const std::string& word : command.remaining()) {
      if (word.starts_with('-') && word.size() > 1) return UnknownWord(command, word);
    }
    return fmt::format("{} is required: {}", name, option->get_description());
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
  const std::string name = command.get_name();
  const std::string where = "; 'flopledger help " + name + "' lists its options";
  if (!word.starts_with('-')) {
    const auto hint = std::ranges::find(kMeantInstead, name, &Instead::command);
    return fmt::format("'{}' belongs to no option of '{}'{}", word, name,
                       hint == std::end(kMeantInstead) ? where : fmt::format("; {}", hint->words));
  }
  if (word.starts_with("--benchmark_")) {
    return fmt::format("'{}' takes no flags of Google Benchmark, found '{}'", name, word);
  }
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& each : option->get_lnames()) names.push_back(each);
  }
  const std::string bare = word.substr(0, word.find('='));
  // Without the dashes: two short names are not alike because both begin with them.
  std::string hint = Suggest(bare.substr(std::min<std::size_t>(2, bare.size())), names);
  const std::string_view meant = "; did you mean '";
  if (!hint.starts_with(meant)) return fmt::format("unknown option '{}'{}", word, where);
  return fmt::format("unknown option '{}'{}", word, hint.insert(meant.size(), "--"));
}

}  // namespace flopledger
