// The quantities of a transformer's accounting, by name and as formulas: sums of terms, each a
// product of named factors or a multiple of another quantity. The audit needs the formulas, to see
// which factor or term a hand lost; their values are those of analysis/accounting.
// Legend: B batch, T context, L layers, C d_model, NH heads, NKV key/value heads, HS head size,
// F d_ff, V vocabulary.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "analysis/accounting/accounting.h"
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
  std::string of;  // the quantity that the factors multiply; empty: they are all
  bool elementwise_only =
      false;  // no part of the sum, though hands add it: elementwise work among products
};

struct Quantity {
  std::string name;  // "flops.attention_values.head"
  Unit unit = Unit::kPlain;
  std::string meaning;
  std::vector<Term> terms;
  Exact value;

  /// "2·T·C·HS·3", "L·params.total.block + …".
  std::string Formula() const;
};

/// Every quantity of one model, one context, one batch and one convention.
class Catalogue {
 public:
  Catalogue(const ModelConfig& config, const RunShape& shape, Convention convention);

  const std::vector<Quantity>& quantities() const { return quantities_; }
  /// By name; the scope may be left out where it is `model`. Null when there is none.
  const Quantity* Find(std::string_view name) const;
  std::vector<std::string> names() const;
  /// The terms of `quantity` down to plain factors, without elementwise_only.
  std::vector<Term> Flatten(const Quantity& quantity) const;
  /// Every symbol of the model with its value, for slips that bring one in.
  const std::vector<Factor>& symbols() const { return symbols_; }

 private:
  void Add(std::string name, Unit unit, std::string meaning, std::vector<Term> terms);
  void AddParameters(const ModelConfig& config);
  void AddFlops(const ModelConfig& config, const RunShape& shape, Convention convention);
  void AddMemory(const ModelConfig& config);
  void AddTrainingMemory(const ModelConfig& config);
  void AddShares();
  Factor S(std::string_view symbol) const;

  std::vector<Factor> symbols_;
  std::vector<Quantity> quantities_;
};

Exact Product(const std::vector<Factor>& factors);

}  // namespace flopledger
