// The page as Markdown, for a CI summary or a pull request.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "analysis/report/report.h"
#include "analysis/text/markup.h"
#include "analysis/text/table.h"
#include "model/input_error.h"

namespace flopledger {
namespace {

std::string Text(const std::string& text) { return EscapedMarkdown(text); }

std::string OrUnavailable(std::string figure) {
  return figure.empty() ? "unavailable" : std::move(figure);
}

std::string Checks(const ReportView& view) {
  std::string text;
  for (const ReportCheck& check : view.checks) {
    constexpr const char* kSigns[] = {"✅", "❌", "ℹ️", "➖", "⚠️"};
    constexpr const char* kWords[] = {"", " **error**", "", " unavailable", " **disturbed**"};
    const auto state = static_cast<std::size_t>(check.state);
    text += fmt::format("- {} **{}**{}: {}\n", kSigns[state], Text(check.name), kWords[state],
                        Text(check.text));
  }
  return text;
}

std::string LedgerTable(const ReportView& view) {
  const std::string convention = Text(Shortened(view.first().convention, 20));
  const std::vector<Column> columns = {{"operation", false},
                                       {"FLOPs, " + convention},
                                       {"executed"},
                                       {"measured"},
                                       {"source", false},
                                       {"predicted ms"},
                                       {"ms"},
                                       {"± MAD"},
                                       {"% of pass"},
                                       {"GFLOP/s"},
                                       {"% of peak"},
                                       {"bound", false}};
  std::vector<std::vector<std::string>> rows;
  const auto add = [&](const Record& row, bool strong) {
    const std::string name = Text(row.op);
    rows.push_back(
        {strong ? "**" + name + "**" : name, OrUnavailable(OrBlank(row.predicted_flops)),
         OrUnavailable(OrBlank(row.executed_flops)), OrUnavailable(OrBlank(row.measured_flops)),
         Text(row.flops_source), OrUnavailable(Milliseconds(row.predicted_time_s)),
         OrUnavailable(Milliseconds(row.time_s)), OrUnavailable(Milliseconds(row.time_mad_s)),
         OrBlank(view.ShareOfTime(row), 1, 100), OrBlank(row.gflops, 1), OrBlank(row.pct_peak, 1),
         Text(row.bound)});
  };
  for (const Record* op : view.ops) add(*op, false);
  if (view.total != nullptr) add(*view.total, true);
  return MarkdownTable(columns, rows);
}

/// A fenced block; the fence is longer than any run of backticks inside.
std::string Fenced(const std::vector<std::string>& lines) {
  std::string body, fence = "```";
  for (const std::string& line : lines) body += line + "\n";
  while (body.find(fence) != std::string::npos) fence += "`";
  return fence + "sh\n" + body + fence + "\n";
}

std::string FactList(const std::vector<ReportFact>& facts) {
  std::string text;
  for (const ReportFact& fact : facts) {
    text += fmt::format("{}{} {}", text.empty() ? "" : " · ", Text(fact.name),
                        fact.value ? Text(*fact.value) : "unavailable");
  }
  return text + "\n";
}

std::string OneRun(const ReportView& view, const std::string& heading) {
  return fmt::format(
      "{} {}: {}\n\n{}\n\n{}\n{}\n{}\n{}\n<details><summary>Repeat it</summary>\n\n{}"
      "\n</details>\n",
      heading, Text(view.first().model), Text(view.headline), Text(view.summary), Checks(view),
      LedgerTable(view), FactList(view.run), FactList(view.machine), Fenced(view.commands));
}

std::string Compared(const std::vector<ReportView>& views) {
  const std::vector<Column> columns = {
      {"run", false}, {"model", false}, {"CPU", false}, {"threads"},   {"matmul", false},
      {"ms"},         {"× first"},      {"GFLOP/s"},    {"% of peak"}, {"verdict", false}};
  std::vector<std::vector<std::string>> rows;
  const auto& first = views.front();
  for (const ReportView& view : views) {
    const Record* total = view.total;
    const bool same_work = total != nullptr && first.total != nullptr &&
                           total->predicted_flops == first.total->predicted_flops &&
                           total->bytes == first.total->bytes;
    std::string ratio = "unavailable";
    if (view.pass_s && first.pass_s && total != nullptr && first.total != nullptr) {
      ratio = same_work ? fmt::format("{:.3f}", *view.pass_s / *first.pass_s) : "other work";
    }
    const auto cpu = std::ranges::find(view.machine, "CPU", &ReportFact::name)->value;
    rows.push_back({Text(view.named.name), Text(view.first().model),
                    Text(cpu.value_or("unavailable")), Grouped(view.first().threads),
                    Text(view.first().matmul), OrUnavailable(Milliseconds(view.pass_s)), ratio,
                    total != nullptr ? OrBlank(total->gflops, 1) : "",
                    total != nullptr ? OrBlank(total->pct_peak, 1) : "", Text(view.headline)});
  }
  return fmt::format(
      "## {} runs compared\n\n{}\nRatios are of medians, without an interval: small "
      "ones are noise.\n",
      views.size(), MarkdownTable(columns, rows));
}

}  // namespace

std::string ToMarkdown(std::span<const NamedLedger> files) {
  if (files.empty()) throw InputError("there is no ledger to report");
  const std::vector<NamedLedger> ledgers = ByPoint(files);
  std::vector<ReportView> views;
  views.reserve(ledgers.size());
  for (const NamedLedger& named : ledgers) views.emplace_back(named);
  if (views.size() == 1) return OneRun(views.front(), "##");
  std::string text = Compared(views);
  for (const ReportView& view : views) text += "\n" + OneRun(view, "###");
  return text;
}

}  // namespace flopledger
