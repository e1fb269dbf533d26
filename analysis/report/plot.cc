#include "analysis/report/plot.h"

#include <fmt/format.h>

#include <algorithm>

#include "analysis/text/markup.h"

namespace flopledger {
namespace {

constexpr double kTickLetter = 6.8;  // the mean width of a letter, in pixels

class PlotPicture {
 public:
  PlotPicture(const Plot& plot, const std::string& id, PlotSize size)
      : plot_(plot), id_(id), size_(size) {
    SetAxes();
  }

  std::string Draw() {
    text_ = fmt::format(
        "<svg class=\"plot\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" role=\"img\" "
        "aria-labelledby=\"{2}-title {2}-desc\">\n<title id=\"{2}-title\">{3}</title>\n"
        "<desc id=\"{2}-desc\">{4}</desc>\n",
        size_.width, size_.height, id_, EscapedHtml(plot_.title), EscapedHtml(plot_.description));
    Band();
    Grid();
    for (const PlotSeries& series : plot_.series) Join(series);
    for (const PlotSeries& series : plot_.series) {
      for (const PlotPoint& point : series.points) Dot(series, point);
    }
    return std::move(text_) + "</svg>\n";
  }

 private:
  void SetAxes() {
    constexpr double kLeft = 58, kTop = 28, kBottom = 44, kRight = 14;
    double left = std::numeric_limits<double>::infinity(), right = -left, low = left, high = -left;
    for (const PlotSeries& series : plot_.series) {
      for (const PlotPoint& point : series.points) {
        left = std::min(left, point.x);
        right = std::max(right, point.x);
        low = std::min(low, point.low.value_or(point.y));
        high = std::max(high, point.high.value_or(point.y));
      }
    }
    if (!(left <= right)) left = right = low = high = 1;
    if (plot_.logarithmic_x) {
      const double room = left < right ? std::pow(right / left, 0.06) : 2;
      x_ = {left / room, right * room, kLeft, size_.width - kRight, true};
    } else {
      const double room = left < right ? 0.06 * (right - left) : 1;
      x_ = {left - room, right + room, kLeft, size_.width - kRight, false};
    }
    // What hardly moves should look so: the axis spans at least 2 % of its values.
    const double room = std::max(0.12 * (high - low), 0.01 * std::abs(high));
    y_ = {plot_.from_zero ? 0 : low - room, plot_.y_high.value_or(high + room),
          size_.height - kBottom, kTop, false};
    if (!(y_.high > y_.low)) y_.high = y_.low + 1;
  }

  void Band() {
    if (!plot_.middle) return;
    const double at = *plot_.middle, spread = plot_.spread.value_or(0);
    const double top = y_(std::min(at + spread, y_.high)),
                 bottom = y_(std::max(at - spread, y_.low));
    text_ += fmt::format(
        "<rect class=\"band\" x=\"{0:.1f}\" y=\"{1:.1f}\" width=\"{2:.1f}\" height=\"{3:.1f}\"/>"
        "<path class=\"middle\" d=\"M{0:.1f} {4:.1f}H{5:.1f}\"/>\n",
        x_.begin, top, x_.end - x_.begin, std::max(bottom - top, 0.0), y_(at), x_.end);
  }

  void Grid() {
    text_ += "<g class=\"grid\">\n";
    for (const double tick : y_.Ticks()) {
      text_ += fmt::format(
          "<path d=\"M{0:.1f} {1:.1f}H{2:.1f}\"/><text x=\"{3:.1f}\" y=\"{4:.1f}\" "
          "text-anchor=\"end\">{5}</text>\n",
          x_.begin, y_(tick), x_.end, x_.begin - 8, y_(tick) + 4, TickText(tick));
    }
    double free = -1;  // from here on nothing is written
    for (const double tick : plot_.x_ticks) {
      const std::string label = TickText(tick);
      const double at = x_(tick), half = kTickLetter * static_cast<double>(label.size()) / 2;
      if (at - half < free) continue;
      free = at + half + kTickLetter;
      text_ += fmt::format(
          "<path d=\"M{0:.1f} {1:.1f}v5\"/><text x=\"{0:.1f}\" y=\"{2:.1f}\" "
          "text-anchor=\"middle\">{3}</text>\n",
          at, y_.begin, y_.begin + 18, label);
    }
    text_ += fmt::format(
        "<text class=\"axis\" x=\"{:.1f}\" y=\"{}\" text-anchor=\"end\">{}</text>"
        "<text class=\"axis\" x=\"6\" y=\"14\">{}</text>\n</g>\n",
        x_.end, size_.height - 6, EscapedHtml(plot_.x_title), EscapedHtml(plot_.y_title));
  }

  void Join(const PlotSeries& series) {
    if (!series.joined || series.points.size() < 2) return;
    text_ += fmt::format("<path class=\"joined {}\" d=\"", series.style);
    for (std::size_t i = 0; i < series.points.size(); ++i) {
      text_ += fmt::format("{}{:.1f} {:.1f}", i == 0 ? "M" : "L", x_(series.points[i].x),
                           y_(series.points[i].y));
    }
    text_ += "\"/>\n";
  }

  void Dot(const PlotSeries& series, const PlotPoint& point) {
    const double x = x_(point.x), y = y_(point.y);
    if (point.low && point.high) {
      text_ += fmt::format("<path class=\"spread {}\" d=\"M{:.1f} {:.1f}V{:.1f}\"/>", series.style,
                           x, y_(*point.low), y_(*point.high));
    }
    const std::string about =
        point.about.empty() ? "" : fmt::format("<title>{}</title>", EscapedHtml(point.about));
    if (point.doubtful) {
      text_ += fmt::format(
          "<path class=\"point doubtful\" d=\"M{:.1f} {:.1f}l9 9m0 -9l-9 9\">{}</path>\n", x - 4.5,
          y - 4.5, about);
    } else {
      text_ += fmt::format(
          "<circle class=\"point {}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\">{}</circle>\n",
          series.style, x, y, about);
    }
  }

  const Plot& plot_;
  const std::string& id_;
  const PlotSize size_;
  Axis x_, y_;
  std::string text_;
};

}  // namespace

std::string DrawPlot(const Plot& plot, const std::string& id, PlotSize size) {
  return PlotPicture(plot, id, size).Draw();
}

std::string DrawPlots(const std::vector<Plot>& plots, const std::string& id) {
  std::string html;
  const auto draw = [&](const char* name, PlotSize size) {
    html += fmt::format("<div class=\"{}\">\n", name);
    for (std::size_t i = 0; i < plots.size(); ++i) {
      html += DrawPlot(plots[i], fmt::format("{}-{}{}", id, name, i + 1), size);
    }
    html += "</div>\n";
  };
  draw("wide", {plots.size() == 1 ? 1040 : 510, 260});
  draw("narrow", {360, 220});
  return html;
}

}  // namespace flopledger
