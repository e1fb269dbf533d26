// The page as HTML. Everything is drawn here; the script only sorts tables.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "analysis/report/report.h"
#include "analysis/report/report_assets.h"
#include "analysis/report/report_chart.h"
#include "analysis/text/markup.h"
#include "analysis/text/table.h"
#include "model/input_error.h"

namespace flopledger {
namespace {

/// Colours by name: c1 to c8 for what takes the most time, c0 for all else.
constexpr std::size_t kColours = 8;
/// Letters of an operation's name in a table.
constexpr std::size_t kLongestName = 80;

struct HtmlColumn {
  std::string title;
  std::string unit;  // on a line of its own
  bool is_number = true;
};

struct HtmlCell {
  std::string html;                  // escaped
  std::optional<double> value = {};  // what a number is sorted by; absent sorts last
};

struct HtmlRow {
  std::string colour;  // of the operation's mark; empty: none
  std::vector<HtmlCell> cells;
};

struct HtmlTable {
  std::string caption;
  std::vector<HtmlColumn> columns;
  std::vector<HtmlRow> rows, foot;
};

std::string Draw(const HtmlRow& row, const std::vector<HtmlColumn>& columns) {
  std::string html = "<tr>";
  for (std::size_t c = 0; c < columns.size(); ++c) {
    const HtmlCell& cell = row.cells.at(c);
    const std::string value = cell.value ? fmt::format(" data-v=\"{:.9g}\"", *cell.value) : "";
    const std::string mark =
        row.colour.empty() ? "" : fmt::format("<i class=\"mark {}\"></i>", row.colour);
    html += c == 0 ? fmt::format("<th scope=\"row\">{}{}</th>", mark, cell.html)
                   : fmt::format("<td{}{}>{}</td>", columns[c].is_number ? " class=\"n\"" : "",
                                 value, cell.html);
  }
  return html + "</tr>\n";
}

std::string Draw(const HtmlTable& table) {
  std::string html = fmt::format(
      "<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"{0}\"><table "
      "class=\"sortable\">\n<caption>{0}</caption>\n<thead><tr>",
      EscapedHtml(table.caption));
  for (const HtmlColumn& column : table.columns) {
    html += fmt::format(
        "<th scope=\"col\"{}>{}{}</th>", column.is_number ? " class=\"n\"" : "",
        EscapedHtml(column.title),
        column.unit.empty() ? "" : fmt::format("<small>{}</small>", EscapedHtml(column.unit)));
  }
  html += "</tr></thead>\n<tbody>\n";
  for (const HtmlRow& row : table.rows) html += Draw(row, table.columns);
  html += "</tbody>\n";
  if (!table.foot.empty()) {
    html += "<tfoot>\n";
    for (const HtmlRow& row : table.foot) html += Draw(row, table.columns);
    html += "</tfoot>\n";
  }
  return html + "</table></div>\n";
}

/// Reasons, told once beneath a table and pointed at by a letter.
class Reasons {
 public:
  std::string Unavailable(const std::string& reason) {
    const auto found = std::ranges::find(reasons_, reason);
    const auto index = static_cast<std::size_t>(found - reasons_.begin());
    if (found == reasons_.end()) reasons_.push_back(reason);
    return fmt::format("<span class=\"na\">unavailable<sup>{}</sup></span>", Letter(index));
  }
  std::string List() const {
    if (reasons_.empty()) return "";
    std::string html = "<ul class=\"reasons\">\n";
    for (std::size_t i = 0; i < reasons_.size(); ++i) {
      html += fmt::format("<li><sup>{}</sup> unavailable: {}</li>\n", Letter(i),
                          EscapedHtml(reasons_[i]));
    }
    return html + "</ul>\n";
  }

 private:
  static std::string Letter(std::size_t index) {
    return index < 26 ? std::string(1, static_cast<char>('a' + index))
                      : fmt::format("{}", index + 1);
  }
  std::vector<std::string> reasons_;
};

HtmlCell Text(const std::string& text) { return {EscapedHtml(text)}; }
HtmlCell Number(const std::optional<int64_t>& value) {
  if (!value) return {};
  return {Grouped(*value), static_cast<double>(*value)};
}
HtmlCell Number(const std::optional<double>& value, int digits, double scale = 1) {
  if (!value) return {};
  return {fmt::format("{:.{}f}", *value * scale, digits), *value};
}

/// A figure in milliseconds on a bar of its share of `longest`.
HtmlCell Bar(const std::optional<double>& seconds, double longest, const std::string& colour) {
  HtmlCell cell = Number(seconds, 3, 1e3);
  if (!seconds || longest <= 0) return cell;
  cell.html = fmt::format("<b class=\"bar {}\" style=\"width:{:.1f}%\"></b><span>{}</span>", colour,
                          100 * std::clamp(*seconds / longest, 0.0, 1.0), cell.html);
  return cell;
}

/// The class of each of the ledger's rows: the operations that take the most time are told apart.
std::vector<std::string> ColoursOf(const ReportView& view) {
  const auto& rows = view.named.ledger.rows;
  std::vector<std::string> colours(rows.size(), "c0");
  std::vector<const Record*> by_time;
  for (const Record* op : view.ops) {
    if (view.ShareOfTime(*op).value_or(0) >= 0.01) by_time.push_back(op);
  }
  std::ranges::stable_sort(by_time, std::greater(), [](const Record* op) { return *op->time_s; });
  if (by_time.size() > kColours) by_time.resize(kColours);
  for (std::size_t i = 0; i < by_time.size(); ++i) {
    colours[static_cast<std::size_t>(by_time[i] - rows.data())] = fmt::format("c{}", i + 1);
  }
  return colours;
}

/// A page of one run: its sections in the order in which they are read.
class RunPage {
 public:
  RunPage(const ReportView& view, std::string id)
      : view_(view), id_(std::move(id)), colours_(ColoursOf(view)) {}

  std::string Draw() {
    Verdict();
    RooflineSection();
    Shares();
    PredictedBesideMeasured();
    FullLedger();
    Machine();
    Reproduce();
    return std::move(html_);
  }

 private:
  std::string ColourOf(const Record& row) const {
    return colours_[static_cast<std::size_t>(&row - view_.named.ledger.rows.data())];
  }

  void Section(const char* name, const char* title, const std::string& lead) {
    html_ += fmt::format("<section aria-labelledby=\"{0}-{1}\">\n<h2 id=\"{0}-{1}\">{2}</h2>\n",
                         id_, name, title);
    if (!lead.empty()) html_ += fmt::format("<p class=\"lead\">{}</p>\n", lead);
  }
  void EndSection() { html_ += "</section>\n"; }

  void Tile(const char* name, const std::string& value, const std::string& beside) {
    html_ +=
        fmt::format("<div><dt>{}</dt><dd>{}<small>{}</small></dd></div>\n", name, value, beside);
  }

  void Verdict() {
    html_ += fmt::format(
        "<section class=\"verdict{}\" aria-labelledby=\"{}-verdict\">\n"
        "<h2 id=\"{}-verdict\">{}</h2>\n<p class=\"summary\">{}</p>\n<dl class=\"tiles\">\n",
        view_.has_error() ? " wrong" : "", id_, id_, EscapedHtml(view_.headline),
        EscapedHtml(view_.summary));
    Tiles();
    html_ += "</dl>\n<ul class=\"checks\">\n";
    for (const ReportCheck& check : view_.checks) {
      constexpr struct {
        const char *style, *sign, *word;
      } kStates[] = {{"holds", "✓", "holds"},
                     {"error", "✗", "error"},
                     {"note", "·", "note"},
                     {"lacks", "–", "unavailable"}};
      const auto& state = kStates[static_cast<int>(check.state)];
      html_ += fmt::format(
          "<li class=\"{}\"><span class=\"sign\" aria-hidden=\"true\">{}</span><strong>{}</strong> "
          "<em>{}</em> <span>{}</span></li>\n",
          state.style, state.sign, EscapedHtml(check.name), state.word, EscapedHtml(check.text));
    }
    html_ += "</ul>\n";
    EndSection();
  }

  void Tiles() {
    const std::string none = "<span class=\"na\">unavailable</span>";
    const Record* total = view_.total;
    const Record& any = total != nullptr ? *total : view_.first();
    if (view_.pass_s) {
      Tile("Seconds", EscapedHtml(ShowSeconds(*view_.pass_s)),
           total == nullptr ? "sum of the operations"
           : total->time_mad_s
               ? fmt::format("± {} MAD, {} repetition{}", ShowSeconds(*total->time_mad_s),
                             total->repetitions, total->repetitions == 1 ? "" : "s")
               : "");
    } else {
      Tile("Seconds", none, "no time was measured");
    }
    const std::string convention = EscapedHtml("FLOPs counted under " + any.convention);
    Tile("Rate",
         total != nullptr && total->gflops ? ShowScaled(*total->gflops * 1e9, "FLOP/s") : none,
         convention);
    Tile(
        "Share of FMA peak",
        total != nullptr && total->pct_peak ? fmt::format("{:.1f} %", *total->pct_peak) : none,
        view_.roofline.peak_flops_per_s
            ? fmt::format("of {}, measured", ShowScaled(*view_.roofline.peak_flops_per_s, "FLOP/s"))
            : "no peak was measured");
    Tile("Measured / predicted FLOPs",
         total != nullptr && total->flops_ratio ? fmt::format("{:.4f}", *total->flops_ratio) : none,
         total == nullptr     ? "the ledger has no total"
         : total->flops_ratio ? "source: " + EscapedHtml(total->flops_source)
                              : EscapedHtml(Shortened(WhyNotMeasured(*total), 90)));
  }

  void RooflineSection() {
    const Roofline& roofline = view_.roofline;
    Section("roofline", "Roofline",
            "Each dot is an operation at the FLOPs that its kernel executes; its area is its share "
            "of the time, its line the spread (±&thinsp;MAD). No kernel can stand above the flat "
            "roof.");
    html_ += "<figure>\n<div class=\"wide\">\n" +
             RooflineSvg(view_, colours_, id_ + "-wide", {1040, 500}) +
             "</div>\n<div class=\"narrow\">\n" +
             RooflineSvg(view_, colours_, id_ + "-narrow", {360, 400}) + "</div>\n<figcaption>\n";
    Legend();
    html_ += "<p>";
    if (roofline.bandwidth.empty()) {
      html_ += "Memory roof unavailable: " + EscapedHtml(roofline.bandwidth_unavailable) + ". ";
    } else {
      html_ +=
          "A slope holds an operation for the part of its traffic that the caches inside of "
          "that level cannot hold. ";
    }
    if (!roofline.peak_flops_per_s) html_ += "FMA peak unavailable: not measured. ";
    if (!roofline.theoretical_flops_per_s) {
      html_ +=
          "Theoretical peak unavailable: the ledger has no calibration for so many threads, or "
          "this processor is not in its table. ";
    }
    html_ += Bases();
    html_ += Skipped() + "</p>\n</figcaption>\n</figure>\n";
    EndSection();
  }

  std::string Bases() const {
    std::size_t hollow = 0;
    for (const RooflineDot& dot : view_.roofline.dots) {
      if (dot.basis != FlopsBasis::kExecuted) ++hollow;
    }
    if (hollow == 0) return "";
    return "A hollow dot stands at measured or predicted FLOPs: there is no formula for what its "
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
        if (ColourOf(*op) != name) continue;
        html_ += fmt::format("<li><i class=\"mark {}\"></i>{} <small>{:.1f} %</small></li>\n", name,
                             EscapedHtml(Shortened(op->op, 40)), 100 * *view_.ShareOfTime(*op));
      }
    }
    double rest = 0;
    int64_t count = 0;
    for (const Record* op : view_.ops) {
      if (ColourOf(*op) != "c0") continue;
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
      if (ColourOf(*op) == "c0") {
        rest += share;
      } else if (share > 0) {
        segment(Shortened(op->op, 40), ColourOf(*op), share);
      }
    }
    if (rest > 0) segment("others", "c0", rest);
    html_ += "</div></td></tr>\n";
  }

  void Shares() {
    const auto as_double = [](const std::optional<int64_t>& value) {
      return value ? std::optional(static_cast<double>(*value)) : std::nullopt;
    };
    Section("shares", "Shares", "Where the pass goes: the same colours, of four totals.");
    html_ += "<table class=\"stacks\">\n<caption>Shares of each operation</caption>\n<tbody>\n";
    Stack("seconds", [](const Record& row) { return row.time_s; });
    Stack("FLOPs, " + Shortened(view_.first().convention, 20),
          [&](const Record& row) { return as_double(row.predicted_flops); });
    Stack("FLOPs, executed", [&](const Record& row) { return as_double(row.executed_flops); });
    Stack("bytes, at least", [&](const Record& row) { return as_double(row.bytes); });
    html_ += "</tbody></table>\n";
    EndSection();
  }

  void PredictedBesideMeasured() {
    const bool seconds_predicted = std::ranges::any_of(
        view_.ops, [](const Record* row) { return row->predicted_time_s.has_value(); });
    Section("accounting", "Predicted beside measured",
            "Predictions come from closed formulas and the calibration, measurements from "
            "execution; neither is computed from the other.");
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
    if (seconds_predicted) add("predicted", "ms");
    add("measured", "ms");
    if (seconds_predicted) {
      add("ratio", "meas. / pred.");
      add("bound", "", false);
    }
    double longest = 0;
    for (const Record* op : view_.ops) longest = std::max(longest, op->time_s.value_or(0));
    Reasons reasons;
    const auto row = [&](const Record& record, bool is_total) {
      HtmlRow line{is_total ? "" : ColourOf(record), {}};
      const auto or_why = [&](HtmlCell cell, const std::string& why) {
        if (cell.html.empty()) cell.html = reasons.Unavailable(why);
        line.cells.push_back(std::move(cell));
      };
      line.cells.push_back(Text(Shortened(record.op, kLongestName)));
      or_why(Number(record.predicted_flops), "the convention has no figure for it");
      or_why(Number(record.executed_flops), "the kernel is not ours: no formula");
      or_why(Number(record.measured_flops), WhyNotMeasured(record));
      line.cells.push_back(Text(record.flops_source));
      line.cells.push_back(Number(record.flops_ratio, 4));
      if (seconds_predicted) {
        or_why(Number(record.predicted_time_s, 3, 1e3), "not calibrated for it");
      }
      or_why(
          is_total ? Number(record.time_s, 3, 1e3) : Bar(record.time_s, longest, ColourOf(record)),
          "its time was not measured");
      if (seconds_predicted) {
        line.cells.push_back(Number(record.time_ratio, 3));
        line.cells.push_back(Text(record.bound));
      }
      return line;
    };
    for (const Record* op : view_.ops) table.rows.push_back(row(*op, false));
    if (view_.total != nullptr) table.foot.push_back(row(*view_.total, true));
    html_ += flopledger::Draw(table) + reasons.List();
    if (!seconds_predicted) {
      html_ +=
          "<p class=\"aside\">Predicted seconds unavailable: the run had no calibration of "
          "this machine and build.</p>\n";
    }
    EndSection();
  }

  void FullLedger() {
    const bool counters = std::ranges::any_of(view_.ops, [](const Record* row) {
      return row->instructions || row->cycles || row->ipc || row->llc_misses;
    });
    Section("ledger", "Ledger", "Choose a heading to sort by it.");
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
                     {"intensity", "FLOPs / byte"}},
                    {},
                    {}};
    if (counters) {
      for (const char* title : {"instructions", "IPC", "LLC misses"}) {
        table.columns.push_back({title, "counted"});
      }
    }
    const auto row = [&](const Record& record, bool is_total) {
      const bool in_pass = record.kind != "extrapolated";
      HtmlRow line{is_total ? "" : ColourOf(record),
                   {Text(Shortened(record.op, kLongestName)), Text(is_total ? "" : record.kind),
                    Number(record.m), Number(record.n), Number(record.k), Number(record.count),
                    Number(record.time_s, 3, 1e3), Number(record.time_mad_s, 3, 1e3),
                    in_pass ? Number(view_.ShareOfTime(record), 2, 100) : HtmlCell{},
                    Number(record.gflops, 1), Number(record.pct_peak, 1), Number(record.bytes),
                    Number(record.intensity, 1)}};
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
    html_ += flopledger::Draw(table);
    html_ +=
        "<p class=\"aside\">A blank does not apply to its operation: what is no product has no "
        "k, and no rate under a convention that counts products only.</p>\n";
    EndSection();
  }

  void Machine() {
    Section("machine", "Run and machine", "");
    html_ += "<div class=\"facts\">\n";
    for (const auto* facts : {&view_.run, &view_.machine}) {
      html_ += "<dl>\n";
      for (const ReportFact& fact : *facts) {
        html_ += fmt::format(
            "<dt>{}</dt><dd>{}</dd>\n", EscapedHtml(fact.name),
            fact.value ? EscapedHtml(*fact.value) : "<span class=\"na\">unavailable</span>");
      }
      html_ += "</dl>\n";
    }
    html_ += "</div>\n";
    EndSection();
  }

  void Reproduce() {
    Section("reproduce", "Repeat it", "");
    html_ += "<pre tabindex=\"0\"><code>";
    for (const std::string& line : view_.commands) html_ += EscapedHtml(line) + "\n";
    html_ += "</code></pre>\n";
    EndSection();
  }

  const ReportView& view_;
  const std::string id_;
  const std::vector<std::string> colours_;
  std::string html_;
};

std::string Letter(std::size_t index) {
  return index < 26 ? std::string(1, static_cast<char>('A' + index))
                    : fmt::format("#{}", index + 1);
}

/// Several runs side by side, each held against the first.
class Comparison {
 public:
  explicit Comparison(const std::vector<ReportView>& views) : views_(views) {}

  std::string Draw() {
    Totals();
    Operations();
    Differences();
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
    return Number(*later->time_s / *earlier->time_s, 3);
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

  void Totals() {
    html_ += "<section class=\"verdict\" aria-labelledby=\"compare\">\n<h2 id=\"compare\">" +
             fmt::format("{} runs compared</h2>\n", views_.size());
    const auto differing = Differing();
    html_ += "<p class=\"summary\">";
    if (differing.empty()) {
      html_ += "The machines and builds give the same account of themselves. ";
    } else {
      html_ +=
          "Different machines or builds: seconds compare those as well as the code. They "
          "differ in ";
      for (std::size_t i = 0; i < differing.size(); ++i) {
        html_ += (i == 0 ? "" : ", ") + EscapedHtml(differing[i]);
      }
      html_ += ". ";
    }
    html_ +=
        "Ratios are of medians, to the first run, without an interval: small ones are noise."
        "</p>\n";
    HtmlTable table{"The runs",
                    {{"run", "", false},
                     {"model", "", false},
                     {"threads", ""},
                     {"matmul", "", false},
                     {"attention", "", false},
                     {"layers", "run"},
                     {"time", "ms"},
                     {"to A", "× seconds"},
                     {"rate", "GFLOP/s"},
                     {"of peak", "%"},
                     {"FMA peak", "GFLOP/s"},
                     {"verdict", "", false}},
                    {},
                    {}};
    double longest = 0;
    for (const ReportView& view : views_) longest = std::max(longest, view.pass_s.value_or(0));
    for (std::size_t i = 0; i < views_.size(); ++i) {
      const ReportView& view = views_[i];
      const Record& row = view.first();
      const Record* total = view.total;
      const auto rate = total != nullptr ? total->gflops : std::nullopt;
      const auto share = total != nullptr ? total->pct_peak : std::nullopt;
      std::optional<double> peak = view.roofline.peak_flops_per_s;
      table.rows.push_back({"",
                            {{fmt::format("<b>{}</b> {}", Letter(i), EscapedHtml(view.named.name))},
                             Text(row.model),
                             Number(row.threads),
                             Text(row.matmul),
                             Text(row.attention),
                             Number(row.layers_run),
                             OrUnavailable(Bar(view.pass_s, longest, RunColour(i))),
                             Ratio(views_.front().total, total),
                             OrUnavailable(Number(rate, 1)),
                             OrUnavailable(Number(share, 1)),
                             OrUnavailable(Number(peak, 1, 1e-9)),
                             Text(view.headline)}});
    }
    html_ += flopledger::Draw(table) + "</section>\n";
  }

  static HtmlCell OrUnavailable(HtmlCell cell) {
    if (cell.html.empty()) cell.html = "<span class=\"na\">unavailable</span>";
    return cell;
  }
  static std::string RunColour(std::size_t run) {
    return run < kColours ? fmt::format("c{}", run + 1) : "c0";
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
    html_ +=
        "<section aria-labelledby=\"compare-ops\">\n<h2 id=\"compare-ops\">Operations side by "
        "side</h2>\n<p class=\"lead\">Seconds, shares of each run's own FMA peak, and the "
        "ratio of seconds to the first run.</p>\n";
    HtmlTable table{"Operations of every run", {{"operation", "", false}}, {}, {}};
    for (std::size_t i = 0; i < views_.size(); ++i) {
      table.columns.push_back({Letter(i), "ms"});
    }
    for (std::size_t i = 1; i < views_.size(); ++i) {
      table.columns.push_back({Letter(i) + " / A", "× seconds"});
    }
    for (std::size_t i = 0; i < views_.size(); ++i) {
      table.columns.push_back({Letter(i), "% of peak"});
    }
    double longest = 0;
    for (const ReportView& view : views_) {
      for (const Record* op : view.ops) longest = std::max(longest, op->time_s.value_or(0));
    }
    const auto line = [&](const std::string& name, auto&& find, bool bars) {
      std::vector<const Record*> found;
      for (const ReportView& view : views_) found.push_back(find(view));
      HtmlRow row{"", {Text(Shortened(name, kLongestName))}};
      const auto missing = [](const Record* record) {
        return HtmlCell{record == nullptr ? "<span class=\"na\">not in this run</span>"
                                          : "<span class=\"na\">unavailable</span>"};
      };
      for (std::size_t i = 0; i < found.size(); ++i) {
        const Record* record = found[i];
        if (record == nullptr || !record->time_s) {
          row.cells.push_back(missing(record));
        } else {
          row.cells.push_back(Bar(record->time_s, bars ? longest : 0, RunColour(i)));
        }
      }
      for (std::size_t i = 1; i < found.size(); ++i) row.cells.push_back(Ratio(found[0], found[i]));
      for (const Record* record : found) {
        row.cells.push_back(record == nullptr ? HtmlCell{} : Number(record->pct_peak, 1));
      }
      return row;
    };
    for (const Record* op : Union()) {
      table.rows.push_back(line(
          op->op, [&](const ReportView& view) { return Find(view, *op); }, true));
    }
    table.foot.push_back(line(
        "total", [](const ReportView& view) { return view.total; }, false));
    html_ += flopledger::Draw(table) + "</section>\n";
  }

  /// Every fact in which the runs differ.
  void Differences() {
    html_ +=
        "<section aria-labelledby=\"compare-facts\">\n<h2 id=\"compare-facts\">What differs"
        "</h2>\n";
    HtmlTable table{"Facts in which the runs differ", {{"fact", "", false}}, {}, {}};
    for (std::size_t i = 0; i < views_.size(); ++i) table.columns.push_back({Letter(i), "", false});
    const auto add = [&](auto facts_of) {
      for (std::size_t f = 0; f < facts_of(views_.front()).size(); ++f) {
        const ReportFact& fact = facts_of(views_.front())[f];
        if (std::ranges::all_of(views_, [&](const ReportView& view) {
              return facts_of(view)[f].value == fact.value;
            })) {
          continue;
        }
        HtmlRow row{"", {Text(fact.name)}};
        for (const ReportView& view : views_) {
          const auto& value = facts_of(view)[f].value;
          row.cells.push_back(OrUnavailable(value ? Text(*value) : HtmlCell{}));
        }
        table.rows.push_back(row);
      }
    };
    add([](const ReportView& view) -> const std::vector<ReportFact>& { return view.run; });
    add([](const ReportView& view) -> const std::vector<ReportFact>& { return view.machine; });
    html_ += table.rows.empty() ? "<p class=\"lead\">Nothing that the ledgers tell.</p>\n"
                                : flopledger::Draw(table);
    html_ += "</section>\n";
  }

  const std::vector<ReportView>& views_;
  std::string html_;
};

std::string Masthead(const ReportView& view, std::size_t runs) {
  const Record& row = view.first();
  if (runs > 1) {
    return fmt::format("<header>\n<p class=\"brand\">FlopLedger</p>\n<h1>{} runs</h1>\n</header>\n",
                       runs);
  }
  return fmt::format(
      "<header>\n<p class=\"brand\">FlopLedger</p>\n<h1>{}</h1>\n<p class=\"what\">context {} · "
      "batch {} · {} of {} layers · {} thread{} · matmul {} · attention {}</p>\n<p "
      "class=\"when\">{}</p>\n</header>\n",
      EscapedHtml(row.model), Grouped(row.context), Grouped(row.batch), Grouped(row.layers_run),
      Grouped(row.layers_total), Grouped(row.threads), row.threads == 1 ? "" : "s",
      EscapedHtml(row.matmul), EscapedHtml(row.attention), EscapedHtml(row.run_id));
}

}  // namespace

std::string ToHtml(std::span<const NamedLedger> files) {
  if (files.empty()) throw InputError("there is no ledger to report");
  const std::vector<NamedLedger> ledgers = ByBackend(files);
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
  html += Masthead(views.front(), views.size());
  if (views.size() == 1) {
    html += RunPage(views.front(), "run").Draw();
  } else {
    html += Comparison(views).Draw();
    for (std::size_t i = 0; i < views.size(); ++i) {
      html +=
          fmt::format("<details>\n<summary><b>{}</b> {} <small>{}</small></summary>\n", Letter(i),
                      EscapedHtml(views[i].named.name), EscapedHtml(views[i].first().run_id));
      html += RunPage(views[i], fmt::format("run{}", i + 1)).Draw() + "</details>\n";
    }
  }
  return html + fmt::format("</main>\n<script>\n{}</script>\n</body>\n</html>\n", kReportScript);
}

}  // namespace flopledger
