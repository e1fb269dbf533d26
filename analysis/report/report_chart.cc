#include "analysis/report/report_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "analysis/report/axis.h"
#include "analysis/report/html_page.h"
#include "analysis/text/markup.h"
#include "analysis/text/numbers.h"

namespace flopledger {
namespace {

constexpr double kLetter = 6.8;  // the mean width of a letter of a label
constexpr double kLine = 13;     // its height
constexpr std::size_t kLongestTitle = 60;
constexpr std::size_t kLongest = 26;  // letters of a label

struct Box {
  double left, top, right, bottom;
  bool Meets(const Box& other) const {
    return left < other.right && other.left < right && top < other.bottom && other.top < bottom;
  }
};

/// The dots of the operations that take 95 % of the time, the longest first.
std::vector<RooflineDot> MostOfTheTime(const Roofline& roofline) {
  std::vector<RooflineDot> dots = roofline.dots;
  std::ranges::stable_sort(dots, std::greater(), &RooflineDot::share);
  double share = 0;
  std::size_t count = 0;
  while (count < dots.size() && share < 0.95) share += dots[count++].share;
  dots.resize(count);
  return dots;
}

class Chart {
 public:
  Chart(const ReportView& view, std::string id, ChartSize size)
      : view_(view), roofline_(view.roofline), id_(std::move(id)), size_(size) {
    dots_ = size.zoom ? MostOfTheTime(roofline_) : roofline_.dots;
    SetAxes();
  }

  std::string Draw() {
    Open();
    Grid();
    SortDots();
    Ceilings();
    Dots();
    text_ += "</svg>\n";
    return std::move(text_);
  }

 private:
  void SetAxes() {
    PositiveRange x, y;
    for (const RooflineDot& dot : dots_) {
      x.Take(dot.intensity);
      y.Take(dot.slowest.value_or(dot.flops_per_s));
      y.Take(dot.fastest.value_or(dot.flops_per_s));
    }
    if (roofline_.peak_flops_per_s) y.Take(*roofline_.peak_flops_per_s);
    if (!size_.zoom) {
      if (roofline_.theoretical_flops_per_s) y.Take(*roofline_.theoretical_flops_per_s);
      if (const auto ridge = roofline_.Ridge()) x.Take(*ridge);
    }
    if (x.high == 0) x = {1, 1};
    if (y.high == 0) y = {1e9, 1e9};
    constexpr double kLeft = 52, kTop = 26, kBottom = 44, kRight = 14;
    const double below = size_.zoom ? 1.5 : 2.5, right = size_.zoom ? 1.8 : 3;
    const double above = size_.zoom ? 1.4 : 2;
    x_ = {std::max(x.low / below, 1e-300), std::min(x.high * right, 1e300), kLeft,
          size_.width - kRight};
    y_ = {std::max(y.low / below, 1e-300), std::min(y.high * above, 1e300), size_.height - kBottom,
          kTop};
    // Room for two labels above the highest.
    const double most = 1 - 40 / (y_.begin - y_.end);
    y_.high = std::max(y_.high, y_.low * std::pow(y.high / y_.low, 1 / most));
  }

  void Open() {
    std::string what = fmt::format("{} operations{}", dots_.size(),
                                   size_.zoom ? ", which take 95 % of the time" : "");
    if (roofline_.peak_flops_per_s) {
      what += fmt::format(" under an FMA peak of {}",
                          HumanScaled(*roofline_.peak_flops_per_s, "FLOP/s"));
    }
    for (const BandwidthCeiling& ceiling : roofline_.bandwidth) {
      what += fmt::format(", {} at {}", ceiling.level, HumanScaled(ceiling.bytes_per_s, "B/s"));
    }
    text_ += fmt::format(
        "<svg class=\"roofline\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" role=\"img\" "
        "aria-labelledby=\"{2}-title {2}-desc\">\n"
        "<title id=\"{2}-title\">Roofline of {3}{9}</title>\n"
        "<desc id=\"{2}-desc\">{4}. FLOP/s against FLOPs per byte, both logarithmic; the figures "
        "are in the ledger below.</desc>\n"
        "<clipPath id=\"{2}-clip\"><rect x=\"{5:.1f}\" y=\"{6:.1f}\" width=\"{7:.1f}\" "
        "height=\"{8:.1f}\"/></clipPath>\n",
        size_.width, size_.height, id_, EscapedHtml(Shortened(view_.first().model, 60)),
        EscapedHtml(what), x_.begin, y_.end, x_.end - x_.begin, y_.begin - y_.end,
        size_.zoom ? ", 95 % of the time" : "");
  }

  void Grid() {
    text_ += "<g class=\"grid\">\n";
    for (const double tick : x_.Ticks()) {
      const double at = x_(tick);
      text_ += fmt::format(
          "<path d=\"M{0:.1f} {1:.1f}V{2:.1f}\"/><text x=\"{0:.1f}\" y=\"{3:.1f}\" "
          "text-anchor=\"middle\">{4}</text>\n",
          at, y_.begin, y_.end, y_.begin + 17, TickText(tick));
    }
    for (const double tick : y_.Ticks()) {
      const double at = y_(tick);
      text_ += fmt::format(
          "<path d=\"M{0:.1f} {1:.1f}H{2:.1f}\"/><text x=\"{3:.1f}\" y=\"{4:.1f}\" "
          "text-anchor=\"end\">{5}</text>\n",
          x_.begin, at, x_.end, x_.begin - 8, at + 4, TickText(tick / 1e9));
    }
    text_ += fmt::format(
        "<text class=\"axis\" x=\"{:.1f}\" y=\"{}\" text-anchor=\"end\">FLOPs per byte</text>"
        "<text class=\"axis\" x=\"6\" y=\"14\">GFLOP/s</text>\n",
        x_.end, size_.height - 6);
    if (size_.zoom) {
      text_ += fmt::format(
          "<text class=\"axis\" x=\"{:.1f}\" y=\"14\" text-anchor=\"end\">those of 95 % of the "
          "time</text>\n",
          x_.end);
    }
    text_ += "</g>\n";
  }

  void Ceilings() {
    text_ += fmt::format("<g class=\"ceilings\" clip-path=\"url(#{}-clip)\">\n", id_);
    const auto& peak = roofline_.peak_flops_per_s;
    if (peak) {
      text_ += fmt::format(
          "<rect class=\"beyond\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\"/>\n",
          x_.begin, y_.end, x_.end - x_.begin, y_(*peak) - y_.end);
      text_ += fmt::format("<path class=\"peak\" d=\"M{:.1f} {:.1f}H{:.1f}\"/>\n", PeakStart(),
                           y_(*peak), x_.end);
      // At the left: those near the roof stand at the right.
      const double x = x_.begin + 6, y = y_(*peak);
      Label({{x, y - 6}, {x, y - 20}, {x, y - 34}}, "start",
            fmt::format("FMA peak {}, measured", HumanScaled(*peak, "FLOP/s")));
    }
    if (const auto& theory = roofline_.theoretical_flops_per_s; theory && *theory <= y_.high) {
      text_ += fmt::format("<path class=\"theory\" d=\"M{:.1f} {:.1f}H{:.1f}\"/>\n", x_.begin,
                           y_(*theory), x_.end);
      // Above the measured peak's label too: the two lines nearly meet.
      const double above = std::min(y_(*theory) - 6, peak ? y_(*peak) - 20 : y_.begin);
      Label({{x_.end - 4, above}, {(x_.begin + x_.end) / 2, above}}, "end",
            fmt::format("theoretical {}", HumanScaled(*theory, "FLOP/s")));
    }
    if (const auto ridge = roofline_.Ridge(); ridge && *ridge > x_.low && *ridge < x_.high) {
      text_ += fmt::format("<path class=\"ridge\" d=\"M{:.1f} {:.1f}V{:.1f}\"/>\n", x_(*ridge),
                           y_(*peak), y_.begin);
      const double x = std::min(x_(*ridge) + 5, x_.end - 80);
      std::vector<Point> places;
      for (double y = y_.begin - 8; y > y_(*peak) + kLine; y -= kLine) places.push_back({x, y});
      Label(places, "start", fmt::format("ridge {:.3g}", *ridge));
    }
    for (const BandwidthCeiling& ceiling : roofline_.bandwidth) Slope(ceiling);
    text_ += "</g>\n";
  }

  /// Where the peak's line begins: at the outermost of the innermost slopes, else at the axis.
  double PeakStart() const {
    double start = x_.begin;
    if (!roofline_.bandwidth.empty()) {
      const double fastest = roofline_.bandwidth.front().bytes_per_s;
      start = std::clamp(x_(*roofline_.peak_flops_per_s / fastest), x_.begin, x_.end);
    }
    return start;
  }

  void Slope(const BandwidthCeiling& ceiling) {
    const double top =
        roofline_.peak_flops_per_s.value_or(y_.high);  // where the slope meets the flat roof
    const double right = std::min(x_.high, top / ceiling.bytes_per_s);
    const double left = std::max(x_.low, y_.low / ceiling.bytes_per_s);
    if (left >= right) return;
    const bool outermost = &ceiling == &roofline_.bandwidth.back();
    text_ +=
        fmt::format("<path class=\"{}\" d=\"M{:.1f} {:.1f}L{:.1f} {:.1f}\"/>\n",
                    outermost ? "slope" : "slope inner", x_(left), y_(left * ceiling.bytes_per_s),
                    x_(right), y_(right * ceiling.bytes_per_s));
    NameSlope(ceiling, left, right);
  }

  /// Writes the level along its slope, at the first of some places that nothing else takes; without
  /// its bandwidth where that has none.
  void NameSlope(const BandwidthCeiling& ceiling, double left, double right) {
    const std::string full = ceiling.level + " " + HumanScaled(ceiling.bytes_per_s, "B/s");
    for (const std::string& label : {narrow() ? ceiling.level : full, ceiling.level}) {
      for (const double away : {6.0, -15.0}) {  // above the slope, below it
        for (const double at : {0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8, 0.1, 0.9}) {
          const double intensity = left * std::pow(right / left, at);
          if (Along(x_(intensity), y_(intensity * ceiling.bytes_per_s), away, label)) return;
        }
      }
    }
  }

  /// Writes a label in a slope's direction beside the point, if there it is free.
  bool Along(double at_x, double at_y, double away, const std::string& label) {
    const double turn = std::atan2(y_.PixelsPerDecade(), x_.PixelsPerDecade());
    const double half = kLetter * static_cast<double>(LengthOf(label)) / 2;
    const double x = at_x - away * std::sin(turn), y = at_y - away * std::cos(turn);
    std::vector<Box> boxes;  // a turned text covers a chain of small ones
    for (double step = -half; step <= half; step += kLine / 2) {
      const double box_x = x + step * std::cos(turn), box_y = y - step * std::sin(turn);
      boxes.push_back({box_x - 6, box_y - 9, box_x + 6, box_y + 3});
    }
    const bool inside = boxes.front().left > x_.begin && boxes.front().bottom < y_.begin &&
                        boxes.back().right < x_.end && boxes.back().top > y_.end;
    if (!inside || !std::ranges::all_of(boxes, [&](const Box& box) { return IsFree(box); })) {
      return false;
    }
    taken_.insert(taken_.end(), boxes.begin(), boxes.end());
    text_ += fmt::format(
        "<text class=\"on-slope\" text-anchor=\"middle\" transform=\"translate({:.1f} {:.1f}) "
        "rotate({:.1f})\">{}</text>\n",
        x, y, -turn * 180 / std::numbers::pi, EscapedHtml(label));
    return true;
  }

  bool IsFree(const Box& box) const {
    return std::ranges::none_of(taken_, [&](const Box& other) { return box.Meets(other); });
  }
  bool narrow() const { return size_.width < 500; }

  struct Point {
    double x, y;
  };
  /// A ceiling's label at the first of the places that is free, else at none; names of dots keep
  /// clear of it. It is drawn above the dots.
  void Label(const std::vector<Point>& places, const char* anchor, const std::string& label) {
    const double width = kLetter * static_cast<double>(LengthOf(label));
    for (const auto& [x, y] : places) {
      const double left = std::string_view(anchor) == "end" ? x - width : x;
      const Box box{left, y - kLine, left + width, y + 3};
      if (!IsFree(box)) continue;
      taken_.push_back(box);
      labels_ += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", x, y,
                             anchor, EscapedHtml(label));
      return;
    }
  }

  double Radius(const RooflineDot& dot) const {
    const double largest = std::min(size_.width, size_.height) / 17.0;
    return std::max(3.0, largest * std::sqrt(std::clamp(dot.share, 0.0, 1.0)));
  }

  /// The largest first, so that none is covered; names keep clear of them all.
  void SortDots() {
    std::ranges::stable_sort(dots_, std::greater(), &RooflineDot::share);
    for (const RooflineDot& dot : dots_) {
      const double x = x_(dot.intensity), y = y_(dot.flops_per_s), r = Radius(dot);
      taken_.push_back({x - r, y - r, x + r, y + r});
    }
  }

  void Dots() {
    text_ += "<g class=\"dots\">\n";
    for (const RooflineDot& dot : dots_) Draw(dot);
    text_ += "</g>\n<g class=\"names\">\n" + labels_;
    const std::size_t most = narrow() ? 6 : 60;  // the others would only crowd it
    for (std::size_t i = 0; i < dots_.size(); ++i) {
      if (i < most || dots_[i].above_roof) Name(dots_[i]);
    }
    text_ += "</g>\n";
  }

  void Draw(const RooflineDot& dot) {
    const Record& row = view_.named.ledger.rows[dot.row];
    const double x = x_(dot.intensity), y = y_(dot.flops_per_s);
    const std::string colour = ColourOf(row.op);
    if (dot.slowest) {
      text_ += fmt::format("<path class=\"spread {}\" d=\"M{:.1f} {:.1f}V{:.1f}\"/>", colour, x,
                           y_(*dot.slowest), y_(*dot.fastest));
    }
    const std::string name = Shortened(row.op, kLongestTitle);
    std::string about = fmt::format(
        "{}: {}, {:.4g} FLOPs per byte ({} FLOPs), {:.1f} % of the time", name,
        HumanScaled(dot.flops_per_s, "FLOP/s"), dot.intensity, NameOf(dot.basis), 100 * dot.share);
    if (dot.above_roof) {
      about += fmt::format("; above its roof of {} ({})",
                           HumanScaled(*dot.roof_flops_per_s, "FLOP/s"), dot.roof);
    }
    text_ += fmt::format(
        "<circle class=\"dot {}{}{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{:.1f}\"><title>{}</title>"
        "</circle>\n",
        colour, dot.basis == FlopsBasis::kExecuted ? "" : " hollow", dot.above_roof ? " error" : "",
        x, y, Radius(dot), EscapedHtml(about));
  }

  /// Writes a dot's name where nothing else stands; a dot that has no such place goes without, for
  /// the ledger names it. A dot above its roof is named in any case.
  void Name(const RooflineDot& dot) {
    const std::string name =
        Shortened(view_.named.ledger.rows[dot.row].op, kLongest) + (dot.above_roof ? " ✗" : "");
    const double width = kLetter * static_cast<double>(LengthOf(name));
    const double x = x_(dot.intensity), y = y_(dot.flops_per_s), r = Radius(dot);
    const bool under_peak = roofline_.peak_flops_per_s && !dot.above_roof;
    const double top = under_peak ? y_(*roofline_.peak_flops_per_s) : y_.end;
    for (const double away : {4.0, 16.0, 30.0, 46.0, 64.0}) {
      for (const double turn : {0.0, 180.0, 90.0, 270.0, 45.0, 315.0, 135.0, 225.0}) {
        const double angle = turn * std::numbers::pi / 180;
        const double at_x = x + (r + away) * std::cos(angle),
                     at_y = y + (r + away) * std::sin(angle);
        const double cosine = std::cos(angle);
        const double left = cosine > 0.1 ? at_x : cosine < -0.1 ? at_x - width : at_x - width / 2;
        const Box box{left - 1, at_y - kLine / 2, left + width + 1, at_y + kLine / 2};
        const bool inside =
            box.left > x_.begin && box.right < x_.end && box.top > top && box.bottom < y_.begin;
        if (!inside || !IsFree(box)) continue;
        taken_.push_back(box);
        if (away > 4) {
          text_ += fmt::format("<path class=\"leader\" d=\"M{:.1f} {:.1f}L{:.1f} {:.1f}\"/>",
                               x + r * cosine, y + r * std::sin(angle), at_x, at_y);
        }
        text_ += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\">{}</text>\n", left, at_y + 4,
                             EscapedHtml(name));
        return;
      }
    }
    if (!dot.above_roof) return;
    text_ += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\">✗</text>\n", x - 4, y + 4);
  }

  const ReportView& view_;
  const Roofline& roofline_;
  const std::string id_;
  const ChartSize size_;
  Axis x_, y_;
  std::vector<RooflineDot> dots_;
  std::vector<Box> taken_;
  std::string text_, labels_;
};

}  // namespace

bool HasZoom(const ReportView& view) {
  const std::size_t shown = MostOfTheTime(view.roofline).size();
  return shown > 0 && shown < view.roofline.dots.size();
}

std::string RooflineSvg(const ReportView& view, const std::string& id, ChartSize size) {
  return Chart(view, id, size).Draw();
}

}  // namespace flopledger
