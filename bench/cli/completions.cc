// Where the values of an option cannot be listed, every shell offers files.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <sstream>

#include "analysis/accounting/accounting.h"
#include "bench/cli/manual.h"
#include "kernels/matmul_library.h"
#include "model/config.h"

namespace flopledger {
namespace {

/// What a shell is told of one option.
struct Word {
  std::string name;  // without its dashes
  std::string description;
  bool takes_value = false;
  std::string choices;  // separated by blanks; empty where they cannot be listed
  bool takes_files = false;
};

/// What the program's own tables list, else the parts of a type name such as "table|csv".
std::string Choices(const CLI::Option& option) {
  std::vector<std::string> choices;
  const std::string type = option.get_type_name();
  if (option.check_lname("model")) {
    for (const ModelConfig& preset : Presets()) choices.emplace_back(preset.name);
  } else if (option.check_lname("convention")) {
    for (const ConventionInfo& info : Conventions()) choices.emplace_back(info.name);
  } else if (option.check_lname("matmul")) {
    for (const auto& backend : MatmulBackends<float>()) choices.emplace_back(backend.name);
    for (const MatmulLibrary& library : MatmulLibraries())
      choices.emplace_back(library.backend.name);
  } else if (type.find('|') != std::string::npos) {
    std::istringstream parts(type);
    for (std::string part; std::getline(parts, part, '|');) choices.push_back(part);
  }
  return fmt::format("{}", fmt::join(choices, " "));
}

/// A line of a menu: the beginning of a description.
std::string Brief(const std::string& description) {
  constexpr std::size_t kMost = 70;
  if (description.size() <= kMost) return description;
  return description.substr(0, description.rfind(' ', kMost)) + " …";
}

std::vector<Word> WordsOf(const CLI::App& command) {
  std::vector<Word> words;
  for (const CLI::Option* option : command.get_options()) {
    if (option->get_lnames().empty()) continue;
    const std::string choices = Choices(*option);
    words.push_back({.name = option->get_lnames().front(),
                     .description = Brief(option->get_description()),
                     .takes_value = TakesValue(*option),
                     .choices = choices,
                     .takes_files = choices.empty() || option->check_lname("model")});
  }
  return words;
}

std::string NamesOf(const std::vector<Word>& words) {
  std::string names;
  for (const Word& word : words) names += (names.empty() ? "--" : " --") + word.name;
  return names;
}

/// `text` with each of the `special` characters behind a backslash.
std::string Escaped(const std::string& text, std::string_view special) {
  std::string escaped;
  for (const char c : text) {
    if (special.find(c) != std::string_view::npos) escaped += '\\';
    escaped += c;
  }
  return escaped;
}

/// In single quotes, for bash and zsh.
std::string Quoted(const std::string& text) {
  std::string quoted;
  for (const char c : text) quoted += c == '\'' ? std::string(R"('\'')") : std::string(1, c);
  return "'" + quoted + "'";
}

/// In single quotes, for fish.
std::string FishQuoted(const std::string& text) { return "'" + Escaped(text, "\\'") + "'"; }

}  // namespace

std::string BashCompletion(const CLI::App& app) {
  std::string commands = "--help --version", values, names;
  for (const CLI::App* command : ListedCommands(app)) {
    const std::string& name = command->get_name();
    commands += " " + name;
    names += fmt::format("    {}) words='{}' ;;\n", name, NamesOf(WordsOf(*command)));
    for (const Word& word : WordsOf(*command)) {
      if (!word.takes_value) continue;
      values += fmt::format("    '{} --{}') words='{}' ;;\n", name, word.name, word.choices);
    }
  }
  // An empty COMPREPLY makes bash offer files.
  return fmt::format(R"(# bash completion, written by 'flopledger manual bash'
_flopledger() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}}
  local command=${{COMP_WORDS[1]}} words=''
  if [[ $word == = ]]; then word=''; elif [[ $before == = ]]; then before=${{COMP_WORDS[COMP_CWORD - 2]}}; fi
  case "$command $before" in
{1}    *)
      if ((COMP_CWORD == 1)); then
        words='{0}'
      elif [[ $word == -* ]]; then
        case $command in
{2}        esac
      fi ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _flopledger flopledger
)",
                     commands, values, names);
}

std::string ZshCompletion(const CLI::App& app) {
  std::string menu, cases;
  for (const CLI::App* command : ListedCommands(app)) {
    const std::string& name = command->get_name();
    menu += fmt::format("    {}\n",
                        Quoted(Escaped(name, ":") + ":" + Brief(command->get_description())));
    cases += fmt::format("    {}) _arguments", name);
    for (const Word& word : WordsOf(*command)) {
      std::string spec = fmt::format("--{}{}[{}]", word.name, word.takes_value ? "=" : "",
                                     Escaped(word.description, "[]\\"));
      if (word.takes_value && word.choices.empty()) {
        spec += ":value:_files";
      } else if (word.takes_value && word.takes_files) {
        spec += fmt::format(":value:{{compadd {}; _files}}", word.choices);
      } else if (word.takes_value) {
        spec += fmt::format(":value:({})", word.choices);
      }
      cases += " \\\n      " + Quoted(spec);
    }
    cases += " \\\n      '*:file:_files' ;;\n";
  }
  return fmt::format(R"(#compdef flopledger
# zsh completion, written by 'flopledger manual zsh'
_flopledger() {{
  local -a commands=(
{})
  if ((CURRENT == 2)); then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  ((CURRENT--))
  case $command in
{}  esac
}}
_flopledger "$@"
)",
                     menu, cases);
}

std::string FishCompletion(const CLI::App& app) {
  std::string script = "# fish completion, written by 'flopledger manual fish'\n";
  for (const CLI::App* command : ListedCommands(app)) {
    const std::string& name = command->get_name();
    script += fmt::format("complete -c flopledger -n __fish_use_subcommand -f -a {} -d {}\n", name,
                          FishQuoted(Brief(command->get_description())));
    for (const Word& word : WordsOf(*command)) {
      script += fmt::format("complete -c flopledger -n '__fish_seen_subcommand_from {}' -l {}",
                            name, word.name);
      if (word.takes_value) script += word.takes_files ? " -r" : " -x";
      if (!word.choices.empty()) script += fmt::format(" -a '{}'", word.choices);
      script += fmt::format(" -d {}\n", FishQuoted(word.description));
    }
  }
  return script;
}

}  // namespace flopledger
