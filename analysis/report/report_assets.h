// What the page is made of besides: report.css, report.js and docs/glossary.md, built in.
#pragma once

#include <string_view>

namespace flopledger {

extern const std::string_view kReportStyle;
extern const std::string_view kReportScript;
extern const std::string_view kGlossary;

}  // namespace flopledger
