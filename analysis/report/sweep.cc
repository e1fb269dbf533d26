// Runs that differ in a number: seconds and share of the peak against it.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "analysis/report/html_page.h"
#include "analysis/report/plot.h"
#include "analysis/text/markup.h"
#include "analysis/text/numbers.h"

namespace flopledger {
namespace {

struct SweptNumber {
  const char* name;
  int64_t Record::*field;
};
constexpr SweptNumber kSweptNumbers[] = {
    {"context", &Record::context}, {"batch", &Record::batch}, {"threads", &Record::threads}};
constexpr std::size_t kSeriesColours = 6;

class Sweep {
 public:
  explicit Sweep(const std::vector<ReportView>& views) {
    for (const ReportView& view : views) {
      if (view.total != nullptr && view.total->time_s) totals_.push_back(view.total);
    }
    ChooseSwept();
    if (swept_ != nullptr) Group();
  }

  bool empty() const { return swept_ == nullptr; }

  std::string Draw() const {
    const std::string name = swept_->name;
    std::string html = OpenSection(
        "sweep", fmt::format("Against {}", name), "sweep",
        fmt::format("Medians of whole passes, the line ± MAD. Share of the peak is of the FMA peak "
                    "around each point's own repetitions."));
    html += "<figure>\n" + DrawPlots({Seconds(), Share()}, "sweep") + "<figcaption>\n";
    if (series_.size() > 1) {
      html += "<ul class=\"legend\">\n";
      std::size_t index = 0;
      for (const auto& [label, points] : series_) {
        html += fmt::format("<li><i class=\"mark {}\"></i>{}</li>\n", Style(index++),
                            EscapedHtml(Shortened(label, 80)));
      }
      html += "</ul>\n";
    }
    return html + "</figcaption>\n</figure>\n</section>\n";
  }

 private:
  std::size_t ValuesOf(const SweptNumber& number) const {
    std::set<int64_t> values;
    for (const Record* total : totals_) values.insert(total->*number.field);
    return values.size();
  }

  /// The number with the most values, where all runs are of one model.
  void ChooseSwept() {
    const bool one_model = std::ranges::all_of(totals_, [&](const Record* total) {
      return total->model == totals_.front()->model &&
             total->layers_run == totals_.front()->layers_run;
    });
    std::size_t most = 1;
    for (const SweptNumber& number : kSweptNumbers) {
      if (!one_model || ValuesOf(number) <= most) continue;
      most = ValuesOf(number);
      swept_ = &number;
    }
  }

  /// What tells a point from others with the same swept number.
  std::string LabelOf(const Record& total, bool with_run) const {
    std::string label;
    const auto add = [&](const std::string& part) { label += (label.empty() ? "" : ", ") + part; };
    for (const SweptNumber& number : kSweptNumbers) {
      if (&number == swept_ || ValuesOf(number) < 2) continue;
      add(fmt::format("{} {}", number.name, Grouped(total.*number.field)));
    }
    std::set<std::string> matmuls;
    for (const Record* one : totals_) matmuls.insert(one->matmul);
    if (matmuls.size() > 1) add(total.matmul);
    if (with_run) add(total.run_id);
    return label;
  }

  void Group() {
    for (const bool with_run : {false, true}) {
      series_.clear();
      bool twice = false;
      for (const Record* total : totals_) {
        auto& points = series_[LabelOf(*total, with_run)];
        twice = twice || !points.emplace(total->*swept_->field, total).second;
      }
      if (!twice) return;
    }
  }

  static std::string Style(std::size_t index) {
    return fmt::format("s{}", 1 + index % kSeriesColours);
  }

  /// A chart without its points.
  Plot Frame(const char* title, const char* y_title) const {
    Plot plot{.title = fmt::format("{} against {}", title, swept_->name),
              .description =
                  fmt::format("{} points; the figures are in the table of runs", totals_.size()),
              .x_title = swept_->name,
              .y_title = y_title,
              .from_zero = true};
    std::set<int64_t> values;
    for (const Record* total : totals_) values.insert(total->*swept_->field);
    for (const int64_t value : values) plot.x_ticks.push_back(static_cast<double>(value));
    plot.logarithmic_x = *values.begin() > 0;
    return plot;
  }

  /// A point of each run that `place` gives one.
  template <class Place>
  void Fill(Plot& plot, Place&& place) const {
    std::size_t index = 0;
    for (const auto& [label, points] : series_) {
      PlotSeries& series = plot.series.emplace_back();
      series.style = Style(index++);
      for (const auto& [value, total] : points) {
        PlotPoint point;
        point.x = static_cast<double>(value);
        if (!place(*total, point)) continue;
        point.about = fmt::format("{} {}{}{}: {}{}", swept_->name, Grouped(value),
                                  label.empty() ? "" : ", ", label, point.about,
                                  total->disturbed.empty() ? "" : "; " + total->disturbed);
        point.doubtful = !total->disturbed.empty();
        series.points.push_back(std::move(point));
      }
    }
  }

  Plot Seconds() const {
    double longest = 0;
    for (const Record* total : totals_) longest = std::max(longest, *total->time_s);
    const double unit = longest >= 1 ? 1 : 1e-3;
    Plot plot = Frame("Seconds", unit == 1 ? "seconds of a pass" : "milliseconds of a pass");
    Fill(plot, [&](const Record& total, PlotPoint& point) {
      point.y = *total.time_s / unit;
      if (total.time_mad_s) {
        point.low = (*total.time_s - *total.time_mad_s) / unit;
        point.high = (*total.time_s + *total.time_mad_s) / unit;
      }
      point.about = fmt::format("{} ({:.9g} s)", HumanSeconds(*total.time_s), *total.time_s);
      return true;
    });
    return plot;
  }

  Plot Share() const {
    Plot plot = Frame("Share of the FMA peak", "% of the FMA peak");
    plot.y_high = 100;
    Fill(plot, [](const Record& total, PlotPoint& point) {
      if (!total.pct_peak) return false;
      point.y = std::min(*total.pct_peak, 100.0);  // more cannot be: the point is doubtful then
      point.about = fmt::format("{:.4g} % of the FMA peak", *total.pct_peak);
      return true;
    });
    return plot;
  }

  std::vector<const Record*> totals_;
  const SweptNumber* swept_ = nullptr;
  std::map<std::string, std::map<int64_t, const Record*>> series_;
};

}  // namespace

std::string SweepSection(const std::vector<ReportView>& views) {
  const Sweep sweep(views);
  return sweep.empty() ? "" : sweep.Draw();
}

}  // namespace flopledger
