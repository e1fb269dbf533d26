#include "bench/cli/manual.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "bench/machine/build_info.h"

namespace flopledger {
namespace {

/// Text for roff: hyphens that can be copied, no escape, no line that looks like a request.
std::string Roff(const std::string& text) {
  std::string roff;
  bool starts_line = true;
  for (const char c : text) {
    if (starts_line && (c == '.' || c == '\'')) roff += "\\&";
    starts_line = c == '\n';
    if (c == '\\') {
      roff += "\\e";
    } else if (c == '-') {
      roff += "\\-";
    } else {
      roff += c;
    }
  }
  return roff;
}

/// Lines that stay as they are: exit codes, examples.
std::string Verbatim(const std::string& text) {
  return text.empty() ? "" : fmt::format(".PP\n.nf\n{}\n.fi\n", Roff(text));
}

std::string Entry(const CLI::Option& option) {
  const bool positional = option.get_positional();
  std::string entry = fmt::format(".TP\n.{} {}", positional ? "I" : "B",
                                  Roff(option.get_name(positional, /*all_options=*/true)));
  if (!positional && TakesValue(option)) {
    entry += " \\fIVALUE\\fP";
  }
  entry += fmt::format("\n{}\n", Roff(option.get_description()));
  if (!option.get_default_str().empty()) {
    entry += fmt::format(".br\nDefault: {}\n", Roff(option.get_default_str()));
  }
  if (!option.get_envname().empty()) {
    entry += fmt::format(".br\nEnvironment: {}\n", option.get_envname());
  }
  return entry;
}

std::string Section(const CLI::App& command) {
  std::string section = fmt::format(".SS flopledger {}\n{}\n", Roff(command.get_name()),
                                    Roff(command.get_description()));
  for (const CLI::Option* option : command.get_options()) section += Entry(*option);
  return section + Verbatim(command.get_footer());
}

}  // namespace

std::vector<const CLI::App*> ListedCommands(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App* command) { return !command->get_group().empty(); });
}

bool TakesValue(const CLI::Option& option) { return option.get_items_expected_max() != 0; }

std::string ManPage(const CLI::App& app) {
  std::string page = fmt::format(
      ".TH FLOPLEDGER 1 \"\" \"flopledger {}\" \"User Commands\"\n"
      ".SH NAME\nflopledger \\- the FLOPs and seconds of a transformer's forward pass on a CPU\n"
      ".SH SYNOPSIS\n.B flopledger\n.I COMMAND\n.RI [ OPTIONS ]\n"
      ".SH DESCRIPTION\n{}\n.SH COMMANDS\n",
      GetBuildInfo().version, Roff(app.get_description()));
  for (const CLI::App* command : ListedCommands(app)) page += Section(*command);
  return page + ".SH NOTES\n" + Verbatim(app.get_footer());
}

}  // namespace flopledger
