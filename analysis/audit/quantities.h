// The quantities of a transformer's accounting, by name and as formulas: sums of terms, each a
// product of named factors or a multiple of another quantity. The audit needs the formulas, to see
// which factor or term a person lost; their values are those of analysis/accounting.
// Legend: B batch, T context, L layers, C d_model, NH heads, NKV key/value heads, HS head size,
// F d_ff, V vocabulary, P parameters.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "analysis/audit/setting.h"
#include "analysis/text/figure.h"

namespace flopledger {

struct Factor {
  std::string symbol;  // "T", "NH", "2"
  Exact value;
  bool summed = false;  // the inner dimension of a matrix product
};

struct Term {
  std::string name;  // what it is, for people
  std::vector<Factor> factors;
  std::string of;                 // the quantity that the factors multiply; empty: they are all
  bool elementwise_only = false;  // no part of the sum, though people add it to matrix products
};

/// How often each elementary term stands in a quantity's sum. Quantities of one catalogue that
/// share a term share its number.
using Contents = std::map<int, Exact>;

struct Quantity {
  std::string name;  // "flops.attention_values.head"
  Unit unit = Unit::kPlain;
  std::string meaning;
  std::vector<Term> terms;
  std::string per;  // the quantity that the sum is divided by; empty: none
  Exact value;
  Contents contents;

  /// Of what fits, whole ones alone count.
  bool floor() const { return unit == Unit::kPlain && !per.empty(); }
  /// "2·T·C·HS·3", "L·params.total.block + …".
  std::string Formula() const;
};

/// Every quantity of one setting.
class Catalogue {
 public:
  explicit Catalogue(const AuditSetting& setting);

  const AuditSetting& setting() const { return setting_; }
  const std::vector<Quantity>& quantities() const { return quantities_; }
  /// By name; the scope may be left out where it is `model`. Null when there is none.
  const Quantity* Find(std::string_view name) const;
  std::vector<std::string> names() const;
  /// The terms of `quantity` down to plain factors, without elementwise_only.
  std::vector<Term> Flatten(const Quantity& quantity) const;
  /// Every symbol of the model with its value, for slips that bring one in.
  const std::vector<Factor>& symbols() const { return symbols_; }
  /// What `sum`, in place of the quantity's own sum, comes to: divided and rounded down as it is.
  Exact ValueOf(const Quantity& quantity, const Exact& sum, const Exact& divisor) const;

  /// For the parts of the catalogue, each in a file of its own.
  void Add(std::string name, Unit unit, std::string meaning, std::vector<Term> terms,
           std::string per = "");
  Factor S(std::string_view symbol) const;

 private:
  AuditSetting setting_;
  std::vector<Factor> symbols_;
  std::vector<Quantity> quantities_;
  std::map<std::string, std::size_t, std::less<>> places_;
  int elementary_terms_ = 0;
};

// Terms, as the catalogue's files write them.
Factor Number(int64_t value);
Factor Summed(Factor factor);
Term Product(std::string name, std::vector<Factor> factors);
Term Times(std::vector<Factor> factors, const std::string& of);  // named by what it multiplies

void AddParameters(Catalogue& catalogue);
void AddFlops(Catalogue& catalogue);
void AddMemory(Catalogue& catalogue);
/// Time, throughput, the largest batch, growth, intensity: with what the setting's plan says.
void AddPlan(Catalogue& catalogue);
void AddShares(Catalogue& catalogue);

Exact Product(const std::vector<Factor>& factors);

}  // namespace flopledger
