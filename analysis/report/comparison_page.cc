// The comparison of several runs.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "analysis/report/html_page.h"
#include "analysis/report/html_table.h"
#include "analysis/text/markup.h"
#include "analysis/text/numbers.h"

namespace flopledger {
namespace {

/// Several runs side by side, each held against the first.
class RunsSideBySide {
 public:
  RunsSideBySide(const std::vector<ReportView>& views, std::span<const NamedLedger> files)
      : views_(views), files_(files) {}

  std::string Draw() {
    Totals();
    html_ += VerdictSections(views_, files_) + SweepSection(views_);
    Operations();
    Differences();
    Repeat();
    return std::move(html_);
  }

 private:
  /// The row of `view` under that name and turn, or null.
  static const Record* Find(const ReportView& view, const Record& like) {
    const auto found =
        std::ranges::find(view.ops, like.op, [](const Record* row) { return row->op; });
    return found == view.ops.end() ? nullptr : *found;
  }

  /// later / earlier, where both were measured on the same work.
  static HtmlCell Ratio(const Record* earlier, const Record* later) {
    if (earlier == nullptr || later == nullptr || !earlier->time_s || !later->time_s ||
        *earlier->time_s <= 0) {
      return {};
    }
    if (earlier->predicted_flops != later->predicted_flops || earlier->bytes != later->bytes) {
      return {"<span class=\"na\">other work</span>"};
    }
    return NumberCell(*later->time_s / *earlier->time_s, 3);
  }

  std::vector<std::string> Differing() const {
    std::vector<std::string> names;
    for (std::size_t f = 0; f < views_.front().machine.size(); ++f) {
      const ReportFact& fact = views_.front().machine[f];
      if (fact.name == "FMA peak around the run" || fact.name == "commit") continue;
      if (std::ranges::any_of(views_, [&](const ReportView& view) {
            return view.machine[f].value != fact.value;
          })) {
        names.push_back(fact.name);
      }
    }
    return names;
  }

  static HtmlTable RunsTable() {
    return {"The runs",
            {{"run", "", false},
             {"model", "", false},
             {"context", ""},
             {"batch", ""},
             {"threads", ""},
             {"matmul", "", false},
             {"attention", "", false},
             {"layers", "run"},
             {"when", "", false},
             {"time", "of a pass"},
             {"to A", "× seconds"},
             {"rate", ""},
             {"of peak", "%"},
             {"FMA peak", ""},
             {"checks", "", false}},
            {},
            {}};
  }

  /// The file's name, or of points of one file what tells them apart.
  std::string NameOf(const ReportView& view) const {
    const std::string& name = view.named.name;
    const std::string file = files_.front().name + ", ";
    return files_.size() == 1 && name.starts_with(file) ? name.substr(file.size()) : name;
  }

  /// Takes out the columns in which all runs are alike, of those that say what ran; a sentence with
  /// what they said.
  static std::string TakeOutCommon(HtmlTable& table) {
    std::string common;
    for (std::size_t c = 1; c < table.columns.size();) {
      const std::string title = table.columns[c].title;
      if (title == "time") break;
      const std::string first = table.rows.front().cells[c].html;
      const bool alike = std::ranges::all_of(
          table.rows, [&](const HtmlRow& row) { return row.cells[c].html == first; });
      if (!alike) {
        ++c;
        continue;
      }
      if (!first.empty()) {
        common += fmt::format("{}{} {}", common.empty() ? "" : ", ", title, first);
      }
      const auto at = static_cast<std::ptrdiff_t>(c);
      table.columns.erase(table.columns.begin() + at);
      for (HtmlRow& row : table.rows) row.cells.erase(row.cells.begin() + at);
    }
    return common.empty() ? "" : fmt::format("<p class=\"lead\">All: {}.</p>\n", common);
  }

  void Totals() {
    const std::string title = files_.size() == 1 ? fmt::format("{} points", views_.size())
                                                 : fmt::format("{} runs compared", views_.size());
    html_ += "<div class=\"verdict plain\">\n" + OpenSection("compare", title, "median, MAD");
    const auto differing = Differing();
    html_ += "<p class=\"summary\">";
    if (files_.size() == 1) {
      html_ += "The points of one run, repetitions interleaved at random. ";
    } else if (differing.empty()) {
      html_ += "The machines and builds are the same, as far as the ledgers say. ";
    } else {
      html_ +=
          "Different machines or builds: a difference in seconds may come from them. They "
          "differ in ";
      for (std::size_t i = 0; i < differing.size(); ++i) {
        html_ += (i == 0 ? "" : ", ") + EscapedHtml(differing[i]);
      }
      html_ += ". ";
    }
    html_ += "Ratios in this table are of medians, to the first: small ones are noise.</p>\n";
    HtmlTable table = RunsTable();
    double longest = 0;
    for (const ReportView& view : views_) longest = std::max(longest, view.pass_s.value_or(0));
    const auto or_why = [](HtmlCell cell, const char* why) {
      cell.why = why;
      return cell;
    };
    for (std::size_t i = 0; i < views_.size(); ++i) {
      const ReportView& view = views_[i];
      const Record& row = view.first();
      const Record* total = view.total;
      const auto rate = total != nullptr ? total->gflops : std::nullopt;
      const auto share = total != nullptr ? total->pct_peak : std::nullopt;
      std::optional<double> peak = view.roofline.peak_flops_per_s;
      table.rows.push_back({"",
                            {{fmt::format("<b>{}</b> {}", LetterOf(i), EscapedHtml(NameOf(view)))},
                             TextCell(row.model),
                             NumberCell(row.context),
                             NumberCell(row.batch),
                             NumberCell(row.threads),
                             TextCell(row.matmul),
                             TextCell(row.attention),
                             NumberCell(row.layers_run),
                             TextCell(ReadableTime(row.run_id)),
                             or_why(BarCell(view.pass_s, longest, "whole"), "no time was measured"),
                             Ratio(views_.front().total, total),
                             or_why(RateCell(rate ? std::optional(*rate * 1e9) : std::nullopt),
                                    "the ledger has no rate of the whole pass"),
                             or_why(NumberCell(share, 1), "the peak was not measured"),
                             or_why(RateCell(peak), "the peak was not measured"),
                             TextCell(view.headline)}});
    }
    html_ += TakeOutCommon(table);
    const std::string unavailable = TellUnavailable(table);
    html_ += DrawTable(table) + unavailable + "</section>\n</div>\n";
  }

  /// Every operation of any run, in the order of the first run that has it.
  std::vector<const Record*> Union() const {
    std::vector<const Record*> all;
    std::set<std::string> seen;
    for (const ReportView& view : views_) {
      for (const Record* op : view.ops) {
        if (seen.insert(op->op).second) all.push_back(op);
      }
    }
    return all;
  }

  void Operations() {
    html_ += OpenSection("compare-ops", "Operations side by side", "share of peak",
                         "Seconds, shares of each run's own FMA peak, and the ratio of seconds to "
                         "the first run.");
    HtmlTable table{"Operations of every run", {{"operation", "", false}}, {}, {}};
    for (std::size_t i = 0; i < views_.size(); ++i) {
      table.columns.push_back({LetterOf(i), "time"});
    }
    for (std::size_t i = 1; i < views_.size(); ++i) {
      table.columns.push_back({LetterOf(i) + " / A", "× seconds"});
    }
    for (std::size_t i = 0; i < views_.size(); ++i) {
      table.columns.push_back({LetterOf(i), "% of peak"});
    }
    double longest = 0;
    for (const ReportView& view : views_) {
      for (const Record* op : view.ops) longest = std::max(longest, op->time_s.value_or(0));
    }
    const auto line = [&](const std::string& name, auto&& find, bool bars) {
      std::vector<const Record*> found;
      for (const ReportView& view : views_) found.push_back(find(view));
      const std::string colour = bars ? ColourOf(name) : "";
      HtmlRow row{colour, {TextCell(Shortened(name, kLongestName))}};
      const auto missing = [](const Record* record) {
        return HtmlCell{record == nullptr ? "<span class=\"na\">not in this run</span>"
                                          : kUnavailable};
      };
      for (std::size_t i = 0; i < found.size(); ++i) {
        const Record* record = found[i];
        if (record == nullptr || !record->time_s) {
          row.cells.push_back(missing(record));
        } else {
          row.cells.push_back(BarCell(record->time_s, bars ? longest : 0, colour));
        }
      }
      for (std::size_t i = 1; i < found.size(); ++i) row.cells.push_back(Ratio(found[0], found[i]));
      for (const Record* record : found) {
        row.cells.push_back(record == nullptr ? HtmlCell{} : NumberCell(record->pct_peak, 1));
      }
      return row;
    };
    for (const Record* op : Union()) {
      table.rows.push_back(line(
          op->op, [&](const ReportView& view) { return Find(view, *op); }, true));
    }
    table.foot.push_back(line(
        "total", [](const ReportView& view) { return view.total; }, false));
    html_ += DrawTable(table) + "</section>\n";
  }

  /// Every fact in which the runs differ.
  void Differences() {
    html_ += OpenSection("compare-facts", "What differs", "drift");
    HtmlTable table{"Facts in which the runs differ", {{"fact", "", false}}, {}, {}};
    for (std::size_t i = 0; i < views_.size(); ++i)
      table.columns.push_back({LetterOf(i), "", false});
    const auto add = [&](auto facts_of) {
      for (std::size_t f = 0; f < facts_of(views_.front()).size(); ++f) {
        const ReportFact& fact = facts_of(views_.front())[f];
        if (std::ranges::all_of(views_, [&](const ReportView& view) {
              return facts_of(view)[f].value == fact.value;
            })) {
          continue;
        }
        HtmlRow row{"", {TextCell(fact.name)}};
        for (const ReportView& view : views_) {
          const auto& value = facts_of(view)[f].value;
          row.cells.push_back(OrUnavailable(value ? TextCell(*value) : HtmlCell{}));
        }
        table.rows.push_back(row);
      }
    };
    add([](const ReportView& view) -> const std::vector<ReportFact>& { return view.run; });
    add([](const ReportView& view) -> const std::vector<ReportFact>& { return view.machine; });
    html_ += table.rows.empty() ? "<p class=\"lead\">Nothing, as far as the ledgers say.</p>\n"
                                : DrawTable(table);
    html_ += "</section>\n";
  }

  /// How to repeat each file's run, with all of its points.
  void Repeat() {
    html_ += OpenSection("compare-repeat", "Repeat it", "commit");
    for (const NamedLedger& file : files_) {
      if (files_.size() > 1) {
        html_ += fmt::format("<p class=\"aside\">{}</p>\n", EscapedHtml(file.name));
      }
      html_ += "<pre tabindex=\"0\"><code>";
      for (const std::string& line : CommandsOf(file.ledger)) html_ += EscapedHtml(line) + "\n";
      html_ += "</code></pre>\n";
    }
    html_ += "</section>\n";
  }

  const std::vector<ReportView>& views_;
  std::span<const NamedLedger> files_;
  std::string html_;
};

}  // namespace

std::string LetterOf(std::size_t run) {
  return run < 26 ? std::string(1, static_cast<char>('A' + run)) : fmt::format("#{}", run + 1);
}

std::string ComparisonPage(const std::vector<ReportView>& views,
                           std::span<const NamedLedger> files) {
  return RunsSideBySide(views, files).Draw();
}

}  // namespace flopledger
