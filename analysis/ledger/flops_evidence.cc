#include "analysis/ledger/flops_evidence.h"

#include <algorithm>
#include <cmath>

namespace flopledger {

CounterFigures& CounterFigures::operator+=(const CounterFigures& other) {
  constexpr std::optional<double> CounterFigures::*kQuantities[] = {
      &CounterFigures::flops,           &CounterFigures::instructions,
      &CounterFigures::cycles,          &CounterFigures::cache_misses,
      &CounterFigures::task_clock_ns,   &CounterFigures::page_faults,
      &CounterFigures::context_switches};
  for (const auto quantity : kQuantities) {
    if (other.*quantity) this->*quantity = (this->*quantity).value_or(0) + *(other.*quantity);
  }
  scale = std::max(scale, other.scale);
  return *this;
}

bool TrustCheck::passed() const {
  return std::abs(counted / static_cast<double>(executed) - 1) <= 0.01;
}

}  // namespace flopledger
