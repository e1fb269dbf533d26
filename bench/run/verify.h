// Verify, then time: an observer that recomputes sampled outputs of every op in double, from the
// very operands that the op read, and holds them against a derived error bound.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "model/forward.h"

namespace flopledger {

/// What a verification found.
struct Verification {
  int64_t checked = 0;        // outputs recomputed
  double worst_ratio = 0;     // largest |error| / bound; at most 1 when all is well
  std::string worst_op;       // where that was
  std::string first_failure;  // one line: op, layer, element, value and bound; empty if none

  bool ok() const { return first_failure.empty(); }
};

/// Observes a pass (or single ops) of one Forward<float>, which must outlive it, as must `tokens`.
class OpVerifier {
 public:
  OpVerifier(const Forward<float>& forward, std::span<const int32_t> tokens)
      : forward_(forward), tokens_(tokens) {}

  void Before(const Op& op, int64_t layer, const Operands<float>& operands);
  void After(const Op& op, int64_t layer, const Operands<float>& operands);

  const Verification& result() const { return result_; }

 private:
  struct SampledRow {
    int64_t row = 0;
    std::vector<double> a, b;  // what the op read there, kept because it may work in place
  };

  struct Element {
    int64_t row = 0, col = 0;
  };
  /// An element in double, and how far the kernel's may lie from it.
  struct Expected {
    double value = 0, bound = 0;
  };

  void Check(const Op& op, int64_t layer, const Operands<float>& o, Element at, Expected expected);
  void CheckRow(const Op& op, int64_t layer, const Operands<float>& o, const SampledRow& sample);

  /// The sum over ranks: each sends the others what it had of the sampled outputs.
  void CheckAllReduce(const Op& op, int64_t layer, const Operands<float>& o);

  void CheckAttentionRow(const Op& op, int64_t layer, const Operands<float>& o, int64_t row);

  Expected ExpectedElement(const Op& op, const Operands<float>& o, const SampledRow& sample,
                           int64_t c) const;
  Expected ExpectedNorm(std::span<const double> group, int64_t c, double gain, double bias) const;
  Expected ExpectedQkNorm(const Operands<float>& o, const SampledRow& sample, int64_t c) const;
  Expected ExpectedProduct(const Op& op, const Operands<float>& o, const SampledRow& sample,
                           int64_t c) const;
  Expected ExpectedRotation(const Operands<float>& o, const SampledRow& sample, int64_t c) const;
  Expected ExpectedScore(const Operands<float>& o, int64_t row, int64_t c) const;
  Expected ExpectedWeight(const Operands<float>& o, const SampledRow& sample, int64_t c) const;
  Expected ExpectedValue(const Operands<float>& o, int64_t row, int64_t c) const;
  /// What the table of learned positions adds to column c of a row.
  double Position(const Operands<float>& o, int64_t row, int64_t c) const;

  const Forward<float>& forward_;
  std::span<const int32_t> tokens_;
  std::vector<SampledRow> samples_;
  Verification result_;
};

}  // namespace flopledger
