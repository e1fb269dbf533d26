#include "analysis/audit/quantities.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <stdexcept>

#include "model/input_error.h"

namespace flopledger {
namespace {

std::string Join(const Term& term) {
  std::vector<std::string> parts;
  for (const Factor& factor : term.factors) parts.push_back(factor.symbol);
  if (!term.of.empty()) parts.push_back(term.of);
  return parts.empty() ? "1" : fmt::format("{}", fmt::join(parts, "·"));
}

Exact Floor(const Exact& value) {
  return value < 0 ? Exact(0) : Exact(numerator(value) / denominator(value));
}

}  // namespace

Factor Number(int64_t value) { return {std::to_string(value), value, false}; }

Factor Summed(Factor factor) {
  factor.summed = true;
  return factor;
}

Term Product(std::string name, std::vector<Factor> factors) {
  return {std::move(name), std::move(factors), "", false};
}

Term Times(std::vector<Factor> factors, const std::string& of) {
  return {of, std::move(factors), of, false};
}

Exact Product(const std::vector<Factor>& factors) {
  Exact product = 1;
  for (const Factor& factor : factors) product *= factor.value;
  return product;
}

std::string Quantity::Formula() const {
  std::vector<std::string> parts;
  for (const Term& term : terms) {
    if (!term.elementwise_only) parts.push_back(Join(term));
  }
  std::string sum = parts.empty() ? "0" : fmt::format("{}", fmt::join(parts, " + "));
  if (per.empty()) return sum;
  if (parts.size() > 1) sum = fmt::format("({})", sum);
  return fmt::format("{} / {}{}", sum, per, floor() ? ", rounded down" : "");
}

Catalogue::Catalogue(const AuditSetting& setting) : setting_(setting) {
  const ModelConfig& config = setting.model;
  if (const auto keys = KeysBeyondPlain(config); !keys.empty()) {
    throw InputError(
        fmt::format("{}: no figure is derived step by step for a model with '{}'; "
                    "account and predict count it",
                    config.name, fmt::join(keys, "', '")));
  }
  symbols_ = {{"B", setting.batch},       {"T", setting.context},   {"L", config.num_layers},
              {"C", config.d_model},      {"NH", config.num_heads}, {"NKV", config.num_kv_heads},
              {"HS", config.head_size()}, {"F", config.d_ff},       {"V", config.vocab_size}};
  constexpr std::pair<const char*, const char*> kSizes[] = {
      {"vocab_size", "V"},     {"num_layers", "L"}, {"d_model", "C"},
      {"num_heads", "NH"},     {"head_size", "HS"}, {"d_ff", "F"},
      {"num_kv_heads", "NKV"}, {"context", "T"},    {"batch", "B"}};
  for (const auto& [name, symbol] : kSizes) {
    Add(fmt::format("size.{}.model", name), Unit::kPlain, "the model's own size",
        {flopledger::Product(name, {S(symbol)})});
  }
  AddParameters(*this);
  AddFlops(*this);
  AddMemory(*this);
  AddPlan(*this);
  AddShares(*this);
}

Factor Catalogue::S(std::string_view symbol) const {
  return *std::ranges::find(symbols_, symbol, &Factor::symbol);
}

const Quantity* Catalogue::Find(std::string_view name) const {
  auto found = places_.find(name);
  if (found == places_.end()) found = places_.find(fmt::format("{}.model", name));
  return found == places_.end() ? nullptr : &quantities_[found->second];
}

std::vector<std::string> Catalogue::names() const {
  std::vector<std::string> names;
  for (const Quantity& quantity : quantities_) names.push_back(quantity.name);
  return names;
}

Exact Catalogue::ValueOf(const Quantity& quantity, const Exact& sum, const Exact& divisor) const {
  if (quantity.per.empty()) return sum;
  const Exact ratio = divisor == 0 ? Exact(0) : Exact(sum / divisor);
  return quantity.floor() ? Floor(ratio) : ratio;
}

void Catalogue::Add(std::string name, Unit unit, std::string meaning, std::vector<Term> terms,
                    std::string per) {
  Quantity quantity{
      std::move(name), unit, std::move(meaning), std::move(terms), std::move(per), 0, {}};
  Exact sum = 0;
  for (const Term& term : quantity.terms) {
    if (term.elementwise_only) continue;
    const Exact times = flopledger::Product(term.factors);
    const Quantity* of = term.of.empty() ? nullptr : Find(term.of);
    if (!term.of.empty() && of == nullptr) throw std::logic_error("no quantity " + term.of);
    sum += times * (of == nullptr ? Exact(1) : of->value);
    if (of == nullptr || !of->per.empty()) {
      quantity.contents[elementary_terms_++] = 1;
    } else {
      for (const auto& [part, count] : of->contents) quantity.contents[part] += times * count;
    }
  }
  const Exact divisor = quantity.per.empty() ? Exact(1) : Find(quantity.per)->value;
  quantity.value = ValueOf(quantity, sum, divisor);
  places_[quantity.name] = quantities_.size();
  quantities_.push_back(std::move(quantity));
}

std::vector<Term> Catalogue::Flatten(const Quantity& quantity) const {
  std::vector<Term> flat;
  for (const Term& term : quantity.terms) {
    if (term.elementwise_only) continue;
    const Quantity* of = term.of.empty() ? nullptr : Find(term.of);
    if (of == nullptr || !of->per.empty()) {
      flat.push_back(term);
      if (of != nullptr) flat.back().factors.push_back({of->name, of->value, false});
      continue;
    }
    for (Term inner : Flatten(*of)) {
      inner.factors.insert(inner.factors.begin(), term.factors.begin(), term.factors.end());
      flat.push_back(std::move(inner));
    }
  }
  return flat;
}

}  // namespace flopledger
