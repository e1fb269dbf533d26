// Writes the files of the manual for `cmake --install`. The help does not list it.
#include <CLI/CLI.hpp>
#include <memory>

#include "bench/cli/cli.h"
#include "bench/cli/manual.h"
#include "bench/cli/options.h"
#include "bench/machine/files.h"
#include "model/input_error.h"

namespace flopledger {
namespace {

struct ManualOptions {
  std::string form, out;
};

std::string Manual(const CLI::App& app, const std::string& form) {
  if (form == "man") return ManPage(app);
  if (form == "bash") return BashCompletion(app);
  if (form == "zsh") return ZshCompletion(app);
  if (form == "fish") return FishCompletion(app);
  throw InputError("unknown form of the manual '" + form + "'" +
                   Suggest(form, {"man", "bash", "zsh", "fish"}));
}

}  // namespace

void AddManual(CLI::App& app, Session& session) {
  const auto options = std::make_shared<ManualOptions>();
  CLI::App* command = app.add_subcommand(
      "manual", "Writes the man page or a shell's completion, of every command.");
  command->group("");
  command->add_option("form", options->form, "man, bash, zsh or fish")
      ->required()
      ->type_name("man|bash|zsh|fish");
  command->add_option("--out", options->out, "write here instead of to standard output");
  command->final_callback([options, &app, &session] {
    session.run = [options, &app, &session] {
      const std::string text = Manual(app, options->form);
      if (options->out.empty() || options->out == "-") {
        session.out << text;
      } else {
        WriteWhole(options->out, text);
      }
      return kDone;
    };
  });
}

}  // namespace flopledger
