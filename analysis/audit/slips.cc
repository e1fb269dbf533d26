#include "analysis/audit/slips.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

namespace flopledger {
namespace {

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

/// How a symbol that stands more than once is lost: T of T·T leaves T for T².
std::string Squared(const Factor& factor, const Term& term) {
  const auto times = std::ranges::count(term.factors, factor.symbol, &Factor::symbol);
  return times == 2 ? fmt::format(": {0} for {0}²", factor.symbol) : "";
}

/// What is lost with a factor of `quantity`.
std::string LostText(const Factor& factor, const Quantity& quantity) {
  const bool training = quantity.name.starts_with("flops.training");
  const bool cache = quantity.name.find("kv_cache") != std::string::npos;
  if (quantity.unit == Unit::kBytes && factor.symbol == "4") {
    return "×4 lost: the bytes of a float";
  }
  if (cache && factor.symbol == "2") return "×2 lost: keys or values alone";
  if (quantity.unit == Unit::kFlops && factor.symbol == "2") {
    return "×2 lost: a multiplication and an addition";
  }
  if (training && factor.symbol == "3") return "×3 lost: the backward pass left out";
  if (factor.symbol == "3") return "×3 lost: one of three matrices counted";
  return Named(factor) + " lost";
}

/// Collects every slip in one quantity: of its sum, and of what the sum is divided by.
class SlipFinder {
 public:
  SlipFinder(const Catalogue& catalogue, const Quantity& quantity)
      : catalogue_(catalogue), quantity_(quantity), flat_(catalogue.Flatten(quantity)) {
    for (const Term& term : flat_) sum_ += Product(term.factors);
    if (!quantity.per.empty()) divisor_ = catalogue.Find(quantity.per)->value;
    common_ = CommonFactors(flat_);
  }

  std::vector<Hypothesis> WholeFactors() {
    Factors();
    return std::move(hypotheses_);
  }

  std::vector<Hypothesis> All() {
    Factors();
    Passes();
    Units();
    NumberTypes();
    Substitutions(flat_, sum_, "", kOfPart);
    Groups();
    DirectTerms();
    if (flat_.size() > 1) InsideTerms();
    Pairs();
    RoundedInput();
    OtherQuantities();
    Divisor();
    std::ranges::stable_sort(hypotheses_, {},
                             [](const Hypothesis& hypothesis) { return hypothesis.cause.cost; });
    return std::move(hypotheses_);
  }

 private:
  void AddHypothesis(Cause cause, const Exact& sum) {
    if (sum < 0) return;
    AddValue(std::move(cause), catalogue_.ValueOf(quantity_, sum, divisor_));
  }

  void AddValue(Cause cause, Exact value) {
    if (value == quantity_.value) return;
    hypotheses_.push_back({std::move(cause), std::move(value)});
  }

  /// What people lose or add though it is no factor of the formula.
  std::vector<Factor> UnrelatedFactors(const std::vector<Factor>& common) const {
    std::vector<Factor> unrelated{{"2", 2}, {"3", 3}, {"4", 4}};
    for (const char* symbol : {"T", "L", "NH", "B", "NKV", "HS", "C", "F", "V"}) {
      unrelated.push_back(*FindFactor(catalogue_.symbols(), symbol));
    }
    const bool grouped = FindFactor(unrelated, "NKV")->value != FindFactor(unrelated, "NH")->value;
    std::erase_if(unrelated, [&](const Factor& factor) {
      if (factor.symbol == "NKV" && !grouped) return true;
      return factor.value == 1 || FindFactor(common, factor.symbol) != nullptr;
    });
    return unrelated;
  }

  void Factors() {
    for (const Factor& factor : common_) {
      if (factor.value == 1 || factor.value == 0) continue;
      const std::string squared = flat_.size() == 1 ? Squared(factor, flat_.front()) : "";
      AddHypothesis({LostText(factor, quantity_) + squared, factor.symbol, "lost", kCommon},
                    sum_ / factor.value);
      AddHypothesis({Named(factor) + " counted twice", factor.symbol, "extra", kCommon},
                    sum_ * factor.value);
    }
    for (const Factor& factor : UnrelatedFactors(common_)) {
      const bool common_loss = factor.symbol.size() == 1 &&
                               std::string_view("234TLB").find(factor.symbol) != std::string::npos;
      const int cost = common_loss || factor.symbol == "NH" ? kCommon : kOfPart;
      AddHypothesis({Named(factor) + " too much", factor.symbol, "extra", cost},
                    sum_ * factor.value);
      // Below HS taken for C, which comes to the same: C is NH·HS.
      const int divided = common_loss ? kOfPart : kInOnePart;
      AddHypothesis(
          {fmt::format("divided by {}", Named(factor).substr(2)), factor.symbol, "lost", divided},
          sum_ / factor.value);
    }
  }

  /// Passes of training that are not three forward passes.
  void Passes() {
    if (!quantity_.name.starts_with("flops.training")) return;
    AddHypothesis(
        {"the backward pass counted as one forward pass, not two", "3", "replaced", kCommon + 1},
        sum_ * 2 / 3);
    AddHypothesis({"a forward pass recomputed in the backward pass (4 in place of 3)", "3",
                   "replaced", kCommon + 2},
                  sum_ * 4 / 3);
  }

  void Units() {
    const Exact& value = quantity_.value;
    constexpr std::pair<const char*, const char*> kNames[] = {
        {"kB", "KiB"}, {"MB", "MiB"}, {"GB", "GiB"}, {"TB", "TiB"}};
    Exact ratio = 1;
    for (const auto& [decimal, binary] : kNames) {
      if (quantity_.unit != Unit::kBytes) break;
      ratio *= Exact(1024) / 1000;
      const std::string pair = fmt::format("{} against {}", decimal, binary);
      const auto text = [&](const char* reckoned, const char* called) {
        return fmt::format("{}: computed in {}, called {}", pair, reckoned, called);
      };
      AddValue({text(binary, decimal), pair, "unit", kCommon}, value / ratio);
      AddValue({text(decimal, binary), pair, "unit", kCommon}, value * ratio);
    }
    if (quantity_.unit == Unit::kPercent) {
      AddValue({"a proportion called percent: ×100 lost", "100", "unit", kCommon}, value / 100);
    }
    if (quantity_.unit == Unit::kHours || quantity_.unit == Unit::kDays) {
      const bool hours = quantity_.unit == Unit::kHours;
      AddValue({hours ? "days called hours" : "hours called days", "24", "unit", kCommon},
               hours ? Exact(value / 24) : value * 24);
    }
    const bool scaled = quantity_.unit == Unit::kBytes || quantity_.unit == Unit::kFlops ||
                        quantity_.unit == Unit::kParameters || quantity_.unit == Unit::kMacs;
    if (!scaled) return;
    AddValue({"a scale too small: M for B, or G for T", "1000", "unit", kCommon}, value / 1000);
    AddValue({"a scale too large: B for M, or T for G", "1000", "unit", kCommon}, value * 1000);
  }

  /// Bytes of another number type.
  void NumberTypes() {
    if (quantity_.unit != Unit::kBytes || FindFactor(common_, "34") != nullptr) return;
    const bool cache = quantity_.name.find("kv_cache") != std::string::npos;
    const NumberType& own = cache ? catalogue_.setting().kv_dtype : catalogue_.setting().dtype;
    const std::pair<Exact, const char*> kSizes[] = {
        {2, "bf16, f16"}, {8, "f64"}, {1, "f8, int8"}, {4, "f32"}, {Exact(1) / 2, "int4"}};
    for (const auto& [bytes, types] : kSizes) {
      if (bytes == own.bytes) continue;
      const Exact ratio = own.bytes / bytes;
      const bool fewer = ratio > 1;
      AddHypothesis({fmt::format("×{} {}: {} bytes a number ({}) in place of {}",
                                 Show(fewer ? ratio : Exact(1 / ratio)),
                                 fewer ? "lost" : "too much", Show(bytes), types, Show(own.bytes)),
                     Show(fewer ? ratio : Exact(1 / ratio)), fewer ? "lost" : "extra",
                     bytes == 2 || bytes == 4 ? kCommon - 1 : kCommon + 1},
                    sum_ / ratio);
    }
  }

  /// One size taken for another wherever it stands in `terms`, which are a part of the whole.
  void Substitutions(const std::vector<Term>& terms, const Exact& part, const std::string& where,
                     int cost) {
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
      AddHypothesis({fmt::format("{}{} taken for{}{}", to, Meaning(to), Meaning(from), where), from,
                     "replaced", cost},
                    sum_ - part + changed);
    }
  }

  void Elementwise(const Term& term, const std::string& where, int cost) {
    for (const Factor& summed : term.factors) {
      if (!summed.summed || FindFactor(term.factors, "2") == nullptr) continue;
      const Exact whole = Product(term.factors);
      AddHypothesis({fmt::format("an elementwise product taken for a matrix product: ×2 and the "
                                 "sum over {} ({}) lost{}",
                                 summed.symbol, Show(summed.value), where),
                     summed.symbol, "elementwise", cost},
                    sum_ - whole + whole / (2 * summed.value));
    }
  }

  void InOrOut(const std::string& name, const Exact& value, int cost) {
    AddHypothesis({fmt::format("{} left out", Called(name)), name, "forgotten", cost},
                  sum_ - value);
    AddHypothesis({fmt::format("{} counted twice", Called(name)), name, "counted_twice", cost + 1},
                  sum_ + value);
  }

  void DirectTerms() {
    if (flat_.size() == 1) Elementwise(flat_.front(), "", kOfPart);
    if (quantity_.terms.size() < 2) return;
    for (const Term& term : quantity_.terms) {
      if (term.elementwise_only) continue;
      const Quantity* of = term.of.empty() ? nullptr : catalogue_.Find(term.of);
      InOrOut(term.name, Product(term.factors) * (of == nullptr ? Exact(1) : of->value), kOfPart);
    }
  }

  /// Every other quantity that is a part of this one: all norms, both T×T products, every table.
  void Groups() {
    std::vector<std::pair<std::string, Exact>> components;
    const std::string scope = quantity_.name.substr(quantity_.name.rfind('.'));
    for (const Quantity& part : catalogue_.quantities()) {
      if (part.name == quantity_.name || part.value == 0 || !part.per.empty()) continue;
      const Exact times = TimesIn(part.contents, quantity_.contents);
      const Exact value = times * part.value;
      if (times == 0 || value >= sum_) continue;
      const bool component = part.name.ends_with(scope) && IsComponent(part.name);
      InOrOut(part.name, value, component ? ComponentCost(part.name) : kOfGroup);
      if (component) components.emplace_back(part.name, value);
    }
    for (const auto& [name, value] : components) {
      for (const auto& [other, size] : components) {
        if (size == value) continue;
        AddHypothesis({fmt::format("{} counted at the size of {}", Called(name), Called(other)),
                       name, "replaced", kInOnePart + 3},
                      sum_ - value + size);
      }
    }
  }

  /// The head, and both T×T products, are what is left out most.
  static int ComponentCost(const std::string& name) {
    const bool often =
        name == "flops.lm_head.model" || name.starts_with("flops.attention_products.");
    return often ? kOfPart - 1 : kOfPart;
  }

  /// What a model is commonly divided into; other parts are left out less often.
  static bool IsComponent(const std::string& name) {
    static const std::set<std::string> kComponents = {"embeddings",
                                                      "token_embedding",
                                                      "position_embedding",
                                                      "norms",
                                                      "biases",
                                                      "final_norm",
                                                      "attention",
                                                      "attention_qkv",
                                                      "attention_scores",
                                                      "attention_values",
                                                      "attention_products",
                                                      "attention_out",
                                                      "projections",
                                                      "ffn",
                                                      "lm_head"};
    const auto first = name.find('.') + 1;
    return kComponents.contains(name.substr(first, name.rfind('.') - first));
  }

  void InsideTerms() {
    for (const Term& term : flat_) {
      const Exact value = Product(term.factors);
      if (flat_.size() != quantity_.terms.size()) InOrOut(term.name, value, kOfPart);
      const std::string where = fmt::format(" in {}", term.name);
      Elementwise(term, where, kInOnePart);
      std::set<std::string> seen;
      for (const Factor& factor : term.factors) {
        if (factor.value == 1 || factor.value == 0 || !seen.insert(factor.symbol).second) continue;
        AddHypothesis({LostText(factor, quantity_) + Squared(factor, term) + where, factor.symbol,
                       "lost", kInOnePart},
                      sum_ - value + value / factor.value);
        AddHypothesis(
            {Named(factor) + " counted twice" + where, factor.symbol, "extra", kInOnePart},
            sum_ - value + value * factor.value);
      }
      for (const Factor& factor : UnrelatedFactors(term.factors)) {
        AddHypothesis({Named(factor) + " too much" + where, factor.symbol, "extra", kInOnePart + 1},
                      sum_ - value + value * factor.value);
      }
      Substitutions({term}, value, where, kInOnePart + 1);
    }
  }

  /// Two factors of the formula lost together.
  void Pairs() {
    for (std::size_t i = 0; i < common_.size(); ++i) {
      for (std::size_t j = i + 1; j < common_.size(); ++j) {
        const Exact product = common_[i].value * common_[j].value;
        if (common_[i].value == 1 || common_[j].value == 1 || product == 0) continue;
        AddHypothesis({fmt::format("{} and {} lost", Named(common_[i]), Named(common_[j])),
                       common_[i].symbol + "·" + common_[j].symbol, "lost", kFarFetched},
                      sum_ / product);
      }
    }
  }

  /// A multiple of another quantity, worked out from that one rounded.
  void RoundedInput() {
    if (quantity_.terms.size() != 1 || quantity_.terms.front().of.empty()) return;
    const Term& term = quantity_.terms.front();
    const Exact input = catalogue_.Find(term.of)->value;
    for (const int digits : {3, 2}) {
      const Exact rounded = RoundedTo(input, digits);
      AddHypothesis(
          {fmt::format("worked out from {} rounded to {}", Called(term.of), Show(rounded)), term.of,
           "rounding", kOfGroup + 2},
          Product(term.factors) * rounded);
    }
  }

  static Exact RoundedTo(const Exact& value, int digits) {
    Exact step = 1;
    while (value >= step * 10) step *= 10;
    for (int i = 1; i < digits; ++i) step /= 10;
    const Exact steps = value / step + Exact(1) / 2;
    return Exact(numerator(steps) / denominator(steps)) * step;
  }

  /// The figure of another quantity of the same kind.
  void OtherQuantities() {
    for (const Quantity& other : catalogue_.quantities()) {
      if (other.unit != quantity_.unit || other.value == 0 || other.name.starts_with("size.")) {
        continue;
      }
      AddValue({fmt::format("the figure of {}", other.name), other.name, "replaced", kFarFetched},
               other.value);
    }
  }

  /// A part taken of a wrong total, and the like.
  void Divisor() {
    if (quantity_.per.empty()) return;
    const Quantity& divisor = *catalogue_.Find(quantity_.per);
    for (const Hypothesis& slip : SlipsIn(catalogue_, divisor)) {
      if (slip.cause.cost > kOfGroup || slip.cause.kind == "unit") continue;
      Cause cause = slip.cause;
      cause.text += fmt::format(" in {}", Called(quantity_.per));
      cause.cost += 5;
      AddValue(std::move(cause), catalogue_.ValueOf(quantity_, sum_, slip.value));
    }
  }

  const Catalogue& catalogue_;
  const Quantity& quantity_;
  std::vector<Term> flat_;
  std::vector<Factor> common_;
  Exact sum_ = 0, divisor_ = 1;
  std::vector<Hypothesis> hypotheses_;
};

}  // namespace

Exact TimesIn(const Contents& part, const Contents& whole) {
  Exact times = 0;
  for (const auto& [term, count] : part) {
    const auto found = whole.find(term);
    if (found == whole.end()) return 0;
    const Exact here = found->second / count;
    if (here < 1 || (times != 0 && here != times)) return 0;
    times = here;
  }
  return times;
}

std::string Called(const std::string& quantity) {
  static const std::map<std::string, std::string> kNames = {
      {"params.embeddings.model", "every table (token embedding and LM head)"},
      {"params.norms.model", "all norms"},
      {"params.biases.model", "all biases"},
      {"params.final_norm.model", "the final norm"},
      {"params.lm_head.model", "the LM head's table"},
      {"params.token_embedding.model", "the table of the token embedding"},
      {"params.position_embedding.model", "the table of positions"},
      {"flops.lm_head.model", "the LM head"},
      {"flops.attention_scores.model", "the attention scores"},
      {"flops.attention_values.model", "the weighted sums of attention"},
      {"flops.attention_products.model",
       "both T×T products of attention (scores and weighted sums)"},
      {"flops.projections.model", "the four projections of attention"}};
  const auto found = kNames.find(quantity);
  if (found != kNames.end()) return found->second;
  return quantity.ends_with(".model") ? quantity.substr(0, quantity.rfind('.')) : quantity;
}

std::vector<Hypothesis> WholeFactorSlips(const Catalogue& catalogue, const Quantity& quantity) {
  return SlipFinder(catalogue, quantity).WholeFactors();
}

std::vector<Hypothesis> SlipsIn(const Catalogue& catalogue, const Quantity& quantity) {
  return SlipFinder(catalogue, quantity).All();
}

std::vector<Hypothesis> PairsOf(const std::vector<Hypothesis>& single, const Exact& derived) {
  std::vector<Hypothesis> pairs;
  std::vector<const Hypothesis*> simple;
  for (const Hypothesis& hypothesis : single) {
    const Cause& cause = hypothesis.cause;
    const bool additive =
        cause.kind == "forgotten" || cause.kind == "counted_twice" || cause.kind == "model";
    const bool whole = cause.kind == "lost" && cause.cost <= kCommon;
    if (cause.cost < kOfGroup && (additive || whole)) simple.push_back(&hypothesis);
  }
  for (std::size_t i = 0; i < simple.size(); ++i) {
    for (std::size_t j = i + 1; j < simple.size(); ++j) {
      const Hypothesis &first = *simple[i], &second = *simple[j];
      const bool factor = first.cause.kind == "lost" || second.cause.kind == "lost";
      if (factor && derived == 0) continue;
      Exact value = first.value + second.value - derived;
      if (factor) value = first.value * second.value / derived;
      if (value <= 0) continue;
      pairs.push_back({{fmt::format("{}, and {}", first.cause.text, second.cause.text),
                        first.cause.factor + ", " + second.cause.factor, first.cause.kind,
                        kPair + first.cause.cost + second.cause.cost},
                       std::move(value)});
    }
  }
  std::ranges::stable_sort(pairs, {}, [](const Hypothesis& pair) { return pair.cause.cost; });
  return pairs;
}

}  // namespace flopledger
