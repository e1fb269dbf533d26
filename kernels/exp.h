// A vectorised power of two for arguments up to 0, as softmax needs it.
#pragma once

#include <numbers>
#include <type_traits>

#include "kernels/simd.h"

namespace flopledger {

/// 2^x for x ≤ 0, lane by lane; below −126 float gives 2^−126 (1.2e-38), which no softmax can tell
/// from 0. Relative error at most 1.5 units of 2⁻²³ for float (held by a test over the range).
///
/// x = n + r with n an integer and |r| ≤ 1/2; 2^r by a polynomial of least relative error, 9.5e-8
/// (fitted by Sollya's fpminimax for coefficients in single precision, the first of them 1), and
/// 2^n by adding n to the exponent bits.
template <class Packet>
Packet Exp2OfNonPositive(Packet x) {
  using namespace simd;
  using Scalar = ScalarOf<Packet>;
  const auto constant = [](double value) { return pset1<Packet>(static_cast<Scalar>(value)); };
  if constexpr (std::is_same_v<Scalar, double>) {
    return pexp(pmul(x, constant(std::numbers::ln2)));
  } else {
    using Bits = BitsOf<Packet>;
    x = pmax(x, constant(-126));
    // Adding 1.5·2²³ leaves n, rounded to nearest, in the low bits of the sum.
    const Packet magic = constant(12582912), shifted = padd(x, magic);
    const Packet r = psub(x, psub(shifted, magic));
    Packet p = constant(1.3274750672280788421630859375e-3);
    p = pmadd(p, r, constant(9.6715651452541351318359375e-3));
    p = pmadd(p, r, constant(5.55069930851459503173828125e-2));
    p = pmadd(p, r, constant(0.24022240936756134033203125));
    p = pmadd(p, r, constant(0.693147003650665283203125));
    p = pmadd(p, r, constant(1));
    const Bits exponent = plogical_shift_left<23>(preinterpret<Bits>(shifted));
    return preinterpret<Packet>(padd(preinterpret<Bits>(p), exponent));
  }
}

/// The counting scalar counts it as one exp.
inline Counted<float> Exp2OfNonPositive(Counted<float> x) {
  return exp(Counted<float>(x.value * std::numbers::ln2_v<float>));
}

}  // namespace flopledger
