// `report`: the page of one run, or the comparison of several.
#include <fmt/format.h>
#include <fmt/ostream.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>

#include "analysis/report/report.h"
#include "bench/cli/cli.h"
#include "bench/cli/commands.h"
#include "bench/cli/options.h"
#include "bench/machine/files.h"
#include "model/input_error.h"
#include "model/json.h"

namespace flopledger {
namespace {

/// What --format says, else what the name of --out ends with, else HTML.
std::string FormatOf(const ReportOptions& options) {
  const std::string ending = std::filesystem::path(options.out).extension().string();
  if (options.format == "html" || options.format == "md") return options.format;
  if (!options.format.empty()) {
    throw InputError(fmt::format("unknown format '{}'{}", options.format,
                                 Suggest(options.format, {"html", "md"})));
  }
  if (ending == ".md" || ending == ".markdown") return "md";
  if (ending.empty() || ending == ".html" || ending == ".htm") return "html";
  throw InputError(
      fmt::format("--out {}: the page is HTML (.html) or Markdown (.md), not {}; or say --format",
                  options.out, ending));
}

}  // namespace

int RunReport(const ReportOptions& options, std::ostream& out, std::ostream& err) {
  if (options.results.empty()) {
    throw InputError("report needs the .json of a run: flopledger run … --json results.json");
  }
  const std::string format = FormatOf(options);
  std::vector<NamedLedger> ledgers;
  for (const std::string& path : options.results) {
    ledgers.push_back({std::filesystem::path(path).filename().string(),
                       LedgerFromJson(ParseJson(ReadTextFile(path), path), path)});
  }
  const std::string page = format == "md" ? ToMarkdown(ledgers) : ToHtml(ledgers);
  if (options.out.empty() || options.out == "-") {
    out << page;
  } else {
    WriteWhole(options.out, page);
    fmt::print(err, "flopledger: wrote {}\n", options.out);
  }
  return kDone;
}

void AddReport(CLI::App& app, Session& session) {
  const auto options = std::make_shared<ReportOptions>();
  CLI::App* command = app.add_subcommand(
      "report",
      "The page of a run: verdict, roofline, predicted beside measured, shares, the ledger, how "
      "to repeat it. One file that loads nothing; several runs become a comparison.");
  command->add_option("results", options->results,
                      "the .json of a run ('run --json'); several are compared with the first");
  command->add_option("--out", options->out, "write here instead of to standard output");
  command->add_option("-o,--format", options->format,
                      "html; md (Markdown for a CI summary). Default: what --out ends with, else "
                      "html");
  command->footer(
      "Examples:\n"
      "  flopledger report results/gpt2.json --out gpt2.html\n"
      "  flopledger report before.json after.json --out compared.html\n"
      "  flopledger report gpt2.json --format md >> \"$GITHUB_STEP_SUMMARY\"");
  command->final_callback([options, &session] {
    session.run = [options, &session] { return RunReport(*options, session.out, session.err); };
  });
}

}  // namespace flopledger
