// The page's style sheet and script: report.css and report.js, built in.
#pragma once

#include <string_view>

namespace flopledger {

extern const std::string_view kReportStyle;
extern const std::string_view kReportScript;

}  // namespace flopledger
