// Counted<float>: a scalar that computes as float does and tallies its own operations. It runs
// through the very templates that the float kernels are made of, Eigen's products included, so its
// tallies are what those kernels execute at the level of their source.
#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <concepts>

#include "kernels/tally.h"

namespace flopledger {

template <class Value>
struct Counted {
  Value value;

  Counted() = default;
  template <class Number>
  requires std::is_arithmetic_v<Number>
  explicit(!std::same_as<Number, int>) constexpr Counted(Number number)  // Eigen needs int implicit
      : value(static_cast<Value>(number)) {}

  explicit operator Value() const { return value; }

  Counted& operator+=(Counted other) { return *this = *this + other; }
  Counted& operator-=(Counted other) { return *this = *this - other; }
  Counted& operator*=(Counted other) { return *this = *this * other; }
  Counted& operator/=(Counted other) { return *this = *this / other; }

  friend Counted operator+(Counted a, Counted b) {
    ++thread_tally.add;
    return Counted(a.value + b.value);
  }
  friend Counted operator-(Counted a, Counted b) {
    ++thread_tally.add;
    return Counted(a.value - b.value);
  }
  friend Counted operator*(Counted a, Counted b) {
    ++thread_tally.mul;
    return Counted(a.value * b.value);
  }
  friend Counted operator/(Counted a, Counted b) {
    ++thread_tally.div;
    return Counted(a.value / b.value);
  }
  friend Counted operator-(Counted a) {
    ++thread_tally.negate;
    return Counted(-a.value);
  }
  friend Counted fma(Counted a, Counted b, Counted c) {
    ++thread_tally.fma;
    return Counted(std::fma(a.value, b.value, c.value));
  }
  friend Counted sqrt(Counted a) {
    ++thread_tally.sqrt;
    return Counted(std::sqrt(a.value));
  }
  friend Counted exp(Counted a) {
    ++thread_tally.exp;
    return Counted(std::exp(a.value));
  }
  friend Counted tanh(Counted a) {
    ++thread_tally.tanh;
    return Counted(std::tanh(a.value));
  }
  friend Counted erf(Counted a) {
    ++thread_tally.erf;
    return Counted(std::erf(a.value));
  }
  friend Counted max(const Counted& a, const Counted& b) {
    ++thread_tally.max;
    return Counted(std::max(a.value, b.value));
  }
  friend bool operator==(Counted a, Counted b) {
    ++thread_tally.compare;
    return a.value == b.value;
  }
  friend bool operator<(Counted a, Counted b) {
    ++thread_tally.compare;
    return a.value < b.value;
  }
  friend bool operator>(Counted a, Counted b) { return b < a; }
  friend bool operator<=(Counted a, Counted b) { return !(b < a); }
  friend bool operator>=(Counted a, Counted b) { return !(a < b); }
};

}  // namespace flopledger

/// What Eigen must know to take Counted as a scalar.
template <class Value>
struct Eigen::NumTraits<flopledger::Counted<Value>> : Eigen::NumTraits<Value> {
  using Real = flopledger::Counted<Value>;
  using NonInteger = Real;
  using Literal = Real;
  using Nested = Real;
};
