// `bisect`: the commit that made a row of a benchmark slower.
#include <fmt/format.h>
#include <fmt/ostream.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "analysis/regression/escaped_name.h"
#include "analysis/text/table.h"
#include "bench/cli/cli.h"
#include "bench/cli/options.h"
#include "bench/cli/terminal.h"
#include "bench/gate/bisect.h"
#include "bench/machine/interrupt.h"
#include "model/input_error.h"

namespace flopledger {
namespace {

Table ToTable(const BisectReport& report) {
  Table table{{{"commit", false}, {"verdict", false}, {"B/A"}, {"low"}, {"high"}, {"says", false}},
              {}};
  for (const CommitGate& gate : report.gates) {
    std::vector<std::string> cells{gate.commit.substr(0, 12), gate.verdict};
    if (const auto& e = gate.estimate) {
      for (const double number : {e->ratio, e->lower, e->upper}) {
        cells.push_back(fmt::format("{:.3f}", number));
      }
    }
    cells.resize(table.columns.size() - 1);
    cells.push_back(EscapedName(gate.sentence));
    table.rows.push_back(std::move(cells));
  }
  return table;
}

/// B/A of the commit that was found, from its own gate.
std::string RatioOf(const BisectReport& report, const std::string& commit) {
  for (const CommitGate& gate : report.gates) {
    if (gate.commit != commit || !gate.estimate) continue;
    const RatioEstimate& e = *gate.estimate;
    return fmt::format(", B/A {:.3f} [{:.3f}, {:.3f}]", e.ratio, e.lower, e.upper);
  }
  return "";
}

std::string Conclusion(const BisectReport& report) {
  std::string text;
  if (report.end == BisectReport::End::kFound) {
    const bool one = report.suspects.size() == 1;
    text = one ? fmt::format("{} is slower since this commit{}:\n", EscapedName(report.row),
                             RatioOf(report, report.suspects.back()))
               : fmt::format(
                     "{} is slower since one of these {} commits{} (those before the last "
                     "were skipped):\n",
                     EscapedName(report.row), report.suspects.size(),
                     RatioOf(report, report.suspects.back()));
    for (std::size_t i = 0; i < report.suspects.size(); ++i) {
      text += fmt::format("  {} {}\n", report.suspects[i], EscapedName(report.subjects[i]));
    }
  } else {
    text = fmt::format("{}: {}\n", NameOf(report.end), EscapedName(report.reason));
  }
  return text + fmt::format("bisect: {}, {} gate{}, {}\n", NameOf(report.end), report.gates.size(),
                            Plural(std::ssize(report.gates)), HumanSeconds(report.seconds));
}

/// What helps after this answer.
std::string NextAfter(const BisectReport& report) {
  switch (report.end) {
    case BisectReport::End::kFound:
      return fmt::format(
          "'git show {}'; 'flopledger gate --profile FOLDER' shows where the time "
          "went",
          report.suspects.back().substr(0, 12));
    case BisectReport::End::kNotSlower:
      return "'flopledger gate --plan' says how small a slowdown this machine can see";
    case BisectReport::End::kInterrupted: return "the same command goes on where this one stopped";
    case BisectReport::End::kInconclusive:
      return "'--max-blocks 60', or '--filter RE' for the row that was slow";
    case BisectReport::End::kNotComparable:
      return "'flopledger gate --baseline-ref REV --candidate-ref REV' of the two revisions";
  }
  return "";
}

int ExitCodeOf(BisectReport::End end) {
  switch (end) {
    case BisectReport::End::kFound: return kDone;
    case BisectReport::End::kNotSlower: return kCheckFailed;
    case BisectReport::End::kNotComparable: return kNotPossibleHere;
    default: return kNoAnswer;
  }
}

}  // namespace

int RunBisectCommand(const BisectOptions& options, std::ostream& out, std::ostream& err) {
  const Format format = ParseFormat(options.format);
  BisectSettings settings{.good = options.good,
                          .bad = options.bad,
                          .build = {options.preset, options.target},
                          .gate = MakeGateSettings(options)};
  if (!options.filter.empty()) {
    settings.gate.arguments.push_back("--benchmark_filter=" + options.filter);
  }
  CheckGateArguments(settings.gate);
  const bool on_terminal = &err == &std::cerr && isatty(STDERR_FILENO) != 0;
  Progress progress(err, on_terminal, kProgressInterval);
  const InterruptGuard guard(/*second_ends_program=*/false);
  const BisectReport report = RunBisect(settings, progress, err);
  progress.Clear();
  switch (format) {
    case Format::kJson: fmt::print(out, "{}\n", ToJson(report).dump(1)); break;
    case Format::kCsv: out << ToTable(report).ToCsv(); break;
    default:
      out << Drawn(ToTable(report), format, out) << '\n';
      PrintNote(out, Conclusion(report));
      if (format == Format::kTable) PrintNext(err, NextAfter(report));
  }
  return ExitCodeOf(report.end);
}

void AddBisect(CLI::App& app, Session& session) {
  const auto options = std::make_shared<BisectOptions>();
  CLI::App* command = app.add_subcommand(
      "bisect",
      "Finds the commit that made a row of a benchmark slower: builds commits between two "
      "revisions of this git checkout, and gates each against the good one.");
  command->add_option("--good", options->good, "a revision before the slowdown")->required();
  command->add_option("--bad", options->bad, "a revision after it")->capture_default_str();
  command
      ->add_option("--preset", options->preset,
                   "the CMake preset of every build; '' for none (a Release build)")
      ->capture_default_str();
  command->add_option("--target", options->target, "the CMake target that is built and gated")
      ->capture_default_str();
  command->add_option("--filter", options->filter,
                      "rows to look at, a regular expression; the one that is slower by the most "
                      "is followed. Default: all");
  AddGateTiming(command, *options);
  AddFormat(command, options->format);
  command->footer(
      "Examples:\n"
      "  flopledger bisect --good v1.2 --target my_benchmarks --filter 'BM_Parse/.*'\n"
      "A commit that does not build, or has no clear answer, is skipped. What stands after '--' "
      "is\n"
      "handed to the benchmark. Interrupted (Ctrl-C), the same command goes on where it was.\n"
      "Exit codes: 0 found; 1 the bad revision is not slower; 2 bad usage; 3 no clear answer, or\n"
      "interrupted; 5 the good or the bad revision cannot be built or compared.");
  command->final_callback([options, &session] {
    session.run = [options, &session] {
      options->arguments = session.after_dashes;
      options->arguments.insert(options->arguments.end(), session.benchmark_flags.begin(),
                                session.benchmark_flags.end());
      return RunBisectCommand(*options, session.out, session.err);
    };
  });
}

}  // namespace flopledger
