// The page of one run.
#include <fmt/format.h>

#include <algorithm>

#include "analysis/report/html_page.h"
#include "analysis/report/html_table.h"
#include "analysis/report/report_chart.h"
#include "analysis/text/markup.h"
#include "analysis/text/numbers.h"

namespace flopledger {
namespace {

/// A page of one run: its sections in the order in which they are read.
class RunSections {
 public:
  RunSections(const ReportView& view, std::string id) : view_(view), id_(std::move(id)) {}

  std::string Draw() {
    Verdict();
    RooflineSection();
    Shares();
    html_ += RepetitionsSection(view_, id_);
    PredictedBesideMeasured();
    FullLedger();
    Machine();
    Reproduce();
    return std::move(html_);
  }

 private:
  void Section(const char* name, const char* title, const char* word, const std::string& lead) {
    html_ += OpenSection(fmt::format("{}-{}", id_, name), title, word, lead);
  }
  void EndSection() { html_ += "</section>\n"; }

  void Tile(const char* name, const std::string& value, const std::string& beside) {
    html_ +=
        fmt::format("<div><dt>{}</dt><dd>{}<small>{}</small></dd></div>\n", name, value, beside);
  }

  void Verdict() {
    html_ += fmt::format(
        "<div class=\"verdict{}\">\n{}<p class=\"summary\">{}</p>\n<dl class=\"tiles\">\n",
        view_.Has(CheckState::kError)       ? " wrong"
        : view_.Has(CheckState::kDisturbed) ? " disturbed"
                                            : "",
        OpenSection(id_ + "-verdict", EscapedHtml(view_.headline), "check"),
        EscapedHtml(view_.summary));
    Tiles();
    html_ += "</dl>\n<ul class=\"checks\">\n";
    for (const ReportCheck& check : view_.checks) {
      constexpr struct {
        const char *style, *sign, *word;
      } kStates[] = {{"holds", "✓", "holds"},
                     {"error", "✗", "error"},
                     {"note", "·", "note"},
                     {"lacks", "–", "unavailable"},
                     {"disturbed", "!", "disturbed"}};
      const auto& state = kStates[static_cast<int>(check.state)];
      html_ += fmt::format(
          "<li class=\"{}\"><span class=\"sign\" aria-hidden=\"true\">{}</span><strong>{}</strong> "
          "<em>{}</em> <span>{}</span></li>\n",
          state.style, state.sign, EscapedHtml(check.name), state.word, EscapedHtml(check.text));
    }
    html_ += "</ul>\n";
    EndSection();
    html_ += "</div>\n";
  }

  void Tiles() {
    const std::string none = kUnavailable;
    const Record* total = view_.total;
    const Record& any = total != nullptr ? *total : view_.first();
    if (view_.pass_s) {
      Tile("Seconds", ShownSeconds(*view_.pass_s),
           total == nullptr ? "sum of the operations"
           : total->time_mad_s
               ? fmt::format("± {} MAD, {} repetition{}", ShownSeconds(*total->time_mad_s),
                             total->repetitions, Plural(total->repetitions))
               : "");
    } else {
      Tile("Seconds", none, "no time was measured");
    }
    const std::string convention = EscapedHtml("FLOPs counted under " + any.convention);
    Tile("Rate",
         total != nullptr && total->gflops ? Exactly(fmt::format("{:.9g} GFLOP/s", *total->gflops),
                                                     HumanScaled(*total->gflops * 1e9, "FLOP/s"))
                                           : none,
         convention);
    Tile("Share of FMA peak",
         total != nullptr && total->pct_peak ? fmt::format("{:.1f} %", *total->pct_peak) : none,
         view_.roofline.peak_flops_per_s
             ? fmt::format("of {}, measured",
                           HumanScaled(*view_.roofline.peak_flops_per_s, "FLOP/s"))
             : "no peak was measured");
    Tile("Measured / predicted FLOPs",
         total != nullptr && total->flops_ratio ? fmt::format("{:.4f}", *total->flops_ratio) : none,
         total == nullptr     ? "the ledger has no total"
         : total->flops_ratio ? "source: " + EscapedHtml(total->flops_source)
                              : EscapedHtml(Shortened(WhyNotMeasured(*total), 90)));
  }

  void RooflineSection() {
    const Roofline& roofline = view_.roofline;
    if (roofline.bandwidth.empty()) return RatesSection();
    Section("roofline", "Roofline", "roofline",
            "Each dot is an operation at the FLOPs that its kernel executes; its area is its share "
            "of the time, its line the spread (±&thinsp;MAD). No kernel can be above the flat "
            "roof.");
    html_ += "<figure>\n";
    Panels("wide", {1040, 500}, {510, 430});
    Panels("narrow", {360, 400}, {360, 360});
    html_ += "<figcaption>\n";
    Legend();
    html_ +=
        "<p>A slope holds an operation for the part of its traffic that the caches inside of "
        "that level cannot hold. ";
    html_ += Unmeasured() + Bases() + Skipped() + "</p>\n</figcaption>\n</figure>\n";
    EndSection();
  }

  /// Without memory roofs: each operation's rate, and how the roofs are measured.
  void RatesSection() {
    Section("roofline", "Rates under the peak", "share of peak",
            "Each bar is an operation at the FLOPs that its kernel executes, the longest first in "
            "time; the end of the line is the FMA peak.");
    const bool helps = view_.named.ledger.rows.front().ranks == 1;
    html_ += fmt::format(
        "<p class=\"callout\">Memory roof unavailable: {}.{}</p>\n",
        EscapedHtml(view_.roofline.bandwidth_unavailable),
        helps
            ? " <code>flopledger calibrate</code> measures the bandwidths of this machine once, in "
              "two minutes; a run after it has the roofline here, and predicted seconds beside the "
              "measured."
            : "");
    std::vector<RooflineDot> dots = view_.roofline.dots;
    std::ranges::stable_sort(dots, std::greater(), &RooflineDot::share);
    double most = view_.roofline.peak_flops_per_s.value_or(0);
    for (const RooflineDot& dot : dots) most = std::max(most, dot.flops_per_s);
    html_ += "<table class=\"rates\">\n<caption>Rate of each operation</caption>\n<tbody>\n";
    for (const RooflineDot& dot : dots) Rate(dot, most);
    html_ += "</tbody></table>\n<p class=\"aside\">";
    if (!view_.roofline.peak_flops_per_s) html_ += "FMA peak unavailable: not measured. ";
    html_ += Bases() + Skipped() + "</p>\n";
    EndSection();
  }

  void Rate(const RooflineDot& dot, double most) {
    const std::string& op = view_.named.ledger.rows[dot.row].op;
    const auto& peak = view_.roofline.peak_flops_per_s;
    const bool hollow = dot.basis != FlopsBasis::kExecuted;
    html_ += fmt::format(
        "<tr><th scope=\"row\"><i class=\"mark {0}\"></i>{1}</th><td><div class=\"rate\"><b "
        "class=\"{0}{2}{3}\" style=\"width:{4:.2f}%\"></b></div></td><td class=\"n\">{5}</td>"
        "<td class=\"n\">{6}</td><td class=\"n\">{7:.1f} %<small> of the time</small></td></tr>\n",
        ColourOf(op), EscapedHtml(Shortened(op, kLongestName)), hollow ? " hollow" : "",
        dot.above_roof ? " error" : "", 100 * dot.flops_per_s / most,
        Exactly(fmt::format("{:.9g} GFLOP/s at {} FLOPs", dot.flops_per_s / 1e9, NameOf(dot.basis)),
                HumanScaled(dot.flops_per_s, "FLOP/s")),
        peak ? fmt::format("{:.1f} %<small> of the peak{}</small>", 100 * dot.flops_per_s / *peak,
                           dot.above_roof ? " ✗" : "")
             : "",
        100 * dot.share);
  }

  /// Of the flat roofs.
  std::string Unmeasured() const {
    std::string html;
    if (!view_.roofline.peak_flops_per_s) html += "FMA peak unavailable: not measured. ";
    if (!view_.roofline.theoretical_flops_per_s) {
      html += "Theoretical peak unavailable: this processor is not in the calibration's table. ";
    }
    return html;
  }

  /// The whole chart; beside it, where there are dots besides, a second one of the operations that
  /// take 95 % of the time.
  void Panels(const char* name, ChartSize whole, ChartSize half) {
    const bool zoomed = HasZoom(view_);
    const ChartSize size = zoomed ? half : whole;
    html_ += fmt::format("<div class=\"{}\">\n", name);
    html_ += RooflineSvg(view_, fmt::format("{}-{}", id_, name), size);
    if (zoomed) {
      html_ +=
          RooflineSvg(view_, fmt::format("{}-{}-zoom", id_, name), {half.width, half.height, true});
    }
    html_ += "</div>\n";
  }

  std::string Bases() const {
    std::size_t hollow = 0;
    for (const RooflineDot& dot : view_.roofline.dots) {
      if (dot.basis != FlopsBasis::kExecuted) ++hollow;
    }
    if (hollow == 0) return "";
    return "What is hollow is at measured or predicted FLOPs: there is no formula for what its "
           "kernel executes. ";
  }

  std::string Skipped() const {
    if (view_.roofline.skipped.empty()) return "";
    std::string html = "Not drawn: ";
    constexpr std::size_t kMost = 8;
    const auto& skipped = view_.roofline.skipped;
    for (std::size_t i = 0; i < std::min(skipped.size(), kMost); ++i) {
      html += fmt::format("{}{} ({})", i == 0 ? "" : ", ",
                          EscapedHtml(view_.named.ledger.rows[skipped[i].row].op),
                          EscapedHtml(skipped[i].reason));
    }
    if (skipped.size() > kMost) html += fmt::format(" and {} more", skipped.size() - kMost);
    return html + ".";
  }

  void Legend() {
    html_ += "<ul class=\"legend\">\n";
    for (std::size_t colour = 1; colour <= kColours; ++colour) {
      const std::string name = fmt::format("c{}", colour);
      for (const Record* op : view_.ops) {
        if (ColourOf(op->op) != name) continue;
        html_ += fmt::format("<li><i class=\"mark {}\"></i>{} <small>{:.1f} %</small></li>\n", name,
                             EscapedHtml(Shortened(op->op, 40)), 100 * *view_.ShareOfTime(*op));
      }
    }
    double rest = 0;
    int64_t count = 0;
    for (const Record* op : view_.ops) {
      if (ColourOf(op->op) != "c0") continue;
      rest += view_.ShareOfTime(*op).value_or(0);
      ++count;
    }
    if (count > 0) {
      html_ += fmt::format("<li><i class=\"mark c0\"></i>{} other{} <small>{:.1f} %</small></li>\n",
                           count, count == 1 ? "" : "s", 100 * rest);
    }
    html_ += "</ul>\n";
  }

  /// One bar of shares, in the order of execution; what has no colour of its own stands together.
  template <class ValueOf>
  void Stack(const std::string& name, ValueOf&& value_of) {
    double sum = 0, rest = 0;
    for (const Record* op : view_.ops) sum += std::max(value_of(*op).value_or(0), 0.0);
    html_ += fmt::format("<tr><th scope=\"row\">{}</th><td>", EscapedHtml(name));
    if (sum <= 0) {
      html_ += "<span class=\"na\">unavailable</span></td></tr>\n";
      return;
    }
    html_ += "<div class=\"stack\">";
    const auto segment = [&](const std::string& op, const std::string& colour, double share) {
      const std::string label = fmt::format("{} {:.1f} %", op, 100 * share);
      html_ += fmt::format(
          "<span class=\"{0}\" style=\"width:{1:.3f}%\" title=\"{2}\"><span>{2}</span></span>",
          colour, 100 * share, EscapedHtml(label));
    };
    for (const Record* op : view_.ops) {
      const double share = std::max(value_of(*op).value_or(0), 0.0) / sum;
      if (ColourOf(op->op) == "c0") {
        rest += share;
      } else if (share > 0) {
        segment(Shortened(op->op, 40), ColourOf(op->op), share);
      }
    }
    if (rest > 0) segment("others", "c0", rest);
    html_ += "</div></td></tr>\n";
  }

  void Shares() {
    const auto as_double = [](const std::optional<int64_t>& value) {
      return value ? std::optional(static_cast<double>(*value)) : std::nullopt;
    };
    Section("shares", "Shares", "share of peak",
            "How the operations share four totals; the colours are those above.");
    html_ += "<table class=\"stacks\">\n<caption>Shares of each operation</caption>\n<tbody>\n";
    Stack("seconds", [](const Record& row) { return row.time_s; });
    Stack("FLOPs, " + Shortened(view_.first().convention, 20),
          [&](const Record& row) { return as_double(row.predicted_flops); });
    Stack("FLOPs, executed", [&](const Record& row) { return as_double(row.executed_flops); });
    Stack("bytes, at least", [&](const Record& row) { return as_double(row.bytes); });
    html_ += "</tbody></table>\n";
    EndSection();
  }

  HtmlTable AccountingTable(bool seconds_predicted) const {
    HtmlTable table{"FLOPs and seconds, predicted and measured",
                    {{"operation", "", false},
                     {"predicted", "FLOPs, " + Shortened(view_.first().convention, 20)},
                     {"executed", "FLOPs"},
                     {"measured", "FLOPs"},
                     {"source", "", false},
                     {"ratio", "meas. / pred."}},
                    {},
                    {}};
    const auto add = [&](const char* title, const char* unit, bool number = true) {
      table.columns.push_back({title, unit, number});
    };
    if (seconds_predicted) add("predicted", "seconds");
    add("measured", "seconds");
    if (seconds_predicted) {
      add("ratio", "meas. / pred.");
      add("bound", "", false);
    }
    return table;
  }

  void PredictedBesideMeasured() {
    const bool seconds_predicted = std::ranges::any_of(
        view_.ops, [](const Record* row) { return row->predicted_time_s.has_value(); });
    Section("accounting", "Predicted beside measured", "predicted FLOPs",
            "Predictions come from closed formulas and the calibration, measurements from "
            "execution; neither is computed from the other.");
    HtmlTable table = AccountingTable(seconds_predicted);
    double longest = 0;
    for (const Record* op : view_.ops) longest = std::max(longest, op->time_s.value_or(0));
    const auto row = [&](const Record& record, bool is_total) {
      HtmlRow line{is_total ? "" : ColourOf(record.op), {}};
      const auto or_why = [&](HtmlCell cell, const std::string& why) {
        cell.why = why;
        line.cells.push_back(std::move(cell));
      };
      line.cells.push_back(TextCell(Shortened(record.op, kLongestName)));
      or_why(ScaledCell(record.predicted_flops, "FLOP"), "the convention has no figure for it");
      or_why(ScaledCell(record.executed_flops, "FLOP"), "a library: there is no formula");
      or_why(ScaledCell(record.measured_flops, "FLOP"), WhyNotMeasured(record));
      line.cells.push_back(TextCell(record.flops_source));
      line.cells.push_back(NumberCell(record.flops_ratio, 4));
      if (seconds_predicted) {
        or_why(SecondsCell(record.predicted_time_s), "not calibrated for it");
      }
      or_why(is_total ? SecondsCell(record.time_s)
                      : BarCell(record.time_s, longest, ColourOf(record.op)),
             "its time was not measured");
      if (seconds_predicted) {
        line.cells.push_back(NumberCell(record.time_ratio, 3));
        line.cells.push_back(TextCell(record.bound));
      }
      return line;
    };
    for (const Record* op : view_.ops) table.rows.push_back(row(*op, false));
    if (view_.total != nullptr) table.foot.push_back(row(*view_.total, true));
    const std::string unavailable = TellUnavailable(table);
    html_ += DrawTable(table) + unavailable;
    if (!seconds_predicted) {
      html_ +=
          "<p class=\"aside\">Predicted seconds unavailable: the run had no calibration of "
          "this machine and build.</p>\n";
    }
    EndSection();
  }

  static HtmlCell ExactMilliseconds(const std::optional<double>& seconds) {
    if (!seconds) return {};
    return {Exactly(fmt::format("{:.9g} s", *seconds), Milliseconds(seconds)), seconds};
  }

  HtmlTable LedgerFrame(bool counters) const {
    HtmlTable table{"The ledger: every operation of one pass, in the order of execution",
                    {{"operation", "", false},
                     {"kind", "", false},
                     {"m", ""},
                     {"n", ""},
                     {"k", ""},
                     {"count", "in one pass"},
                     {"time", "ms"},
                     {"spread", "± MAD, ms"},
                     {"of pass", "%"},
                     {"rate", "GFLOP/s"},
                     {"of peak", "%"},
                     {"traffic", "bytes, at least"},
                     {"intensity", "FLOPs / byte"},
                     {"predicted", "FLOPs, " + Shortened(view_.first().convention, 20)},
                     {"executed", "FLOPs"},
                     {"measured", "FLOPs"},
                     {"disturbed", "", false}},
                    {},
                    {}};
    if (counters) {
      for (const char* title : {"instructions", "IPC", "LLC misses"}) {
        table.columns.push_back({title, "counted"});
      }
    }
    return table;
  }

  void FullLedger() {
    const bool counters = std::ranges::any_of(view_.ops, [](const Record* row) {
      return row->instructions || row->cycles || row->ipc || row->llc_misses;
    });
    Section("ledger", "Ledger", "ledger",
            "Every figure; times are exact on hover. Choose a heading to sort by it.");
    HtmlTable table = LedgerFrame(counters);
    const auto row = [&](const Record& record, bool is_total) {
      const bool in_pass = record.kind != "extrapolated";
      HtmlRow line{is_total ? "" : ColourOf(record.op),
                   {TextCell(Shortened(record.op, kLongestName)),
                    TextCell(is_total ? "" : record.kind), NumberCell(record.m),
                    NumberCell(record.n), NumberCell(record.k), NumberCell(record.count),
                    ExactMilliseconds(record.time_s), ExactMilliseconds(record.time_mad_s),
                    in_pass ? NumberCell(view_.ShareOfTime(record), 2, 100) : HtmlCell{},
                    NumberCell(record.gflops, 1), NumberCell(record.pct_peak, 1),
                    NumberCell(record.bytes), NumberCell(record.intensity, 1),
                    NumberCell(record.predicted_flops), NumberCell(record.executed_flops),
                    NumberCell(record.measured_flops), TextCell(record.disturbed)}};
      if (counters) {
        const auto count = [](const std::optional<double>& value) {
          return value ? HtmlCell{fmt::format("{:.4g}", *value), value} : HtmlCell{};
        };
        line.cells.push_back(count(record.instructions));
        line.cells.push_back(count(record.ipc));
        line.cells.push_back(count(record.llc_misses));
      }
      return line;
    };
    for (const Record* op : view_.ops) table.rows.push_back(row(*op, false));
    if (view_.total != nullptr) table.foot.push_back(row(*view_.total, true));
    if (view_.extrapolated != nullptr) table.foot.push_back(row(*view_.extrapolated, true));
    TellUnavailable(table);  // only leaves out what is blank throughout
    html_ += DrawTable(table);
    html_ +=
        "<p class=\"aside\">A blank does not apply: an operation that is no product has no k, "
        "and no rate under a convention that counts products only.</p>\n";
    EndSection();
  }

  void Machine() {
    Section("machine", "Run and machine", "FMA peak", "");
    html_ += "<div class=\"facts\">\n";
    std::string unknown;
    for (const auto* facts : {&view_.run, &view_.machine}) {
      html_ += "<dl>\n";
      for (const ReportFact& fact : *facts) {
        if (fact.value) {
          html_ += fmt::format("<dt>{}</dt><dd>{}</dd>\n", EscapedHtml(fact.name),
                               EscapedHtml(*fact.value));
        } else {
          unknown += (unknown.empty() ? "" : ", ") + EscapedHtml(fact.name);
        }
      }
      html_ += "</dl>\n";
    }
    html_ += "</div>\n";
    if (!unknown.empty()) {
      html_ +=
          fmt::format("<p class=\"aside\">Unavailable, as the ledger lacks it: {}.</p>\n", unknown);
    }
    EndSection();
  }

  void Reproduce() {
    Section("reproduce", "Repeat it", "commit", "");
    html_ += "<pre tabindex=\"0\"><code>";
    for (const std::string& line : view_.commands) html_ += EscapedHtml(line) + "\n";
    html_ += "</code></pre>\n";
    EndSection();
  }

  const ReportView& view_;
  const std::string id_;
  std::string html_;
};
}  // namespace

std::string RunPage(const ReportView& view, const std::string& id) {
  return RunSections(view, id).Draw();
}

}  // namespace flopledger
