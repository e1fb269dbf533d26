#include "analysis/audit/audit.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "analysis/audit/coincidences.h"
#include "analysis/audit/propagation.h"
#include "analysis/audit/quantities.h"
#include "analysis/text/table.h"

namespace flopledger {
namespace {

constexpr std::size_t kMostCauses = 4;

/// What is known of every claim while they are compared.
struct Work {
  std::vector<Finding> findings;
  std::vector<const Catalogue*> catalogues;  // of each claim
  std::map<std::string, Catalogue> by_setting;

  const Quantity& QuantityOf(std::size_t i) const {
    return *catalogues[i]->Find(findings[i].claim.quantity);
  }
};

/// Half the width of what a figure may stand for, relative to it.
Exact Coarseness(const Figure& figure) {
  return figure.value == 0 ? Exact(0) : Exact((figure.high - figure.low) / 2 / figure.value);
}

/// A whole number stands for a fraction that was rounded either way.
bool Explains(const Exact& value, const Figure& figure) {
  if (figure.Covers(value)) return true;
  if (!figure.exact() || denominator(value) == 1) return false;
  return value < figure.value + 1 && figure.value < value + 1;
}

void AddCause(Finding& finding, const Cause& cause) {
  const bool known =
      std::ranges::find(finding.causes, cause.text, &Cause::text) != finding.causes.end();
  if (known) return;
  if (finding.causes.size() < kMostCauses) {
    finding.causes.push_back(cause);
  } else {
    ++finding.more_causes;
  }
}

/// "rounded up, not to the nearest" where the figure's digits are those of `value` rounded the
/// wrong way; else empty.
std::string Misrounded(const Figure& figure, const Exact& value) {
  if (figure.exact() || figure.Covers(value)) return "";
  const Exact step = figure.high - figure.low;
  if (value < figure.value && figure.value < value + step) return "rounded up, not to the nearest";
  if (figure.value < value && value < figure.value + step) return "cut off, not rounded";
  return "";
}

std::string ClaimsNamed(const std::vector<std::string>& ids) {
  return fmt::format("claim{} {}", ids.size() > 1 ? "s" : "", fmt::join(ids, ", "));
}

// Right or not.

void NoteWhatWasAssumed(Finding& finding) {
  const AuditSetting& setting = finding.claim.setting;
  if (setting.own_positions > 0) {
    finding.notes.push_back(
        fmt::format("beyond the model's {} learned positions: their table is taken to grow",
                    Grouped(setting.own_positions)));
  }
  const bool thumb = setting.convention == Convention::kRuleOfThumb;
  if (!finding.claim.quantity.starts_with("flops.") || (setting.tool == nullptr && !thumb)) return;
  const std::string_view name = thumb ? "rule-of-thumb" : setting.tool->name;
  const bool total = finding.claim.quantity == "flops.total.model" ||
                     finding.claim.quantity == "flops.training.model";
  finding.notes.push_back(total ? fmt::format("under {}", name)
                                : fmt::format("{} gives totals alone: under matmul", name));
}

/// Under `causal` both ways of counting half a square are right.
bool RightByHalves(Finding& finding) {
  AuditSetting setting = finding.claim.setting;
  if (setting.convention != Convention::kCausal) return false;
  setting.pairs = CausalPairs::kHalf;
  const Catalogue halves(setting);
  if (!finding.claim.figure.Covers(halves.Find(finding.claim.quantity)->value)) return false;
  finding.notes.push_back("T²/2 pairs in place of T(T+1)/2");
  return true;
}

/// Most people count the numbers of int8 and int4 without their scales.
bool RightWithoutScales(Finding& finding) {
  AuditSetting setting = finding.claim.setting;
  if (setting.dtype.scaled == nullptr && setting.kv_dtype.scaled == nullptr) return false;
  setting.dtype.scaled = setting.kv_dtype.scaled = nullptr;
  const Catalogue numbers(setting);
  const Exact& bare = numbers.Find(finding.claim.quantity)->value;
  if (bare == finding.derived || !finding.claim.figure.Covers(bare)) return false;
  finding.notes.push_back("the numbers alone, without their scales");
  return true;
}

/// An elementwise quantity, which has a figure in the convention `all` alone.
bool RightUnderAll(Finding& finding) {
  if (finding.derived != 0 || !finding.claim.quantity.starts_with("flops.")) return false;
  AuditSetting setting = finding.claim.setting;
  setting.convention = Convention::kAll;
  const Catalogue all(setting);
  if (!finding.claim.figure.Covers(all.Find(finding.claim.quantity)->value)) return false;
  finding.causes.push_back({"elementwise, no matrix product", "", "elementwise_only", kCommon});
  return true;
}

void Judge(Finding& finding, const Quantity& quantity) {
  finding.claim.quantity = quantity.name;
  finding.derived = quantity.value;
  finding.formula = quantity.Formula();
  NoteWhatWasAssumed(finding);
  if (!finding.claim.unreadable.empty()) {
    finding.verdict = Verdict::kUnreadable;
    return;
  }
  for (const Figure& reading : finding.claim.other_readings) {
    const bool better =
        !finding.claim.figure.Covers(quantity.value) && reading.Covers(quantity.value);
    if (better) finding.claim.figure = reading;
  }
  if (finding.claim.figure.Covers(quantity.value) || RightByHalves(finding) ||
      RightWithoutScales(finding)) {
    finding.verdict = Verdict::kRight;
  } else if (RightUnderAll(finding)) {
    finding.verdict = Verdict::kRightUnder;
  }
}

// Why not.

/// Whether the claim is what its formula gives with other claims' figures in it. `coarse`: also
/// where those figures are so rounded that little can be told from them.
bool FindWhatItFollows(std::size_t self, Work& work, bool coarse) {
  Finding& finding = work.findings[self];
  // A rounded figure meets some sum or other of many wrong ones.
  const bool rounded = Coarseness(finding.claim.figure) > Exact(1) / 5000;
  const std::size_t most_claims = rounded ? 3 : 6;
  for (const Option& option : OptionsOf(self, work.findings, work.catalogues, Sources::kWrong)) {
    if (option.claims.size() > most_claims || !option.Meets(finding.claim.figure)) continue;
    if (option.low <= finding.derived && finding.derived <= option.high) continue;
    const Exact change = abs(Exact(option.value - finding.derived));
    const bool is_coarse = (option.high - option.low) * 2 > change;
    if (is_coarse != coarse) continue;
    for (const std::size_t i : option.claims) finding.via.push_back(work.findings[i].claim.id);
    for (const std::size_t i : option.elementwise) {
      finding.causes.push_back(
          {fmt::format("claim {} is added, no matrix product", work.findings[i].claim.id),
           work.findings[i].claim.quantity, "elementwise_only", kCommon});
    }
    if (!finding.via.empty()) finding.verdict = Verdict::kFollows;
    return true;
  }
  return false;
}

/// The dearest cause that is worth naming: of a figure of one or two digits nearly everything is
/// one.
int DearestCause(const Figure& figure) {
  const Exact coarseness = Coarseness(figure);
  if (coarseness > Exact(1) / 20) return kOfPart;
  return coarseness > Exact(1) / 200 ? kInOnePart + 1 : kFarFetched;
}

/// Adds those of `hypotheses` that explain the figure, of each kind of slip one for each value.
void AddExplanations(Finding& finding, std::vector<Hypothesis> hypotheses, int dearest) {
  std::ranges::stable_sort(hypotheses, {},
                           [](const Hypothesis& hypothesis) { return hypothesis.cause.cost; });
  std::set<std::pair<std::string, Exact>> known;
  for (const Hypothesis& hypothesis : hypotheses) {
    if (hypothesis.cause.cost > dearest) break;
    if (!Explains(hypothesis.value, finding.claim.figure)) continue;
    if (known.insert({hypothesis.cause.kind, hypothesis.value}).second) {
      AddCause(finding, hypothesis.cause);
    }
  }
}

std::vector<Hypothesis> NearHypotheses(std::size_t self, const Work& work) {
  const Catalogue& catalogue = *work.catalogues[self];
  const Quantity& quantity = work.QuantityOf(self);
  std::vector<Hypothesis> hypotheses = SlipsIn(catalogue, quantity);
  for (Hypothesis& other : AssumptionsIn(catalogue, quantity, false)) {
    hypotheses.push_back(std::move(other));
  }
  return hypotheses;
}

/// The slips and assumptions that explain the figure each by itself.
void FindCauses(std::size_t self, Work& work) {
  Finding& finding = work.findings[self];
  const Quantity& quantity = work.QuantityOf(self);
  const Figure& figure = finding.claim.figure;
  if (const std::string how = Misrounded(figure, quantity.value); !how.empty()) {
    AddCause(finding, {how, "", "rounding", kCommon});
  }
  const int dearest = DearestCause(figure);
  AddExplanations(finding, NearHypotheses(self, work), dearest);
  if (finding.causes.empty()) {
    AddExplanations(finding, AssumptionsIn(*work.catalogues[self], quantity, true), dearest);
  }
}

/// Two slips made together.
void FindPairs(std::size_t self, Work& work) {
  Finding& finding = work.findings[self];
  // With two digits nearly every figure is some pair's.
  if (Coarseness(finding.claim.figure) > Exact(1) / 500) return;
  constexpr int kDearestPair = 1000;
  AddExplanations(finding, PairsOf(NearHypotheses(self, work), finding.derived), kDearestPair);
}

/// A claim that is what its formula gives with other claims' figures in it and one slip besides.
void FindSlipBesides(std::size_t self, Work& work) {
  Finding& finding = work.findings[self];
  const Quantity& quantity = work.QuantityOf(self);
  const Figure& figure = finding.claim.figure;
  if (quantity.value == 0 || Coarseness(figure) > Exact(1) / 5000) return;
  const std::vector<Hypothesis> slips = SlipsIn(*work.catalogues[self], quantity);
  for (const Option& option : OptionsOf(self, work.findings, work.catalogues, Sources::kWrong)) {
    if (option.claims.empty()) continue;
    for (const Hypothesis& slip : slips) {
      if (slip.cause.cost > kOfGroup) break;
      const bool of_whole = slip.cause.kind == "lost" || slip.cause.kind == "extra";
      const Exact slipped = of_whole ? Exact(option.value * slip.value / quantity.value)
                                     : Exact(option.value + slip.value - quantity.value);
      if (figure.Covers(slipped)) AddCause(finding, slip.cause);
    }
    if (finding.causes.empty()) continue;
    for (const std::size_t i : option.claims) finding.via.push_back(work.findings[i].claim.id);
    return;
  }
}

/// A claim worked out from other claims' figures, which are right but rounded: likelier than a slip
/// in one part.
void FindRoundedInput(std::size_t self, Work& work) {
  Finding& finding = work.findings[self];
  if (!finding.causes.empty() && finding.causes.front().cost <= kOfGroup) return;
  for (const Option& option :
       OptionsOf(self, work.findings, work.catalogues, Sources::kRightButRounded)) {
    if (!finding.claim.figure.Covers(option.value)) continue;
    std::vector<std::string> ids;
    for (const std::size_t i : option.claims) ids.push_back(work.findings[i].claim.id);
    finding.causes.insert(finding.causes.begin(),
                          {fmt::format("worked out from the rounded figure{} of {}",
                                       ids.size() > 1 ? "s" : "", ClaimsNamed(ids)),
                           "", "rounding", kOfPart});
    if (finding.causes.size() > kMostCauses) {
      finding.causes.pop_back();
      ++finding.more_causes;
    }
    return;
  }
}

/// A claim that says again, perhaps rounded, what another wrong claim says of its quantity.
void FindWhatItRepeats(std::size_t self, Work& work) {
  Finding& finding = work.findings[self];
  const Figure& figure = finding.claim.figure;
  for (std::size_t i = 0; i < work.findings.size(); ++i) {
    const Finding& other = work.findings[i];
    const Figure& theirs = other.claim.figure;
    const bool wrong = other.verdict == Verdict::kWrong || other.verdict == Verdict::kFollows;
    const bool finer = Coarseness(theirs) < Coarseness(figure);
    const bool comparable = i != self && wrong && other.claim.quantity == finding.claim.quantity &&
                            other.derived == finding.derived && (theirs.exact() || finer) &&
                            (i < self || finer);
    if (!comparable) continue;
    const std::string how = Misrounded(figure, theirs.value);
    const bool explained =
        !how.empty() && !finding.causes.empty() && finding.causes.front().cost <= kCommon;
    if (explained || (!figure.Covers(theirs.value) && how.empty())) continue;
    finding.via.push_back(other.claim.id);
    finding.causes.clear();
    finding.more_causes = 0;
    if (how.empty()) {
      finding.verdict = Verdict::kFollows;
    } else {
      AddCause(finding, {fmt::format("{} {}", Show(theirs.value), how), "", "rounding", kCommon});
    }
    return;
  }
}

void Explain(std::size_t self, Work& work) {
  Finding& finding = work.findings[self];
  if (FindWhatItFollows(self, work, false)) return;
  FindCauses(self, work);
  if (finding.causes.empty() && FindWhatItFollows(self, work, true)) return;
  if (finding.causes.empty()) FindSlipBesides(self, work);
  FindRoundedInput(self, work);
  if (finding.causes.empty()) FindPairs(self, work);
}

/// The claims to mend: those that a finding rests on and that rest on no other themselves.
void FindRoots(std::vector<Finding>& findings) {
  std::map<std::string, const Finding*> by_id;
  for (const Finding& finding : findings) by_id[finding.claim.id] = &finding;
  for (Finding& finding : findings) {
    std::vector<std::string> open = finding.via;
    std::set<std::string> seen;
    while (!open.empty()) {
      const std::string id = open.back();
      open.pop_back();
      if (!seen.insert(id).second) continue;
      const Finding& other = *by_id.at(id);
      open.insert(open.end(), other.via.begin(), other.via.end());
    }
    for (const Finding& other : findings) {  // in the order of the claims
      const bool slipped = other.via.empty() || other.verdict == Verdict::kWrong;
      if (slipped && seen.contains(other.claim.id)) finding.follows.push_back(other.claim.id);
    }
  }
}

std::string WhyWrong(const Finding& finding) {
  std::vector<std::string> texts;
  for (const Cause& cause : finding.causes) texts.push_back(cause.text);
  std::string why = fmt::format("{}", fmt::join(texts, "; or "));
  if (finding.more_causes > 0) why += fmt::format("; and {} more", finding.more_causes);
  if (!finding.via.empty()) {
    why = fmt::format("with the figure of {}: {}", ClaimsNamed(finding.via), why);
  }
  if (texts.empty() && finding.coincidences.empty()) why = "no slip that we know explains it";
  constexpr std::size_t kMostCoincidences = 2;
  for (std::size_t i = 0; i < std::min(kMostCoincidences, finding.coincidences.size()); ++i) {
    const Coincidence& other = finding.coincidences[i];
    why += (why.empty() ? "" : "; ") + other.text;
  }
  return why;
}

}  // namespace

std::string_view NameOf(Verdict verdict) {
  switch (verdict) {
    case Verdict::kRight: return "right";
    case Verdict::kRightUnder: return "right under another convention";
    case Verdict::kFollows: return "follows";
    case Verdict::kUnreadable: return "unreadable";
    case Verdict::kWrong: break;
  }
  return "wrong";
}

std::string Finding::Remark() const {
  std::string remark;
  switch (verdict) {
    case Verdict::kRight: break;
    case Verdict::kRightUnder: remark = fmt::format("under all; {}", causes.front().text); break;
    case Verdict::kFollows: {
      std::vector<std::string> texts;
      for (const Cause& cause : causes) texts.push_back(cause.text);
      const std::string also = texts.empty() ? "" : fmt::format(" ({})", fmt::join(texts, ", "));
      remark = fmt::format("follows from {}{}; right otherwise", ClaimsNamed(follows), also);
      break;
    }
    case Verdict::kWrong: remark = WhyWrong(*this); break;
    case Verdict::kUnreadable: remark = claim.unreadable; break;
  }
  for (const std::string& note : notes) remark += (remark.empty() ? "" : "; ") + note;
  return remark;
}

std::vector<Finding> Audit(const std::vector<Claim>& claims) {
  Work work;
  for (const Claim& claim : claims) {
    const std::string key = KeyOf(claim.setting);
    work.catalogues.push_back(&work.by_setting.try_emplace(key, claim.setting).first->second);
    work.findings.emplace_back().claim = claim;
    Judge(work.findings.back(), work.QuantityOf(work.findings.size() - 1));
  }
  for (std::size_t i = 0; i < work.findings.size(); ++i) {
    if (work.findings[i].verdict == Verdict::kWrong) Explain(i, work);
  }
  for (std::size_t i = 0; i < work.findings.size(); ++i) {
    Finding& finding = work.findings[i];
    if (finding.verdict != Verdict::kWrong) continue;
    if (finding.via.empty()) FindWhatItRepeats(i, work);
    if (finding.verdict != Verdict::kWrong) continue;
    finding.coincidences = CoincidencesOf(finding.claim, *work.catalogues[i]);
  }
  FindRoots(work.findings);
  return std::move(work.findings);
}

}  // namespace flopledger
