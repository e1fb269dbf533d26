// The roofline as SVG.
#pragma once

#include <string>

#include "analysis/report/report.h"

namespace flopledger {

struct ChartSize {
  int width = 0, height = 0;  // in CSS pixels, at which its letters have their natural size
  bool zoom = false;          // only the operations that take 95 % of the time
};

/// Whether a second, zoomed picture shows something that the first does not show as well.
bool HasZoom(const ReportView& view);

/// A picture of view.roofline that explains itself to a screen reader. `id` is a prefix of the
/// picture's own, without markup.
std::string RooflineSvg(const ReportView& view, const std::string& id, ChartSize size);

}  // namespace flopledger
