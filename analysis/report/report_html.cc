// The page as HTML. Everything is drawn here; the script only sorts tables.
#include <fmt/format.h>

#include <algorithm>
#include <regex>

#include "analysis/report/html_page.h"
#include "analysis/report/report_assets.h"
#include "analysis/text/markup.h"
#include "analysis/text/numbers.h"
#include "model/input_error.h"

namespace flopledger {
namespace {

/// When a run began, and its id.
std::string When(const Record& row) {
  const std::string time = ReadableTime(row.run_id);
  return fmt::format("<p class=\"when\">{}{}</p>\n", time.empty() ? "" : time + " · ",
                     EscapedHtml(row.run_id));
}

std::string Masthead(const std::vector<ReportView>& views, std::size_t files) {
  const Record& row = views.front().first();
  const bool one_model = std::ranges::all_of(
      views, [&](const ReportView& view) { return view.first().model == row.model; });
  std::string html = fmt::format("<header>\n<p class=\"brand\">FlopLedger</p>\n<h1>{}</h1>\n",
                                 one_model ? EscapedHtml(row.model) : "Several models");
  if (views.size() == 1) {
    html += fmt::format(
        "<p class=\"what\">context {} · batch {} · {} of {} layers · {} thread{} · matmul {} · "
        "attention {}</p>\n",
        Grouped(row.context), Grouped(row.batch), Grouped(row.layers_run),
        Grouped(row.layers_total), Grouped(row.threads), Plural(row.threads),
        EscapedHtml(row.matmul), EscapedHtml(row.attention));
  } else if (files == 1) {
    html += fmt::format("<p class=\"what\">{} points of one run · {} of {} layers</p>\n",
                        views.size(), Grouped(row.layers_run), Grouped(row.layers_total));
  }
  if (files == 1) html += When(row);
  return html + "</header>\n";
}

}  // namespace

std::string ReadableTime(const std::string& run_id) {
  static const std::regex stamp(R"((\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)[0-9.]+Z$)");
  constexpr const char* kMonths[] = {"January",   "February", "March",    "April",
                                     "May",       "June",     "July",     "August",
                                     "September", "October",  "November", "December"};
  std::smatch part;
  if (!std::regex_search(run_id, part, stamp)) return "";
  const int month = std::stoi(part[2]), day = std::stoi(part[3]);
  if (month < 1 || month > 12) return "";
  return fmt::format("{} {} {}, {}:{} UTC", day, kMonths[month - 1], part[1].str(), part[4].str(),
                     part[5].str());
}

std::string ToHtml(std::span<const NamedLedger> files) {
  if (files.empty()) throw InputError("there is no ledger to report");
  const std::vector<NamedLedger> ledgers = ByPoint(files);
  std::vector<ReportView> views;
  views.reserve(ledgers.size());
  for (const NamedLedger& named : ledgers) views.emplace_back(named);
  const std::string title = views.size() == 1
                                ? EscapedHtml(Shortened(views.front().first().model, 60))
                                : fmt::format("{} runs", views.size());
  // The policy holds the page to what it carries: nothing can be fetched, whatever a ledger says.
  std::string html = fmt::format(
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
      "style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">\n"
      "<title>{} · FlopLedger</title>\n<style>\n{}</style>\n</head>\n<body>\n<main>\n",
      title, kReportStyle);
  html += Masthead(views, files.size());
  if (views.size() == 1) {
    html += RunPage(views.front(), "run");
  } else {
    html += ComparisonPage(views, files);
    for (std::size_t i = 0; i < views.size(); ++i) {
      html += fmt::format("<details>\n<summary><b>{}</b> {} <small>{}</small></summary>\n",
                          LetterOf(i), EscapedHtml(views[i].named.name),
                          EscapedHtml(ReadableTime(views[i].first().run_id)));
      html += RunPage(views[i], fmt::format("run{}", i + 1)) + "</details>\n";
    }
  }
  html += GlossarySection();
  return html + fmt::format("</main>\n<script>\n{}</script>\n</body>\n</html>\n", kReportScript);
}

}  // namespace flopledger
