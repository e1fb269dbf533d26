#include "kernels/tally.h"

#include <omp.h>

namespace flopledger {

Tally& Tally::operator+=(const Tally& other) {
  add += other.add;
  mul += other.mul;
  fma += other.fma;
  div += other.div;
  sqrt += other.sqrt;
  exp += other.exp;
  tanh += other.tanh;
  erf += other.erf;
  max += other.max;
  negate += other.negate;
  compare += other.compare;
  return *this;
}

void ResetTallies() {
#pragma omp parallel
  thread_tally = {};
}

Tally SumTallies() {
  Tally sum;
#pragma omp parallel
  {
#pragma omp critical
    sum += thread_tally;
  }
  return sum;
}

}  // namespace flopledger
