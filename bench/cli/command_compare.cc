// `compare`: two saved results, which were not paired.
#include <fmt/format.h>
#include <fmt/ostream.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>

#include "analysis/regression/unpaired.h"
#include "analysis/regression/unpaired_report.h"
#include "bench/cli/cli.h"
#include "bench/cli/options.h"
#include "bench/cli/terminal.h"
#include "model/input_error.h"
#include "model/json.h"

namespace flopledger {
namespace {

SavedRun ReadSavedRun(const std::string& path, std::string& text) {
  const bool standard_input = path == "-";
  text = standard_input ? std::string(std::istreambuf_iterator<char>(std::cin), {})
                        : ReadTextFile(path);
  return SavedFromText(text, standard_input ? "standard input" : path);
}

/// What to call after this verdict.
std::string NextAfter(const UnpairedComparison& comparison, const CompareOptions& options) {
  if (comparison.decision == Decision::kNotComparable) {
    return "'--across-machines' or '--allow-missing' compare all the same, where the lines above "
           "name such a difference";
  }
  if (comparison.same_run) return "'flopledger compare' of two runs";
  if (comparison.decision == Decision::kPass) {
    return fmt::format("'flopledger report {} {} --out compared.html' draws them side by side",
                       options.baseline, options.candidate);
  }
  return "'flopledger gate --baseline OLD --candidate NEW' runs two builds in turn, and decides";
}

}  // namespace

int RunCompare(const CompareOptions& options, std::ostream& out, std::ostream& err) {
  const Format format = ParseFormat(options.format);
  UnpairedRule rule;
  rule.budget = CheckedPercent("--budget", options.budget);
  rule.drift = CheckedPercent("--drift", options.drift);
  rule.metrics = ParseMetrics(options.metrics);
  rule.across_machines = options.across_machines;
  rule.allow_missing = options.allow_missing;
  if (options.baseline == "-" && options.candidate == "-") {
    throw InputError("only one of the two can be '-', which is standard input");
  }
  std::string text_a, text_b;
  const SavedRun baseline = ReadSavedRun(options.baseline, text_a);
  const SavedRun candidate = ReadSavedRun(options.candidate, text_b);
  rule.same_file = text_a == text_b;
  const UnpairedComparison comparison = CompareUnpaired(baseline, candidate, rule);
  switch (format) {
    case Format::kJson: fmt::print(out, "{}\n", ToJson(comparison, rule).dump(1)); break;
    case Format::kCsv: out << ToCsv(comparison); break;
    default:
      out << Drawn(ToTable(comparison), format, out) << '\n';
      PrintNote(out, Conclusion(comparison, rule));
      if (format == Format::kTable) PrintNext(err, NextAfter(comparison, options));
  }
  return ExitCodeOf(comparison.decision);
}

void AddCompare(CLI::App& app, Session& session) {
  const auto options = std::make_shared<CompareOptions>();
  CLI::App* command = app.add_subcommand(
      "compare",
      "Two saved results: FLOPs exactly, times as far as runs that were not paired allow.");
  constexpr char kFile[] =
      "a ledger of 'run --json', or Google Benchmark's JSON; '-' is standard input";
  command->add_option("baseline", options->baseline, kFile)->required();
  command->add_option("candidate", options->candidate, kFile)->required();
  AddBudget(command, options->budget);
  command
      ->add_option("--drift", options->drift,
                   "how far one run's level lies from another's, one sigma, in percent; default: "
                   "what was found between jobs on shared runners")
      ->capture_default_str();
  AddComparable(command, *options);
  AddFormat(command, options->format);
  command->footer(
      "Examples:\n"
      "  flopledger compare before.json after.json\n"
      "  flopledger compare before.json after.json --drift 3 --format md\n"
      "Exit codes: 0 PASS; 1 FAIL; 2 bad usage; 3 INCONCLUSIVE; 5 NOT COMPARABLE (another machine\n"
      "or build, rows missing). Small differences take runs in turn: 'flopledger gate'.");
  command->final_callback([options, &session] {
    session.run = [options, &session] { return RunCompare(*options, session.out, session.err); };
  });
}

}  // namespace flopledger
