// How the repetitions of a run differ: each one's time, the peak around it, each operation's
// spread.
#include <fmt/format.h>

#include <algorithm>

#include "analysis/report/html_page.h"
#include "analysis/report/plot.h"
#include "analysis/text/markup.h"
#include "analysis/text/numbers.h"
#include "analysis/text/stats.h"

namespace flopledger {
namespace {

/// Why each repetition of the pass is doubtful; empty where it is not: a fresh one took the place
/// of what was replaced. Of a sweep the ledger does not say whose repetition it was: the total's
/// own word decides.
std::vector<std::string> DoubtsOf(const ReportView& view) {
  const Record& total = *view.total;
  std::vector<std::string> doubts(total.samples_s.size());
  if (total.disturbed.empty()) return doubts;
  for (const Disturbance& one : view.named.ledger.environment.disturbances) {
    const auto index = static_cast<std::size_t>(one.repetition - 1);
    if (one.replaced || one.matmul != total.matmul || index >= doubts.size()) continue;
    doubts[index] += (doubts[index].empty() ? "" : "; ") + one.reason;
  }
  return doubts;
}

std::vector<double> UpTo(std::size_t count) {
  std::vector<double> numbers;
  for (std::size_t i = 1; i <= count; ++i) numbers.push_back(static_cast<double>(i));
  return numbers;
}

Plot PassPlot(const Record& total, const std::vector<std::string>& doubts) {
  const double unit = *total.time_s >= 1 ? 1 : 1e-3;
  Plot plot{.title = "Seconds of each repetition",
            .description = fmt::format("{} repetitions in the order in which they ran, with their "
                                       "median and median absolute deviation",
                                       total.samples_s.size()),
            .x_title = "repetition",
            .y_title = unit == 1 ? "seconds of a pass" : "milliseconds of a pass",
            .x_ticks = UpTo(total.samples_s.size()),
            .middle = *total.time_s / unit,
            .spread = total.time_mad_s.value_or(0) / unit,
            .series = {{.style = "whole", .joined = false}}};
  for (std::size_t i = 0; i < total.samples_s.size(); ++i) {
    const double seconds = total.samples_s[i];
    std::string about =
        fmt::format("repetition {}: {} ({:.9g} s), {:+.1f} % of the median", i + 1,
                    HumanSeconds(seconds), seconds, 100 * (seconds / *total.time_s - 1));
    if (!doubts[i].empty()) about += "; disturbed: " + doubts[i];
    plot.series[0].points.push_back({.x = static_cast<double>(i + 1),
                                     .y = seconds / unit,
                                     .about = about,
                                     .doubtful = !doubts[i].empty()});
  }
  return plot;
}

Plot PeakPlot(const Record& total) {
  Plot plot{.title = "FMA peak around each repetition",
            .description = "measured before and after each repetition; the mean of the two",
            .x_title = "repetition",
            .y_title = "FMA peak, GFLOP/s",
            .x_ticks = UpTo(total.peak_samples_gflops.size()),
            .series = {{.style = "whole"}}};
  for (std::size_t i = 0; i < total.peak_samples_gflops.size(); ++i) {
    const double peak = total.peak_samples_gflops[i];
    plot.series[0].points.push_back(
        {.x = static_cast<double>(i + 1),
         .y = peak,
         .about = fmt::format("repetition {}: {:.6g} GFLOP/s", i + 1, peak)});
  }
  return plot;
}

/// "From the first repetition to the last the FMA peak moved from … to … (−1.2 %)."
std::string DriftSentence(const std::vector<double>& peaks) {
  const auto [least, most] = std::ranges::minmax(peaks);
  return fmt::format(
      "The FMA peak moved by {:+.1f} % from the first repetition to the last ({:.1f} to {:.1f} "
      "GFLOP/s), and lay between {:.1f} and {:.1f}. ",
      100 * (peaks.back() / peaks.front() - 1), peaks.front(), peaks.back(), least, most);
}

/// What was disturbed, a sentence each.
std::string DisturbedSentences(const ReportView& view) {
  std::string html;
  for (const Disturbance& one : view.named.ledger.environment.disturbances) {
    if (one.matmul != view.total->matmul) continue;
    html += fmt::format("<li>repetition {} {}: {}</li>\n", one.repetition,
                        one.replaced ? "was disturbed, and measured again" : "is disturbed",
                        EscapedHtml(one.reason));
  }
  if (html.empty() && !view.total->disturbed.empty()) {
    html = fmt::format("<li>{}</li>\n", EscapedHtml(view.total->disturbed));
  }
  return html.empty() ? "" : "<ul class=\"doubts\">\n" + html + "</ul>\n";
}

/// A line an operation: each repetition's distance from the operation's median.
class SpreadTable {
 public:
  SpreadTable(const ReportView& view, const std::vector<std::string>& doubts) : doubts_(doubts) {
    for (const Record* op : view.ops) {
      if (op->samples_s.size() < 2 || !op->time_s || *op->time_s <= 0) continue;
      if (view.ShareOfTime(*op).value_or(0) >= kLeastShare) {
        ops_.push_back(op);
      } else {
        ++small_;
      }
    }
    if (!ops_.empty()) ops_.push_back(view.total);
    for (const Record* op : ops_) {
      for (const double seconds : op->samples_s) {
        furthest_ = std::max(furthest_, std::abs(seconds / *op->time_s - 1));
      }
    }
    furthest_ = std::clamp(furthest_ * 1.05, 0.01, kFurthest);
  }

  std::string Draw() const {
    if (ops_.empty()) return "";
    std::string html = fmt::format(
        "<table class=\"strips\">\n<caption>Spread of each operation</caption>\n<thead><tr><th "
        "scope=\"col\">operation</th><th scope=\"col\"><span class=\"ends\"><span>&minus;{0:.2g} "
        "%</span><span>its median</span><span>+{0:.2g} %</span></span></th></tr></thead>\n<tbody>"
        "\n",
        100 * furthest_);
    for (const Record* op : ops_) html += Strip(*op);
    html += "</tbody></table>\n";
    if (small_ > 0) {
      html += fmt::format(
          "<p class=\"aside\">{} operation{} of less than {:.0f} % of the time {} left out.</p>\n",
          small_, Plural(small_), 100 * kLeastShare, small_ == 1 ? "is" : "are");
    }
    return html;
  }

 private:
  static constexpr double kLeastShare = 0.01;
  static constexpr double kFurthest = 0.5;  // what lies further stands at the edge

  double Percent(double ratio) const {
    return 50 + 50 * std::clamp((ratio - 1) / furthest_, -1.0, 1.0);
  }

  std::string Strip(const Record& op) const {
    const bool total = op.kind == "total";
    const std::string colour = total ? "whole" : ColourOf(op.op);
    const double mad = op.time_mad_s.value_or(0) / *op.time_s;
    std::string html = fmt::format(
        "<tr><th scope=\"row\">{}{}</th><td><div class=\"strip {}\"><b style=\"left:{:.2f}%;"
        "width:{:.2f}%\" title=\"± MAD: {:.2f} %\"></b>",
        total ? "" : fmt::format("<i class=\"mark {}\"></i>", colour),
        EscapedHtml(Shortened(op.op, kLongestName)), colour, Percent(1 - mad),
        Percent(1 + mad) - Percent(1 - mad), 100 * mad);
    for (std::size_t i = 0; i < op.samples_s.size(); ++i) {
      const bool doubtful = i < doubts_.size() && !doubts_[i].empty();
      html += fmt::format("<i{} style=\"left:{:.2f}%\" title=\"repetition {}: {}, {:+.1f} %\"></i>",
                          doubtful ? " class=\"doubtful\"" : "",
                          Percent(op.samples_s[i] / *op.time_s), i + 1,
                          HumanSeconds(op.samples_s[i]), 100 * (op.samples_s[i] / *op.time_s - 1));
    }
    return html + "</div></td></tr>\n";
  }

  const std::vector<std::string>& doubts_;
  std::vector<const Record*> ops_;
  int64_t small_ = 0;
  double furthest_ = 0;
};

}  // namespace

std::string RepetitionsSection(const ReportView& view, const std::string& id) {
  std::string html =
      OpenSection(id + "-repetitions", "Repetitions", "median, MAD",
                  "Each dot is a repetition, in the order in which they ran; the line is the "
                  "median, the band ±&thinsp;MAD. What was disturbed is a cross or a square.");
  const Record* total = view.total;
  if (total == nullptr || !total->time_s || *total->time_s <= 0 || total->samples_s.empty()) {
    return html +
           "<p class=\"aside\">Unavailable: the ledger has no repetitions of the whole pass.</p>\n"
           "</section>\n";
  }
  const auto& peaks = total->peak_samples_gflops;
  const std::vector<std::string> doubts = DoubtsOf(view);
  std::vector<Plot> plots = {PassPlot(*total, doubts)};
  if (!peaks.empty()) plots.push_back(PeakPlot(*total));
  html += "<figure>\n" + DrawPlots(plots, id + "-repetitions") + "<figcaption>\n";
  html += DisturbedSentences(view) + "<p>";
  html += peaks.empty() ? "The peak around each repetition is unavailable: the ledger lacks it. "
          : peaks.size() > 1 ? DriftSentence(peaks)
                             : "";
  if (total->samples_s.size() == 1) html += "One repetition has no spread.";
  html += "</p>\n</figcaption>\n</figure>\n";
  if (total->samples_s.size() > 1) html += SpreadTable(view, doubts).Draw();
  return html + "</section>\n";
}

}  // namespace flopledger
