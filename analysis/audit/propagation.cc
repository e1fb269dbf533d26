#include "analysis/audit/propagation.h"

#include <algorithm>
#include <map>
#include <set>

namespace flopledger {
namespace {

constexpr std::size_t kMostOptions = 4096, kMostClaims = 6;

/// How often `part` is named in the formula of `whole`, through the formulas of its terms.
Exact NamedIn(const Catalogue& catalogue, const Quantity& whole, const std::string& part) {
  Exact times = 0;
  for (const Term& term : whole.terms) {
    if (term.elementwise_only || term.of.empty()) continue;
    const Exact inside =
        term.of == part ? Exact(1) : NamedIn(catalogue, *catalogue.Find(term.of), part);
    if (inside != 0) times += Product(term.factors) * inside;
  }
  return times;
}

/// The multiples in which elementwise quantities may have been added to a formula's sum.
using Multiples = std::map<std::string, std::set<Exact>>;

void ElementwiseIn(const Catalogue& catalogue, const Quantity& whole, const Exact& times,
                   Multiples& multiples) {
  for (const Term& term : whole.terms) {
    if (term.of.empty()) continue;
    const Exact inside = times * Product(term.factors);
    if (term.elementwise_only) {
      multiples[term.of].insert(inside);
    } else {
      ElementwiseIn(catalogue, *catalogue.Find(term.of), inside, multiples);
    }
  }
}

/// One claim's figure in a sum: what it changes there.
struct Change {
  std::size_t claim = 0;
  const Quantity* part = nullptr;
  Exact low, high, value;  // the difference to the derived sum
  bool elementwise = false;
  bool by_name = false;  // counted as often as the formula names it
};

class OptionFinder {
 public:
  OptionFinder(std::size_t self, const std::vector<Finding>& findings,
               const std::vector<const Catalogue*>& catalogues, Sources sources)
      : self_(self),
        findings_(findings),
        catalogues_(catalogues),
        catalogue_(*catalogues[self]),
        sources_(sources) {}

  std::vector<Option> All() {
    const Quantity& quantity = *catalogue_.Find(findings_[self_].claim.quantity);
    Exact sum = quantity.value;
    std::vector<Option> divisors{{1, 1, 1, {}, {}}};
    if (!quantity.per.empty()) {
      const Quantity& divisor = *catalogue_.Find(quantity.per);
      sum = 0;
      for (const Term& term : catalogue_.Flatten(quantity)) sum += Product(term.factors);
      divisors = Sums(divisor, divisor.value, true);
    }
    std::vector<Option> options;
    for (const Option& dividend : Sums(quantity, sum, false)) {
      for (const Option& divisor : divisors) {
        if (options.size() == kMostOptions) break;
        AddOption(quantity, dividend, divisor, options);
      }
    }
    std::ranges::stable_sort(options, {}, [](const Option& option) {
      return option.claims.size() + option.elementwise.size();
    });
    return options;
  }

 private:
  void AddOption(const Quantity& quantity, const Option& dividend, const Option& divisor,
                 std::vector<Option>& options) const {
    Option option = dividend;
    if (!quantity.per.empty()) {
      if (divisor.low <= 0) return;
      option.value = catalogue_.ValueOf(quantity, dividend.value, divisor.value);
      option.low = catalogue_.ValueOf(quantity, dividend.low, divisor.high);
      option.high = catalogue_.ValueOf(quantity, dividend.high, divisor.low);
      for (const std::size_t claim : divisor.claims) {
        if (std::ranges::count(option.claims, claim) == 0) option.claims.push_back(claim);
      }
    }
    const bool changes = !option.claims.empty() || !option.elementwise.empty();
    if (changes) options.push_back(std::move(option));
  }

  /// Whether claim i is about the same part here as there, and may stand in this one.
  bool Usable(std::size_t i) const {
    const Finding& other = findings_[i];
    if (i == self_ || other.verdict == Verdict::kUnreadable) return false;
    const bool right = other.verdict == Verdict::kRight;
    if (sources_ == Sources::kRightButRounded ? !right || other.claim.figure.exact() : right) {
      return false;
    }
    const Quantity* here = catalogue_.Find(other.claim.quantity);
    const Quantity* there = catalogues_[i]->Find(other.claim.quantity);
    return here != nullptr && here->value == there->value && here->Formula() == there->Formula();
  }

  std::vector<Change> ChangesIn(const Quantity& quantity, bool whole_too) const {
    std::vector<Change> changes;
    Multiples multiples;
    ElementwiseIn(catalogue_, quantity, 1, multiples);
    for (std::size_t i = 0; i < findings_.size(); ++i) {
      if (!Usable(i)) continue;
      const Figure& figure = findings_[i].claim.figure;
      const Quantity& part = *catalogue_.Find(findings_[i].claim.quantity);
      const auto add = [&](const Exact& times, const Exact& derived, bool elementwise,
                           bool by_name) {
        changes.push_back({i, &part, times * (figure.low - derived),
                           times * (figure.high - derived), times * (figure.value - derived),
                           elementwise, by_name});
      };
      if (const auto found = multiples.find(part.name); found != multiples.end()) {
        for (const Exact& times : found->second) add(times, 0, true, false);
      }
      if (!part.per.empty() || (part.name == quantity.name && !whole_too)) continue;
      const Exact times = TimesIn(part.contents, quantity.contents);
      // Of two quantities that are one and the same the later follows from the earlier.
      if (part.contents == quantity.contents && i > self_ && part.name != quantity.name) continue;
      const Exact named = NamedIn(catalogue_, quantity, part.name);
      if (times != 0 && denominator(times) == 1) add(times, part.value, false, times == named);
      if (named != 0 && named != times) add(named, part.value, false, true);
    }
    std::ranges::stable_sort(changes, std::greater<>(),
                             [](const Change& change) { return change.part->value; });
    return changes;
  }

  bool Independent(const Change& a, const Change& b) const {
    if (a.claim == b.claim) return false;
    if (a.elementwise || b.elementwise) return a.part != b.part;
    const bool apart = std::ranges::none_of(a.part->contents, [&](const auto& entry) {
      return b.part->contents.contains(entry.first);
    });
    if (apart) return true;
    return a.by_name && b.by_name && a.part != b.part &&
           NamedIn(catalogue_, *a.part, b.part->name) == 0 &&
           NamedIn(catalogue_, *b.part, a.part->name) == 0;
  }

  /// The sum with every set of changes that do not touch one another; none first.
  std::vector<Option> Sums(const Quantity& quantity, const Exact& sum, bool whole_too) const {
    const std::vector<Change> changes = ChangesIn(quantity, whole_too);
    std::vector<Option> sums{{sum, sum, sum, {}, {}}};
    std::vector<std::vector<std::size_t>> chosen{{}};
    for (std::size_t at = 0; at < sums.size(); ++at) {  // grows: sets of one, of two, …
      if (chosen[at].size() == kMostClaims) break;
      const std::size_t next = chosen[at].empty() ? 0 : chosen[at].back() + 1;
      for (std::size_t i = next; i < changes.size() && sums.size() < kMostOptions; ++i) {
        const bool fits = std::ranges::all_of(
            chosen[at], [&](std::size_t other) { return Independent(changes[other], changes[i]); });
        if (!fits) continue;
        Option option = sums[at];
        option.value += changes[i].value;
        option.low += changes[i].low;
        option.high += changes[i].high;
        (changes[i].elementwise ? option.elementwise : option.claims).push_back(changes[i].claim);
        sums.push_back(std::move(option));
        chosen.push_back(chosen[at]);
        chosen.back().push_back(i);
      }
    }
    for (Option& option : sums) std::ranges::sort(option.claims);
    return sums;
  }

  std::size_t self_;
  const std::vector<Finding>& findings_;
  const std::vector<const Catalogue*>& catalogues_;
  const Catalogue& catalogue_;
  Sources sources_;
};

}  // namespace

std::vector<Option> OptionsOf(std::size_t self, const std::vector<Finding>& findings,
                              const std::vector<const Catalogue*>& catalogues, Sources sources) {
  return OptionFinder(self, findings, catalogues, sources).All();
}

}  // namespace flopledger
