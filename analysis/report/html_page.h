// The pages that ToHtml puts together.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "analysis/report/report.h"

namespace flopledger {

/// The sections of one run, in the order in which they are read; `id` begins the names of its
/// headings.
std::string RunPage(const ReportView& view, const std::string& id);

/// Several runs side by side, each held against the first. `files` are the ledgers that they were
/// cut from.
std::string ComparisonPage(const std::vector<ReportView>& views,
                           std::span<const NamedLedger> files);

/// Verdicts on the runs of other files beside the first's, as `flopledger compare` gives them: a
/// bar for each operation's ratio of seconds. Empty where one file holds all.
std::string VerdictSections(const std::vector<ReportView>& views,
                            std::span<const NamedLedger> files);

/// Seconds and share of the peak against the setting that changes; empty where no number does.
std::string SweepSection(const std::vector<ReportView>& views);

/// Each repetition's time, the peak around it, and how the operations' times spread.
std::string RepetitionsSection(const ReportView& view, const std::string& id);

/// The opening of a section and its heading, which links to `word` of the glossary; `lead` is HTML
/// and may be empty.
std::string OpenSection(const std::string& id, std::string_view title, std::string_view word,
                        const std::string& lead = "");

/// docs/glossary.md as the page's last section.
std::string GlossarySection();

/// "26 November 2026, 11:05 UTC" of a run id that ends with its time; else empty.
std::string ReadableTime(const std::string& run_id);

/// The letter that a run goes by: A, B, …
std::string LetterOf(std::size_t run);

/// The class of an operation's colour, the same on every page: "c1" to "c8", and "c0" for what
/// takes little time in any model.
std::string ColourOf(std::string_view op);

/// Letters of an operation's name in a table.
constexpr std::size_t kLongestName = 80;
constexpr std::size_t kColours = 8;

}  // namespace flopledger
