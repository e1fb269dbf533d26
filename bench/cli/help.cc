#include "bench/cli/help.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "analysis/text/markup.h"
#include "analysis/text/wrap.h"
#include "model/input_error.h"

namespace flopledger {
namespace {

constexpr std::size_t kNameWidth = 26;  // of an option or a command, before what it does

/// CLI11's help with its texts wrapped.
class WrappedHelp : public CLI::Formatter {
 public:
  explicit WrappedHelp(std::size_t width) : width_(width) {}

  /// CLI11's parts. Its releases differ in the blank lines before the footer: here there is one.
  std::string make_help(const CLI::App* app, std::string name,
                        CLI::AppFormatMode mode) const override {
    const std::string footer = make_footer(app);
    return make_description(app) + make_usage(app, name) + make_positionals(app) +
           make_groups(app, mode) + make_subcommands(app, mode) +
           (footer.empty() ? "" : "\n" + footer);
  }
  std::string make_description(const CLI::App* app) const override {
    return Wrapped(app->get_description(), width_);
  }
  std::string make_footer(const CLI::App* app) const override {
    return app->get_footer().empty() ? "" : Wrapped(app->get_footer(), width_, 4);
  }
  std::string make_subcommand(const CLI::App* command) const override {
    return Beside(command->get_name(), command->get_description());
  }
  /// What has no name besides: a word that has one stands among the options.
  std::string make_positionals(const CLI::App* app) const override {
    const auto words = app->get_options([](const CLI::Option* option) {
      return option->get_positional() && option->get_lnames().empty();
    });
    return words.empty() ? "" : make_group("Words", true, words);
  }
  std::string make_option(const CLI::Option* option, bool is_positional) const override {
    return Beside(make_option_name(option, is_positional) + make_option_opts(option),
                  make_option_desc(option));
  }
  /// What follows the name: a value's kind is in its description.
  std::string make_option_opts(const CLI::Option* option) const override {
    std::string text;
    if (option->get_expected_min() > 0 && !option->get_lnames().empty()) text += " X";
    if (!option->get_default_str().empty()) text += "=" + option->get_default_str();
    if (option->get_required()) text += " (required)";
    return text;
  }
  std::string make_option_desc(const CLI::Option* option) const override {
    std::string text = option->get_description();
    if (!option->get_envname().empty()) text += " [" + option->get_envname() + "]";
    return text;
  }

 private:
  /// A name, and what it is in a column beside it; below it where the name is long.
  std::string Beside(const std::string& name, const std::string& what) const {
    std::string text = "  " + name;
    const std::string blanks(kNameWidth + 2, ' ');
    bool first = LengthOf(name) < kNameWidth;
    if (!first) text += "\n";
    for (const std::string& line : WrappedLines(what, width_ - kNameWidth - 2)) {
      if (line.empty()) break;
      text += (first ? std::string(kNameWidth - LengthOf(name), ' ') : blanks) + line + "\n";
      first = false;
    }
    return text.ends_with('\n') ? text : text + "\n";
  }

  std::size_t width_;
};

}  // namespace

void SetHelpWidth(CLI::App& app, std::size_t width) {
  const auto formatter = std::make_shared<WrappedHelp>(width);
  formatter->label("SUBCOMMAND", "COMMAND");
  formatter->label("Subcommands", "Commands");
  app.formatter(formatter);
  for (CLI::App* command : app.get_subcommands(nullptr)) command->formatter(formatter);
}

void PrintShortHelp(std::ostream& out) {
  out << "FlopLedger: what a transformer forward pass on this CPU should cost, and what it "
         "does.\n\n"
         "  flopledger account gpt2          what it should cost: exact, runs nothing\n"
         "  flopledger run gpt2 --layers 1   what it does cost here: a small run\n"
         "  flopledger run --dry-run         what a full run would do, and need\n"
         "  flopledger doctor                what this machine can measure\n"
         "  flopledger help                  all commands; 'help COMMAND': the options of one\n";
}

std::vector<std::string> CommandNames(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands(nullptr)) names.push_back(command->get_name());
  return names;
}

std::string HelpOf(CLI::App& app, const std::string& command) {
  if (command.empty()) return app.help();
  const std::vector<CLI::App*> all = app.get_subcommands(nullptr);
  const auto found = std::ranges::find(all, command, &CLI::App::get_name);
  if (found == all.end()) {
    throw InputError(
        fmt::format("unknown command '{}'{}", command, Suggest(command, CommandNames(app))));
  }
  return (*found)->help("flopledger");
}

std::string MarkdownHelp(CLI::App& app) {
  constexpr std::size_t kWidth = 100;
  SetHelpWidth(app, kWidth);
  std::string text =
      "# Command line\n\nThis page is what `flopledger help --markdown` prints; a test holds it to "
      "the program.\n\n```\n" +
      app.help() + "```\n";
  for (const std::string& name : CommandNames(app)) {
    text += fmt::format("\n## {}\n\n```\n{}```\n", name, HelpOf(app, name));
  }
  return text;
}

}  // namespace flopledger
