// The page as Markdown, for a CI summary or a pull request.
#include <fmt/format.h>

#include <algorithm>

#include "analysis/report/report.h"
#include "analysis/text/markup.h"
#include "analysis/text/table.h"
#include "model/input_error.h"

namespace flopledger {
namespace {

std::string Text(const std::string& text) { return EscapedMarkdown(text); }

std::string Milliseconds(const std::optional<double>& seconds) {
  return seconds ? fmt::format("{:.3f}", *seconds * 1e3) : "unavailable";
}
std::string OrBlank(const std::optional<double>& value, int digits, double scale = 1) {
  return value ? fmt::format("{:.{}f}", *value * scale, digits) : "";
}
std::string OrUnavailable(const std::optional<int64_t>& value) {
  return value ? Grouped(*value) : "unavailable";
}

/// Rows of cells that are already escaped, as a table of GitHub's.
class MarkdownTable {
 public:
  explicit MarkdownTable(const std::vector<Column>& columns) {
    std::vector<std::string> rule;
    std::vector<std::string> titles;
    for (const Column& column : columns) {
      titles.push_back(column.title);
      rule.emplace_back(column.is_number ? "---:" : "---");
    }
    Add(titles);
    Add(rule);
  }
  void Add(const std::vector<std::string>& cells) {
    text_ += "|";
    for (const std::string& cell : cells) text_ += " " + cell + " |";
    text_ += "\n";
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

std::string Checks(const ReportView& view) {
  std::string text;
  for (const ReportCheck& check : view.checks) {
    constexpr const char* kSigns[] = {"✅", "❌", "ℹ️", "➖"};
    constexpr const char* kWords[] = {"", " **error**", "", " unavailable"};
    const auto state = static_cast<std::size_t>(check.state);
    text += fmt::format("- {} **{}**{}: {}\n", kSigns[state], Text(check.name), kWords[state],
                        Text(check.text));
  }
  return text;
}

std::string Ledger(const ReportView& view) {
  const std::string convention = Text(Shortened(view.first().convention, 20));
  MarkdownTable table({{"operation", false},
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
                       {"bound", false}});
  const auto add = [&](const Record& row, bool strong) {
    const std::string name = Text(row.op);
    table.Add({strong ? "**" + name + "**" : name, OrUnavailable(row.predicted_flops),
               OrUnavailable(row.executed_flops), OrUnavailable(row.measured_flops),
               Text(row.flops_source), Milliseconds(row.predicted_time_s), Milliseconds(row.time_s),
               Milliseconds(row.time_mad_s), OrBlank(view.ShareOfTime(row), 1, 100),
               OrBlank(row.gflops, 1), OrBlank(row.pct_peak, 1), Text(row.bound)});
  };
  for (const Record* op : view.ops) add(*op, false);
  if (view.total != nullptr) add(*view.total, true);
  return table.text();
}

/// A fenced block; the fence is longer than any run of backticks inside.
std::string Fenced(const std::vector<std::string>& lines) {
  std::string body, fence = "```";
  for (const std::string& line : lines) body += line + "\n";
  while (body.find(fence) != std::string::npos) fence += "`";
  return fence + "sh\n" + body + fence + "\n";
}

std::string Facts(const std::vector<ReportFact>& facts) {
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
      Ledger(view), Facts(view.run), Facts(view.machine), Fenced(view.commands));
}

std::string Compared(const std::vector<ReportView>& views) {
  MarkdownTable table({{"run", false},
                       {"model", false},
                       {"CPU", false},
                       {"threads"},
                       {"matmul", false},
                       {"ms"},
                       {"× first"},
                       {"GFLOP/s"},
                       {"% of peak"},
                       {"verdict", false}});
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
    table.Add({Text(view.named.name), Text(view.first().model), Text(cpu.value_or("unavailable")),
               Grouped(view.first().threads), Text(view.first().matmul), Milliseconds(view.pass_s),
               ratio, total != nullptr ? OrBlank(total->gflops, 1) : "",
               total != nullptr ? OrBlank(total->pct_peak, 1) : "", Text(view.headline)});
  }
  return fmt::format(
      "## {} runs compared\n\n{}\nRatios are of medians, without an interval: small "
      "ones are noise.\n",
      views.size(), table.text());
}

}  // namespace

std::string ToMarkdown(std::span<const NamedLedger> files) {
  if (files.empty()) throw InputError("there is no ledger to report");
  const std::vector<NamedLedger> ledgers = ByBackend(files);
  std::vector<ReportView> views;
  views.reserve(ledgers.size());
  for (const NamedLedger& named : ledgers) views.emplace_back(named);
  if (views.size() == 1) return OneRun(views.front(), "##");
  std::string text = Compared(views);
  for (const ReportView& view : views) text += "\n" + OneRun(view, "###");
  return text;
}

}  // namespace flopledger
