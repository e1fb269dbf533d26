// Puts the commands together, and turns what they throw into one line and an exit code.
#include "bench/cli/cli.h"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <limits>
#include <new>
#include <sstream>

#include "bench/cli/help.h"
#include "bench/cli/options.h"
#include "bench/cli/parse_error.h"
#include "bench/cli/terminal.h"
#include "bench/machine/build_info.h"
#include "bench/machine/files.h"
#include "bench/machine/interrupt.h"
#include "bench/machine/team.h"
#include "model/input_error.h"

namespace flopledger {
namespace {

constexpr char kFooter[] =
    "Exit codes:\n"
    "  0  done; the answer is yes\n"
    "  1  the answer is no: a wrong result, a wrong claim, a regression\n"
    "  2  bad input or usage\n"
    "  3  no answer yet: inconclusive, interrupted\n"
    "  4  a fault in the program\n"
    "  5  cannot be compared or measured here: too little memory, another machine, a binary that "
    "crashed\n"
    "\nExamples:\n"
    "  flopledger account --model gpt2-xl\n"
    "  flopledger run --model gpt2 --threads 2 --csv gpt2.csv\n"
    "  flopledger run -m gpt2-xl --layers 1 -r 5\n"
    "  flopledger gate --baseline old/bench_forward --candidate build/bench_forward\n"
    "\nDefaults: an option whose help names a variable in brackets takes its default from it; "
    "--config FILE (or FLOPLEDGER_CONFIG) reads 'model=\"gpt2\"' under '[run]'. A word on the "
    "command line has the last say.";

/// What holds for the whole program, whichever command runs.
struct Globals {
  std::string out;  // a file for the result; empty or "-": standard output
  bool wide = false;
  std::string colour = "auto";
};

void AddCommands(CLI::App& app, Session& session) {
  AddRun(app, session);
  AddAccount(app, session);
  AddPresets(app, session);
  AddAudit(app, session);
  AddCalibrate(app, session);
  AddPredict(app, session);
  AddReport(app, session);
  AddCompare(app, session);
  AddGate(app, session);
  AddBisect(app, session);
  AddLogits(app, session);
  AddCountInstructions(app, session);
  AddDoctor(app, session);
  AddManual(app, session);
}

/// "--max-memory" as "FLOPLEDGER_MAX_MEMORY".
std::string VariableOf(const std::string& option) {
  std::string name = "FLOPLEDGER_";
  for (const char c : option.substr(2)) {
    name += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return name;
}

/// The options that every command has, and the variables that defaults come from.
void AddCommonOptions(CLI::App& app, Globals& globals) {
  for (CLI::App* command : app.get_subcommands(nullptr)) {
    command->allow_extras();
    const bool draws = command->get_option_no_throw("--format") != nullptr;
    if (draws && command->get_option_no_throw("--out") == nullptr) {
      command->add_option("--out", globals.out,
                          "write the result here, in the format that the name ends with; '-': to "
                          "standard output");
    }
    if (draws) {
      command->add_flag("--wide", globals.wide, "every column, however wide the table becomes");
    }
    for (CLI::Option* option : command->get_options()) {
      if (option->get_items_expected_max() == 0) option->disable_flag_override();
    }
    command->add_option("--color", globals.colour, "auto (on a terminal), always or never");
    for (const std::string name :
         {"--model", "--context", "--batch", "--threads", "--matmul", "--attention", "--convention",
          "--calibration", "--max-memory", "--color"}) {
      CLI::Option* option = command->get_option_no_throw(name);
      // There a model, or a calibration, is another question, not a default.
      const bool asks = (command->get_name() == "count-instructions" && name == "--model") ||
                        (command->get_name() == "calibrate" && name == "--calibration");
      if (option != nullptr && !asks) option->envname(VariableOf(name));
    }
  }
}

void RejectUnknownCommand(const CLI::App& app, const std::string& word) {
  const std::vector<std::string> names = CommandNames(app);
  if (word.starts_with('-')) {
    if (app.get_option_no_throw(word.substr(0, word.find('='))) != nullptr) return;
    throw InputError(fmt::format(
        "unknown option '{}'; a command comes first, and 'flopledger help' lists them", word));
  }
  if (std::ranges::find(names, word) != names.end()) return;
  throw InputError(fmt::format("unknown command '{}'{}", word, Suggest(word, names)));
}

void RejectBenchmarkFlagsWithoutEquals(const std::vector<std::string>& args) {
  // Of these alone the name is enough.
  constexpr std::string_view kSwitches[] = {
      "--benchmark_list_tests", "--benchmark_report_aggregates_only",
      "--benchmark_display_aggregates_only", "--benchmark_enable_random_interleaving",
      "--benchmark_counters_tabular"};
  for (std::size_t i = 0; i < args.size() && args[i] != "--"; ++i) {
    const std::string& flag = args[i];
    if (!flag.starts_with("--benchmark_") || flag.find('=') != std::string::npos) continue;
    const bool has_next = i + 1 < args.size() && !args[i + 1].starts_with('-');
    if (!has_next && std::ranges::find(kSwitches, flag) != std::end(kSwitches)) continue;
    throw InputError(fmt::format("flags of Google Benchmark take '=': write {}={}", flag,
                                 has_next ? args[i + 1] : "VALUE"));
  }
}

/// Words that `command` does not know: flags of Google Benchmark where it hands them on, else an
/// error.
void TakeRemaining(const CLI::App& command, Session& session) {
  const std::string name = command.get_name();
  const bool hands_on = name == "run" || name == "gate" || name == "bisect";
  for (const std::string& word : command.remaining()) {
    if (!hands_on || !word.starts_with("--benchmark_")) {
      throw InputError(UnknownWord(command, word));
    }
    session.benchmark_flags.push_back(word);
  }
}

/// Takes what follows "--" off the line, of the command that hands it on.
void TakeAfterDashes(std::vector<std::string>& args, Session& session) {
  const auto dashes = std::ranges::find(args, "--");
  const bool hands_on = args.front() == "gate" || args.front() == "bisect";
  if (!hands_on || dashes == args.end()) return;
  session.after_dashes.assign(dashes + 1, args.end());
  args.erase(dashes, args.end());
}

/// The format that a file's name ends with, where --format does not say.
void TakeFormatOfName(CLI::App& command, const std::string& path) {
  CLI::Option* format = command.get_option_no_throw("--format");
  if (path.empty() || path == "-" || format == nullptr || format->count() > 0) return;
  for (const char* name : {"json", "csv", "md"}) {
    if (!path.ends_with(fmt::format(".{}", name))) continue;
    format->add_result(name);
    format->run_callback();
  }
}

/// Runs the command with what it prints going to a file, which is written whole and last.
int RunIntoFile(const std::string& path, Session& session) {
  CheckWritable(path);
  std::stringbuf text;
  std::streambuf* const before = session.out.rdbuf(&text);
  const auto finish = [&] {
    session.out.rdbuf(before);
    if (!text.view().empty()) WriteWhole(path, text.view());
  };
  try {
    const int code = session.run();
    finish();
    return code;
  } catch (const CannotMeasure&) {  // what was measured before stands
    finish();
    throw;
  } catch (...) {
    session.out.rdbuf(before);
    throw;
  }
}

/// `help`, and a line without any command; whether that was all.
bool Helped(const std::vector<std::string>& args, CLI::App& app, std::ostream& out) {
  if (args.empty()) {
    PrintShortHelp(out);
    return true;
  }
  if (args.front() != "help") return false;
  if (args.size() > 2) throw InputError("'help' takes the name of one command");
  const std::string what = args.size() == 2 ? args[1] : "";
  out << (what == "--markdown" ? MarkdownHelp(app) : HelpOf(app, what));
  return true;
}

int Run(std::vector<std::string> args, std::ostream& out, std::ostream& err, Team* team) {
  Session session{out, err, {}, {}, {}, team};
  Globals globals;
  CLI::App app(
      "FlopLedger is the ledger of a transformer forward pass on a CPU: what each operation "
      "should cost, what it did cost, and the difference.",
      "flopledger");
  app.set_version_flag("-V,--version", fmt::format("flopledger {} ({})", GetBuildInfo().version,
                                                   GetBuildInfo().commit));
  app.allow_config_extras(CLI::config_extras_mode::error);
  app.set_config("--config", "", "defaults for the options of commands")
      ->envname("FLOPLEDGER_CONFIG");
  app.require_subcommand(1);
  app.footer(kFooter);
  AddCommands(app, session);
  AddCommonOptions(app, globals);
  SetHelpWidth(app, std::min<std::size_t>(WidthOf(out), 100));
  if (Helped(args, app, out)) return kDone;
  RejectUnknownCommand(app, args.front());
  RejectBenchmarkFlagsWithoutEquals(args);
  TakeAfterDashes(args, session);
  try {
    app.parse(std::vector<std::string>(args.rbegin(), args.rend()));
  } catch (const CLI::Success& asked) {  // --help, --version
    app.exit(asked, out, err);
    return kDone;
  } catch (const CLI::ParseError& error) {
    const auto chosen = app.get_subcommands();
    throw InputError(InOurWords(chosen.empty() ? app : *chosen.front(), error));
  }
  CLI::App& command = *app.get_subcommands().front();
  TakeRemaining(command, session);
  TakeFormatOfName(command, globals.out);
  const bool prints = team == nullptr || team->leads();
  const bool into_file = prints && !globals.out.empty() && globals.out != "-";
  SetColour(out, into_file && globals.colour == "auto" ? "never" : globals.colour);
  SetWidth(out, globals.wide ? std::numeric_limits<int>::max() : 0);
  return into_file ? RunIntoFile(globals.out, session) : session.run();
}

}  // namespace

Ending RunCommand(const std::vector<std::string>& args, std::ostream& out, std::ostream& err,
                  Team* team) {
  try {
    const int code = Run(args, out, err, team);
    if (!out.flush()) throw InputError("standard output cannot be written");
    return {code, ""};
  } catch (const InputError& error) {
    return {kBadInput, OneLine(error.what())};
  } catch (const CannotMeasure& error) {
    return {interrupted ? kNoAnswer : kNotPossibleHere, OneLine(error.what())};
  } catch (const std::bad_alloc&) {
    return {kNotPossibleHere,
            "out of memory; use fewer --layers, a shorter --context or a smaller model"};
  } catch (const std::exception& error) {
    return {kProgramFault,
            OneLine(fmt::format("a fault in the program, please report it: {}", error.what()))};
  }
}

int RunCli(const std::vector<std::string>& args, std::ostream& out, std::ostream& err) {
  const Ending ending = RunCommand(args, out, err);
  if (!ending.why.empty()) fmt::print(err, "flopledger: {}\n", ending.why);
  return ending.code;
}

}  // namespace flopledger
