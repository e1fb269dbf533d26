// `report`: the page of one run, or the comparison of several.
#include <fmt/format.h>

#include <filesystem>

#include "analysis/report/report.h"
#include "bench/cli/cli.h"
#include "bench/cli/commands.h"
#include "bench/machine/files.h"
#include "model/input_error.h"
#include "model/json.h"

namespace flopledger {

int RunReport(const ReportOptions& options, std::ostream& out) {
  if (options.results.empty()) {
    throw InputError("report needs the .json of a run: flopledger run … --json results.json");
  }
  std::string format = options.format;
  if (format.empty()) format = options.out.ends_with(".md") ? "md" : "html";
  if (format != "html" && format != "md") {
    throw InputError(fmt::format("unknown format '{}'{}", format, Suggest(format, {"html", "md"})));
  }
  std::vector<NamedLedger> ledgers;
  for (const std::string& path : options.results) {
    ledgers.push_back({std::filesystem::path(path).filename().string(),
                       LedgerFromJson(ParseJson(ReadTextFile(path), path), path)});
  }
  const std::string page = format == "md" ? ToMarkdown(ledgers) : ToHtml(ledgers);
  if (options.out.empty()) {
    out << page;
  } else {
    WriteWhole(options.out, page);
  }
  return kDone;
}

}  // namespace flopledger
