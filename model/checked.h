// 64-bit integer arithmetic in which overflow is an error, never a wrapped number.
#pragma once

#include <concepts>
#include <cstdint>

#include "model/input_error.h"

namespace flopledger {

/// a · b · …; throws InputError when the product leaves 64 bits.
template <std::same_as<int64_t>... Factors>
int64_t CheckedMul(int64_t first, Factors... factors) {
  int64_t product = first;
  bool overflow = false;
  // A zero factor makes the product zero, but only if no partial product overflowed before it.
  ((overflow = __builtin_mul_overflow(product, factors, &product) || overflow), ...);
  if (overflow)
    throw InputError("this model's figures overflow 64-bit integers; use smaller sizes");
  return product;
}

/// a + b + …; throws InputError when the sum leaves 64 bits.
template <std::same_as<int64_t>... Terms>
int64_t CheckedAdd(int64_t first, Terms... terms) {
  int64_t sum = first;
  bool overflow = false;
  ((overflow = __builtin_add_overflow(sum, terms, &sum) || overflow), ...);
  if (overflow)
    throw InputError("this model's figures overflow 64-bit integers; use smaller sizes");
  return sum;
}

/// a / b, rounded up; for a not below 0 and b above 0.
constexpr int64_t CeilDiv(int64_t a, int64_t b) { return a / b + (a % b != 0 ? 1 : 0); }

}  // namespace flopledger
