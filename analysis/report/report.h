// The page that shows a run, or compares several: HTML that stands alone, and Markdown for a CI
// summary. Pure: the same ledgers give the same text.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "analysis/ledger/record.h"
#include "analysis/ledger/roofline.h"

namespace flopledger {

/// A ledger and the name that it goes by on the page: its file's, without folders.
struct NamedLedger {
  std::string name;
  Ledger ledger;
};

/// One file with its styles and script, no reference to any other. One ledger gives its page;
/// several, or one of several points, give a comparison with the first, then the page of each.
/// Every text of a ledger is escaped. Throws InputError for no ledger, and for one that
/// CheckReportable refuses.
std::string ToHtml(std::span<const NamedLedger> ledgers);

/// The same verdicts and tables, shorter, as GitHub-flavoured Markdown.
std::string ToMarkdown(std::span<const NamedLedger> ledgers);

/// The ledgers, those of several points (`run --matmul all`, `run --threads 1,2`) cut into one for
/// each. What the environment says of a whole pass is the first point's, and stays with it.
std::vector<NamedLedger> ByPoint(std::span<const NamedLedger> files);

/// Throws InputError (naming the ledger) where there is no operation to show, or rows of more than
/// one run.
void CheckReportable(const NamedLedger& named);

// What both forms say, before it is dressed.

enum class CheckState { kHolds, kError, kNote, kUnavailable, kDisturbed };

/// One thing that a reader wants to know before believing the figures.
struct ReportCheck {
  CheckState state;
  std::string name;
  std::string text;
};

/// A fact of a run; without a value it is unavailable.
struct ReportFact {
  std::string name;
  std::optional<std::string> value;
};

/// A ledger as the page reads it. Points into the ledger, which must outlive it.
struct ReportView {
  explicit ReportView(const NamedLedger& named);

  const NamedLedger& named;
  std::vector<const Record*> ops;
  const Record* total = nullptr;         // null where the ledger has none
  const Record* extrapolated = nullptr;  // null where the whole model ran
  std::optional<double> pass_s;          // the total's, else the operations' sum
  Roofline roofline;
  std::vector<ReportCheck> checks;
  std::vector<ReportFact> run, machine;
  std::vector<std::string> commands;  // that repeat the run
  std::string headline;               // the verdict, in a few words
  std::string summary;                // a sentence with the figures

  const Record& first() const { return *ops.front(); }
  bool Has(CheckState state) const;  // among the checks
  /// Share of the pass, 0 to 1.
  std::optional<double> ShareOfTime(const Record& row) const;
};

/// Shell lines that check the commit out, write the model if it is no preset, and run the ledger's
/// point, or all of its points.
std::vector<std::string> CommandsOf(const Ledger& ledger);

/// Why a row's measured FLOPs are absent.
std::string WhyNotMeasured(const Record& row);

}  // namespace flopledger
