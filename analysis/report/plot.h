// Points against two axes, as SVG: repetitions, the peak over a run, sweeps.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "analysis/report/axis.h"

namespace flopledger {

struct PlotSize {
  int width = 0, height = 0;  // in CSS pixels, at which its letters have their natural size
};

struct PlotPoint {
  double x = 0, y = 0;
  std::optional<double> low = {}, high = {};  // of its spread
  std::string about = {};                     // on hover
  bool doubtful = false;                      // drawn as a cross
};

struct PlotSeries {
  std::string style;  // a class: its colour
  std::vector<PlotPoint> points = {};
  bool joined = true;  // by a line
};

struct Plot {
  std::string title, description;  // for a screen reader
  std::string x_title, y_title;
  std::vector<double> x_ticks = {};  // as many as find room are written
  bool logarithmic_x = false;
  bool from_zero = false;                          // y; else from a little below the least
  std::optional<double> y_high = {};               // the axis's end, where it is known
  std::optional<double> middle = {}, spread = {};  // of all points: a line, and a band around it
  std::vector<PlotSeries> series = {};
};

/// `id` is a prefix of the picture's own, without markup.
std::string DrawPlot(const Plot& plot, const std::string& id, PlotSize size);

/// The same for a wide screen and for a phone, of which the style sheet shows one: each has
/// `plots` beside or below each other.
std::string DrawPlots(const std::vector<Plot>& plots, const std::string& id);

}  // namespace flopledger
