#include "analysis/audit/audit.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "analysis/accounting/other_tools.h"
#include "analysis/audit/quantities.h"
#include "analysis/text/csv.h"
#include "model/json.h"

namespace flopledger {
namespace {

constexpr std::size_t kMostOptions = 256;
constexpr std::size_t kMostCauses = 4;

std::string KeyOf(const AuditSetting& setting) {
  return fmt::format("{}|{}|{}|{}", ToJson(setting.model).dump(), setting.context, setting.batch,
                     static_cast<int>(setting.convention));
}

Catalogue CatalogueOf(const AuditSetting& setting, Convention convention) {
  return {setting.model, WholePass(setting.model, setting.context, setting.batch), convention};
}

InputError UnknownQuantity(const std::string& where, const std::string& name,
                           const Catalogue& catalogue) {
  std::vector<std::string> names = catalogue.names();
  for (const std::string& full : catalogue.names()) {
    if (full.ends_with(".model")) names.push_back(full.substr(0, full.rfind('.')));
  }
  std::string hint = Suggest(name, names);
  if (hint.starts_with("; allowed")) hint = "; 'flopledger audit --quantities' lists them";
  return InputError(fmt::format("{}: unknown quantity '{}'{}", where, name.substr(0, 60), hint));
}

// The detective.

struct Hypothesis {
  Cause cause;
  Exact value;
};

std::string Meaning(const std::string& symbol) {
  static const std::map<std::string, std::string> kMeanings = {
      {"B", "batch"},      {"T", "context"},         {"L", "layers"},     {"C", "d_model"},
      {"NH", "heads"},     {"NKV", "KV heads"},      {"HS", "head size"}, {"F", "d_ff"},
      {"V", "vocabulary"}, {"(T+1)/2", "kept pairs"}};
  const auto found = kMeanings.find(symbol);
  return found == kMeanings.end() ? "" : " " + found->second;
}

std::string Named(const Factor& factor) {
  if (Meaning(factor.symbol).empty()) return fmt::format("×{}", factor.symbol);
  return fmt::format("×{} ({}{})", factor.symbol, Show(factor.value), Meaning(factor.symbol));
}

const Factor* FindFactor(const std::vector<Factor>& factors, const std::string& symbol) {
  const auto found = std::ranges::find(factors, symbol, &Factor::symbol);
  return found == factors.end() ? nullptr : &*found;
}

/// The factors that every term has.
std::vector<Factor> CommonFactors(const std::vector<Term>& terms) {
  std::vector<Factor> common;
  if (terms.empty()) return common;
  for (const Factor& factor : terms.front().factors) {
    const bool everywhere = std::ranges::all_of(terms, [&](const Term& term) {
      return FindFactor(term.factors, factor.symbol) != nullptr;
    });
    if (everywhere && FindFactor(common, factor.symbol) == nullptr) common.push_back(factor);
  }
  return common;
}

/// Every slip known to us, made in one quantity.
class SlipFinder {
 public:
  SlipFinder(const Catalogue& catalogue, const Quantity& quantity)
      : catalogue_(catalogue), quantity_(quantity), flat_(catalogue.Flatten(quantity)) {}

  /// Slips in a factor of the whole.
  std::vector<Hypothesis> WholeFactors() {
    Factors();
    return std::move(hypotheses_);
  }

  std::vector<Hypothesis> Hypotheses() {
    Factors();
    Units();
    Substitutions(flat_, quantity_.value, "", 2);
    Terms();
    Pairs();
    std::ranges::stable_sort(hypotheses_, {},
                             [](const Hypothesis& hypothesis) { return hypothesis.cause.slips; });
    return std::move(hypotheses_);
  }

 private:
  void AddHypothesis(std::string kind, std::string factor, std::string text, int slips,
                     Exact value) {
    if (value == quantity_.value) return;
    hypotheses_.push_back({{std::move(text), std::move(factor), std::move(kind), slips}, value});
  }

  /// How a symbol that stands more than once is lost: T of T·T leaves T for T².
  static std::string Squared(const Factor& factor, const Term& term) {
    const auto times = std::ranges::count(term.factors, factor.symbol, &Factor::symbol);
    return times == 2 ? fmt::format(": {0} for {0}²", factor.symbol) : "";
  }

  static std::string LostText(const Factor& factor, Unit unit) {
    if (unit == Unit::kBytes && factor.symbol == "4") return "×4 lost: the bytes of a float";
    if (unit == Unit::kFlops && factor.symbol == "2") {
      return "×2 lost: a multiplication and an addition";
    }
    if (factor.symbol == "3") return "×3 lost: one of three matrices counted";
    return Named(factor) + " lost";
  }

  /// What people lose or add though it is no factor of the formula.
  std::vector<Factor> UnrelatedFactors(const std::vector<Factor>& common) const {
    std::vector<Factor> strangers{{"2", 2}, {"3", 3}, {"4", 4}};
    for (const char* symbol : {"T", "L", "NH", "B", "NKV", "HS", "C", "F", "V"}) {
      strangers.push_back(*FindFactor(catalogue_.symbols(), symbol));
    }
    const bool grouped = FindFactor(strangers, "NKV")->value != FindFactor(strangers, "NH")->value;
    std::erase_if(strangers, [&](const Factor& factor) {
      if (factor.symbol == "NKV" && !grouped) return true;
      return factor.value == 1 || FindFactor(common, factor.symbol) != nullptr;
    });
    return strangers;
  }

  void Factors() {
    common_ = CommonFactors(flat_);
    const Exact& truth = quantity_.value;
    for (const Factor& factor : common_) {
      if (factor.value == 1 || factor.value == 0) continue;
      const std::string squared = flat_.size() == 1 ? Squared(factor, flat_.front()) : "";
      AddHypothesis("lost", factor.symbol, LostText(factor, quantity_.unit) + squared, 1,
                    truth / factor.value);
      AddHypothesis("extra", factor.symbol, Named(factor) + " counted twice", 1,
                    truth * factor.value);
    }
    for (const Factor& factor : UnrelatedFactors(common_)) {
      const bool common_loss = factor.symbol.size() == 1 &&
                               std::string_view("234TLB").find(factor.symbol) != std::string::npos;
      const int slips = common_loss || factor.symbol == "NH" ? 1 : 2;
      AddHypothesis("extra", factor.symbol, Named(factor) + " too much", slips,
                    truth * factor.value);
      if (quantity_.unit == Unit::kBytes && factor.symbol == "2") {
        AddHypothesis("lost", "2", "×2 lost: 2 bytes a number in place of 4", 1, truth / 2);
      } else {
        // Below HS taken for C, which comes to the same: C is NH·HS.
        const int divided = common_loss ? slips + 1 : slips + 2;
        AddHypothesis("lost", factor.symbol, fmt::format("divided by {}", Named(factor).substr(2)),
                      divided, truth / factor.value);
      }
    }
  }

  void Units() {
    if (quantity_.unit != Unit::kBytes) return;
    constexpr std::pair<const char*, const char*> kNames[] = {
        {"kB", "KiB"}, {"MB", "MiB"}, {"GB", "GiB"}, {"TB", "TiB"}};
    Exact ratio = 1;
    for (const auto& [decimal, binary] : kNames) {
      ratio *= Exact(1024) / 1000;
      const std::string pair = fmt::format("{} against {}", decimal, binary);
      const auto text = [&](const char* reckoned, const char* called) {
        return fmt::format("{}: reckoned in {}, called {}", pair, reckoned, called);
      };
      AddHypothesis("unit", pair, text(binary, decimal), 1, quantity_.value / ratio);
      AddHypothesis("unit", pair, text(decimal, binary), 1, quantity_.value * ratio);
    }
  }

  /// One size taken for another wherever it stands in `terms`, which are a part of the whole.
  void Substitutions(const std::vector<Term>& terms, const Exact& part, const std::string& where,
                     int slips) {
    constexpr std::pair<const char*, const char*> kTaken[] = {
        {"HS", "C"},   {"C", "HS"}, {"F", "C"}, {"C", "F"},   {"NKV", "NH"},
        {"NH", "NKV"}, {"T", "C"},  {"C", "T"}, {"HS", "NH"}, {"NH", "HS"}};
    for (const auto& [from, to] : kTaken) {
      const Factor& taken = *FindFactor(catalogue_.symbols(), to);
      Exact changed = 0;
      for (const Term& term : terms) {
        Exact product = 1;
        bool done = false;  // C·C: one of them is slipped
        for (const Factor& factor : term.factors) {
          const bool here = factor.symbol == from && !done;
          product *= here ? taken.value : factor.value;
          done = done || here;
        }
        changed += product;
      }
      AddHypothesis("replaced", from,
                    fmt::format("{}{} taken for{}{}", to, Meaning(to), Meaning(from), where), slips,
                    quantity_.value - part + changed);
    }
  }

  void Elementwise(const Term& term, const std::string& where, int slips) {
    for (const Factor& summed : term.factors) {
      const Factor* two = FindFactor(term.factors, "2");
      if (!summed.summed || two == nullptr) continue;
      const Exact whole = Product(term.factors);
      AddHypothesis(
          "elementwise", summed.symbol,
          fmt::format("an elementwise product taken for a matrix product: ×2 and the sum over "
                      "{} ({}) lost{}",
                      summed.symbol, Show(summed.value), where),
          slips, quantity_.value - whole + whole / (2 * summed.value));
    }
  }

  void Terms() {
    if (flat_.size() == 1) Elementwise(flat_.front(), "", 2);
    for (const Term& term : quantity_.terms) {
      const Quantity* of = term.of.empty() ? nullptr : catalogue_.Find(term.of);
      const Exact value = Product(term.factors) * (of == nullptr ? Exact(1) : of->value);
      if (quantity_.terms.size() > 1 && !term.elementwise_only) InOrOut(term.name, value);
    }
    if (flat_.size() == 1) return;
    for (const Term& term : flat_) {
      const Exact value = Product(term.factors);
      if (flat_.size() != quantity_.terms.size()) InOrOut(term.name, value);
      const std::string where = fmt::format(" in {}", term.name);
      Elementwise(term, where, 3);
      std::set<std::string> seen;
      for (const Factor& factor : term.factors) {
        if (factor.value == 1 || factor.value == 0 || !seen.insert(factor.symbol).second) continue;
        AddHypothesis("lost", factor.symbol,
                      LostText(factor, quantity_.unit) + Squared(factor, term) + where, 3,
                      quantity_.value - value + value / factor.value);
        AddHypothesis("extra", factor.symbol, Named(factor) + " counted twice" + where, 3,
                      quantity_.value - value + value * factor.value);
      }
      for (const Factor& factor : UnrelatedFactors(term.factors)) {
        AddHypothesis("extra", factor.symbol, Named(factor) + " too much" + where, 3,
                      quantity_.value - value + value * factor.value);
      }
      Substitutions({term}, value, where, 3);
    }
  }

  void InOrOut(const std::string& name, const Exact& value) {
    AddHypothesis("forgotten", name, fmt::format("{} forgotten", name), 2, quantity_.value - value);
    AddHypothesis("twice", name, fmt::format("{} counted twice", name), 2, quantity_.value + value);
  }

  /// Two factors of the formula lost together.
  void Pairs() {
    for (std::size_t i = 0; i < common_.size(); ++i) {
      for (std::size_t j = i + 1; j < common_.size(); ++j) {
        const Exact product = common_[i].value * common_[j].value;
        if (common_[i].value == 1 || common_[j].value == 1 || product == 0) continue;
        AddHypothesis("lost", common_[i].symbol + "·" + common_[j].symbol,
                      fmt::format("{} and {} lost", Named(common_[i]), Named(common_[j])), 4,
                      quantity_.value / product);
      }
    }
  }

  const Catalogue& catalogue_;
  const Quantity& quantity_;
  std::vector<Term> flat_;
  std::vector<Factor> common_;
  std::vector<Hypothesis> hypotheses_;
};

/// Models that differ in one assumption, and what to call it.
std::vector<std::pair<std::string, ModelConfig>> OtherModels(const ModelConfig& model) {
  std::vector<std::pair<std::string, ModelConfig>> others;
  const auto add = [&](std::string text, auto change) {
    ModelConfig other = model;
    change(other);
    others.emplace_back(std::move(text), other);
  };
  add(model.tie_embeddings ? "right if the logits' matrix were not tied to the embedding"
                           : "right if the logits' matrix were tied to the embedding",
      [](ModelConfig& m) { m.tie_embeddings = !m.tie_embeddings; });
  add(model.bias ? "right for a model without biases" : "right for a model with biases",
      [](ModelConfig& m) { m.bias = !m.bias; });
  add(model.has_gate() ? "right for an FFN of two matrices"
                       : "right for SwiGLU's FFN of three matrices",
      [](ModelConfig& m) { m.ffn = m.has_gate() ? Ffn::kGeluTanh : Ffn::kSwiglu; });
  add(model.final_norm ? "right without the final norm" : "right with a final norm",
      [](ModelConfig& m) { m.final_norm = !m.final_norm; });
  add(model.position == Position::kLearned ? "right without learned positions"
                                           : "right with learned positions",
      [](ModelConfig& m) {
        m.position = m.position == Position::kLearned ? Position::kNone : Position::kLearned;
      });
  if (model.num_kv_heads != model.num_heads) {
    add("right with as many KV heads as heads",
        [](ModelConfig& m) { m.num_kv_heads = m.num_heads; });
  }
  return others;
}

// What follows from what.

/// A value that a quantity may have had in the person's hands, and the claims that it rests on.
struct Option {
  Exact value;
  std::set<std::size_t> wrong, elementwise_only;
};

class Follower {
 public:
  Follower(const std::vector<Finding>& findings, const std::vector<std::string>& keys,
           const Catalogue& catalogue, std::size_t self)
      : findings_(findings), keys_(keys), catalogue_(catalogue), self_(self) {}

  std::vector<Option> Options(const Quantity& quantity, bool is_self) {
    std::vector<Option> options;
    if (!is_self) Claimed(quantity.name, options);
    std::vector<Option> sums{{0, {}, {}}};
    for (const Term& term : quantity.terms) {
      std::vector<Option> parts;
      if (term.elementwise_only) {
        parts.push_back({0, {}, {}});
        Claimed(term.of, parts);
        for (std::size_t i = 1; i < parts.size(); ++i) {
          parts[i].elementwise_only = std::exchange(parts[i].wrong, {});
        }
      } else if (term.of.empty()) {
        parts.push_back({1, {}, {}});
      } else {
        parts = Options(*catalogue_.Find(term.of), false);
      }
      sums = Sum(sums, parts, Product(term.factors));
    }
    options.insert(options.end(), sums.begin(), sums.end());
    return options;
  }

 private:
  void Claimed(const std::string& name, std::vector<Option>& options) const {
    for (std::size_t i = 0; i < findings_.size(); ++i) {
      const Finding& other = findings_[i];
      if (i == self_ || keys_[i] != keys_[self_] || other.verdict == Verdict::kRight ||
          !other.claim.figure.exact() || other.claim.quantity != name) {
        continue;
      }
      options.push_back({other.claim.figure.value, {i}, {}});
    }
  }

  static std::vector<Option> Sum(const std::vector<Option>& sums, const std::vector<Option>& parts,
                                 const Exact& factor) {
    std::vector<Option> all;
    for (const Option& sum : sums) {
      for (const Option& part : parts) {
        if (all.size() == kMostOptions) return all;
        Option next = sum;
        next.value += factor * part.value;
        next.wrong.insert(part.wrong.begin(), part.wrong.end());
        next.elementwise_only.insert(part.elementwise_only.begin(), part.elementwise_only.end());
        all.push_back(std::move(next));
      }
    }
    return all;
  }

  const std::vector<Finding>& findings_;
  const std::vector<std::string>& keys_;
  const Catalogue& catalogue_;
  std::size_t self_;
};

/// The name of the rule of thumb for a quantity; empty where there is none.
std::string ByRuleOfThumb(std::string_view quantity) {
  if (quantity == "flops.total.model") return "flops.rule_of_thumb.model";
  return quantity == "flops.training.model" ? "flops.6nd.model" : "";
}

void FindOtherConvention(Finding& finding) {
  const AuditSetting& setting = finding.claim.setting;
  const Figure& figure = finding.claim.figure;
  for (const ConventionInfo& info : Conventions()) {
    if (info.value == setting.convention) continue;
    const bool thumb = info.value == Convention::kRuleOfThumb;
    const std::string name = thumb ? ByRuleOfThumb(finding.claim.quantity) : finding.claim.quantity;
    const Catalogue other = CatalogueOf(setting, thumb ? setting.convention : info.value);
    const Quantity* quantity = other.Find(name);
    if (quantity == nullptr || !figure.Covers(quantity->value)) continue;
    finding.verdict = Verdict::kRightUnder;
    finding.convention = info.name;
    if (finding.derived == 0)
      finding.causes.push_back({"elementwise, no matrix product", "", "outsider", 1});
    return;
  }
  for (const OtherTool& tool : OtherTools()) {
    const bool training = finding.claim.quantity == "flops.training.model";
    if (tool.counts_macs || !(training || finding.claim.quantity == "flops.total.model")) continue;
    const ToolFigure theirs =
        tool.figure(setting.model, WholePass(setting.model, setting.context, setting.batch));
    const std::optional<int64_t> value = training ? theirs.training : theirs.forward;
    if (!value || !figure.Covers(*value)) continue;
    finding.verdict = Verdict::kRightUnder;
    finding.convention = tool.name;
    return;
  }
}

void AddCause(Finding& finding, const Cause& cause) {
  const bool known =
      std::ranges::find(finding.causes, cause.text, &Cause::text) != finding.causes.end();
  if (!known && finding.causes.size() < kMostCauses) finding.causes.push_back(cause);
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

void FindCauses(Finding& finding, const Catalogue& catalogue) {
  const Quantity& quantity = *catalogue.Find(finding.claim.quantity);
  const Figure& figure = finding.claim.figure;
  if (const std::string how = Misrounded(figure, quantity.value); !how.empty()) {
    AddCause(finding, {how, "", "rounding", 1});
  }
  std::vector<Hypothesis> hypotheses = SlipFinder(catalogue, quantity).Hypotheses();
  for (const auto& [text, model] : OtherModels(finding.claim.setting.model)) {
    AuditSetting setting = finding.claim.setting;
    setting.model = model;
    const Catalogue other = CatalogueOf(setting, setting.convention);
    const Quantity* changed = other.Find(quantity.name);
    if (changed == nullptr || changed->value == quantity.value) continue;
    hypotheses.push_back({{text, "", "model", 2}, changed->value});
  }
  std::ranges::stable_sort(hypotheses, {},
                           [](const Hypothesis& hypothesis) { return hypothesis.cause.slips; });
  // Many slips lie within a rounded figure: only the simplest explain one.
  constexpr int kMostSlipsOfRounded = 1;
  for (const Hypothesis& hypothesis : hypotheses) {
    if (!figure.Covers(hypothesis.value)) continue;
    if (!figure.exact() && hypothesis.cause.slips > kMostSlipsOfRounded) continue;
    AddCause(finding, hypothesis.cause);
  }
}

/// Whether the claim is what its formula gives with other claims' figures in it.
bool FindWhatItFollows(std::size_t self, std::vector<Finding>& findings,
                       const std::vector<std::string>& keys, const Catalogue& catalogue) {
  Finding& finding = findings[self];
  const Quantity& quantity = *catalogue.Find(finding.claim.quantity);
  for (const Option& option : Follower(findings, keys, catalogue, self).Options(quantity, true)) {
    if (option.wrong.empty() && option.elementwise_only.empty()) continue;
    if (!finding.claim.figure.Covers(option.value)) continue;
    for (const std::size_t i : option.wrong) finding.via.push_back(findings[i].claim.id);
    for (const std::size_t i : option.elementwise_only) {
      finding.causes.push_back(
          {fmt::format("claim {} is added, no matrix product", findings[i].claim.id),
           findings[i].claim.quantity, "outsider", 1});
    }
    if (!finding.via.empty()) finding.verdict = Verdict::kFollows;
    return true;
  }
  return false;
}

/// A claim that says again, perhaps rounded, what another wrong claim says of its quantity.
void FindWhatItRepeats(std::size_t self, std::vector<Finding>& findings,
                       const std::vector<std::string>& keys) {
  Finding& finding = findings[self];
  const Figure& figure = finding.claim.figure;
  for (std::size_t i = 0; i < findings.size(); ++i) {
    const Finding& other = findings[i];
    const Figure& theirs = other.claim.figure;
    const bool comparable =
        i != self && keys[i] == keys[self] && theirs.exact() && (i < self || !figure.exact()) &&
        other.claim.quantity == finding.claim.quantity &&
        (other.verdict == Verdict::kWrong || other.verdict == Verdict::kFollows);
    if (!comparable) continue;
    const std::string how = Misrounded(figure, theirs.value);
    const bool explained = !how.empty() && !finding.causes.empty();
    if (explained || (!figure.Covers(theirs.value) && how.empty())) continue;
    finding.via.push_back(other.claim.id);
    if (how.empty()) {
      finding.verdict = Verdict::kFollows;
      finding.causes.clear();
    } else {
      AddCause(finding, {fmt::format("{} {}", Show(theirs.value), how), "", "rounding", 1});
    }
    return;
  }
}

/// A claim that is what its formula gives with other claims' figures in it and one factor lost
/// or added besides.
void FindSlipBesides(std::size_t self, std::vector<Finding>& findings,
                     const std::vector<std::string>& keys, const Catalogue& catalogue) {
  Finding& finding = findings[self];
  const Quantity& quantity = *catalogue.Find(finding.claim.quantity);
  if (quantity.value == 0 || !finding.claim.figure.exact()) return;
  const std::vector<Hypothesis> hypotheses = SlipFinder(catalogue, quantity).WholeFactors();
  for (const Option& option : Follower(findings, keys, catalogue, self).Options(quantity, true)) {
    if (option.wrong.empty()) continue;
    for (const Hypothesis& hypothesis : hypotheses) {
      const Exact slipped = option.value * hypothesis.value / quantity.value;
      if (hypothesis.cause.slips > 1 || finding.claim.figure.value != slipped) continue;
      AddCause(finding, hypothesis.cause);
    }
    if (finding.causes.empty()) continue;
    for (const std::size_t i : option.wrong) finding.via.push_back(findings[i].claim.id);
    return;
  }
}

/// The claims to mend: those that `finding` rests on and that rest on no other themselves.
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

std::string ClaimsNamed(const std::vector<std::string>& ids) {
  return fmt::format("claim{} {}", ids.size() > 1 ? "s" : "", fmt::join(ids, ", "));
}

}  // namespace

std::string_view NameOf(Verdict verdict) {
  switch (verdict) {
    case Verdict::kRight: return "right";
    case Verdict::kRightUnder: return "right under another convention";
    case Verdict::kFollows: return "follows";
    case Verdict::kWrong: break;
  }
  return "wrong";
}

std::string Finding::Remark() const {
  std::vector<std::string> texts;
  for (const Cause& cause : causes) texts.push_back(cause.text);
  switch (verdict) {
    case Verdict::kRight: return "";
    case Verdict::kRightUnder: {
      const std::string why = texts.empty() ? "" : "; " + texts.front();
      return fmt::format("under {}{}", convention, why);
    }
    case Verdict::kFollows: {
      const std::string also = texts.empty() ? "" : fmt::format(" ({})", fmt::join(texts, ", "));
      return fmt::format("follows from {}{}; right otherwise", ClaimsNamed(follows), also);
    }
    case Verdict::kWrong: break;
  }
  if (!via.empty()) {
    return fmt::format("with the figure of {}: {}", ClaimsNamed(via), fmt::join(texts, "; or "));
  }
  return texts.empty() ? "no single slip explains it"
                       : fmt::format("{}", fmt::join(texts, "; or "));
}

std::vector<Finding> Audit(const std::vector<Claim>& claims) {
  std::map<std::string, Catalogue> catalogues;
  std::vector<std::string> keys;
  std::vector<Finding> findings;
  for (const Claim& claim : claims) {
    keys.push_back(KeyOf(claim.setting));
    if (!catalogues.contains(keys.back())) {
      catalogues.emplace(keys.back(), CatalogueOf(claim.setting, claim.setting.convention));
    }
    const Catalogue& catalogue = catalogues.at(keys.back());
    const Quantity* quantity = catalogue.Find(claim.quantity);
    if (quantity == nullptr) {
      throw UnknownQuantity(fmt::format("claim {}", claim.id), claim.quantity, catalogue);
    }
    Finding& finding = findings.emplace_back();
    finding.claim = claim;
    finding.claim.quantity = quantity->name;
    finding.derived = quantity->value;
    finding.formula = quantity->Formula();
    if (claim.figure.Covers(quantity->value)) {
      finding.verdict = Verdict::kRight;
    } else {
      FindOtherConvention(finding);
    }
  }
  for (std::size_t i = 0; i < findings.size(); ++i) {
    if (findings[i].verdict != Verdict::kWrong) continue;
    const Catalogue& catalogue = catalogues.at(keys[i]);
    if (FindWhatItFollows(i, findings, keys, catalogue)) continue;
    FindCauses(findings[i], catalogue);
    if (findings[i].causes.empty()) FindSlipBesides(i, findings, keys, catalogue);
  }
  for (std::size_t i = 0; i < findings.size(); ++i) {
    if (findings[i].verdict != Verdict::kWrong || !findings[i].via.empty()) continue;
    FindWhatItRepeats(i, findings, keys);
  }
  FindRoots(findings);
  return findings;
}

namespace {

void CheckIds(const std::vector<Claim>& claims, const std::string& where) {
  if (claims.empty()) throw InputError(fmt::format("{}: no claims in it", where));
  std::set<std::string> ids;
  for (const Claim& claim : claims) {
    if (!ids.insert(claim.id).second) {
      throw InputError(fmt::format("{}: two claims have the id '{}'", where, claim.id));
    }
  }
}

Claim MakeClaim(Claim claim, const std::string& value, const std::string& where) {
  const AuditSetting& setting = claim.setting;
  if (setting.convention == Convention::kRuleOfThumb) {
    throw InputError(
        fmt::format("{}: rule-of-thumb has no single operations; claim "
                    "flops.rule_of_thumb.model under another convention",
                    where));
  }
  const Catalogue catalogue = CatalogueOf(setting, setting.convention);
  const Quantity* quantity = catalogue.Find(claim.quantity);
  if (quantity == nullptr) {
    throw UnknownQuantity(where, claim.quantity, catalogue);
  }
  claim.figure = ParseFigure(value, quantity->unit, where);
  return claim;
}

std::string TextOf(const nlohmann::json& value, const std::string& where, const char* key) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_integer()) return value.dump();
  throw InputError(fmt::format("{}: '{}' must be text or a whole number, not {}", where, key,
                               value.dump().substr(0, 40)));
}

int64_t SizeOf(const nlohmann::json& value, const std::string& where, const char* key) {
  if (!value.is_number_integer() || value.get<int64_t>() < 1) {
    throw InputError(fmt::format("{}: '{}' must be a whole number from 1", where, key));
  }
  return value.get<int64_t>();
}

/// The setting with an object's own model, context, batch and convention in it.
AuditSetting Changed(AuditSetting setting, const nlohmann::json& json, const std::string& where) {
  if (json.contains("model")) {
    const nlohmann::json& model = json["model"];
    if (model.is_string()) {
      try {
        setting.model = LoadModel(model.get<std::string>());
      } catch (const InputError& error) {
        throw InputError(fmt::format("{}: {}", where, error.what()));
      }
      setting.context = setting.model.context_length;
    } else if (model.is_object()) {
      nlohmann::json merged = ToJson(setting.model);
      merged.update(model);
      setting.model = ParseModel(merged, where);
    } else {
      throw InputError(fmt::format("{}: 'model' must be a name or an object", where));
    }
  }
  if (json.contains("context")) setting.context = SizeOf(json["context"], where, "context");
  if (json.contains("batch")) setting.batch = SizeOf(json["batch"], where, "batch");
  if (json.contains("convention")) {
    setting.convention = ParseConvention(TextOf(json["convention"], where, "convention"));
  }
  ValidateRunShape(setting.model, setting.context, setting.batch);
  return setting;
}

/// What people call the figure of a claim, besides "value".
constexpr const char* kClaimed = "claimed";

void CheckKeys(const nlohmann::json& json, const std::vector<std::string>& allowed,
               const std::string& where) {
  for (const auto& [key, value] : json.items()) {
    if (std::ranges::find(allowed, key) == allowed.end()) {
      throw InputError(fmt::format("{}: unknown key '{}'{}", where, key, Suggest(key, allowed)));
    }
  }
}

}  // namespace

std::vector<Claim> ParseClaimsJson(std::string_view text, const AuditSetting& setting,
                                   const std::string& where) {
  const nlohmann::json json = ParseJson(text, where);
  AuditSetting common = setting;
  if (json.is_object()) {
    CheckKeys(json, {"model", "context", "batch", "convention", "claims"}, where);
    common = Changed(common, json, where);
  }
  const nlohmann::json list =
      json.is_object() ? json.value("claims", nlohmann::json::array()) : json;
  if (!list.is_array()) throw InputError(fmt::format("{}: a list of claims is expected", where));
  std::vector<Claim> claims;
  for (nlohmann::json item : list) {
    const std::string number = std::to_string(claims.size() + 1);
    std::string here = fmt::format("{}: claim {}", where, number);
    if (!item.is_object()) throw InputError(fmt::format("{} is no object", here));
    if (item.contains(kClaimed) && !item.contains("value")) {
      item["value"] = item[kClaimed];
      item.erase(kClaimed);
    }
    CheckKeys(item, {"id", "text", "quantity", "value", "model", "context", "batch", "convention"},
              here);
    Claim claim;
    claim.id_is_place = !item.contains("id");
    claim.id = claim.id_is_place ? number : TextOf(item["id"], here, "id");
    here = fmt::format("{}: claim {}", where, claim.id);
    for (const char* key : {"quantity", "value"}) {
      if (!item.contains(key)) throw InputError(fmt::format("{}: '{}' is missing", here, key));
    }
    if (item.contains("text")) claim.text = TextOf(item["text"], here, "text");
    claim.quantity = TextOf(item["quantity"], here, "quantity");
    claim.setting = Changed(common, item, here);
    const nlohmann::json& value = item["value"];
    std::string written;
    if (value.is_number_float()) {
      // 3506703564800.0 is whole; the shortest text of a double is what was written.
      written = fmt::format("{}", value.get<double>());
    } else {
      written = TextOf(value, here, "value");
    }
    claims.push_back(MakeClaim(std::move(claim), written, here));
  }
  CheckIds(claims, where);
  return claims;
}

std::vector<Claim> ParseClaimsCsv(std::string_view text, const AuditSetting& setting,
                                  const std::string& where) {
  const std::vector<std::vector<std::string>> lines = ParseCsv(text, where);
  if (lines.empty()) throw InputError(fmt::format("{}: no claims in it", where));
  const std::vector<std::string> allowed{"id", "text", "quantity", "value"};
  std::map<std::string, std::size_t> column;
  for (std::string title : lines.front()) {
    if (title == kClaimed) title = "value";
    if (std::ranges::find(allowed, title) == allowed.end() || column.contains(title)) {
      throw InputError(fmt::format("{}: unknown or repeated column '{}'{}", where, title,
                                   Suggest(title, allowed)));
    }
    column.emplace(title, column.size());
  }
  for (const char* title : {"quantity", "value"}) {
    if (!column.contains(title)) {
      throw InputError(fmt::format("{}: the column '{}' is missing", where, title));
    }
  }
  std::vector<Claim> claims;
  for (std::size_t i = 1; i < lines.size(); ++i) {
    const auto field = [&](const char* title, const std::string& otherwise) {
      return column.contains(title) ? lines[i][column.at(title)] : otherwise;
    };
    Claim claim{.id = field("id", std::to_string(i)),
                .text = field("text", ""),
                .quantity = field("quantity", ""),
                .figure = {},
                .setting = setting,
                .id_is_place = !column.contains("id")};
    const std::string here = fmt::format("{}: claim {}", where, claim.id);
    claims.push_back(MakeClaim(std::move(claim), field("value", ""), here));
  }
  CheckIds(claims, where);
  return claims;
}

}  // namespace flopledger
