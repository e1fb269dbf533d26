// A vectorised exponential for arguments up to 0, as softmax needs it.
#pragma once

#include <Eigen/Core>
#include <type_traits>

#include "kernels/microkernel.h"

namespace flopledger {

/// e^x for x ≤ 0, lane by lane; below −87 float gives e^−87 (1.6e-38), which no softmax can tell
/// from 0. Relative error at most 1 unit of 2⁻²³ for float (held by a test over the range).
///
/// x = n·ln 2 + r with |r| ≤ ln 2 / 2; e^r by its Taylor polynomial fitted to that range (Cephes'
/// expf coefficients, Moshier), and 2^n by adding n to the exponent bits.
template <class Packet>
Packet ExpOfNonPositive(Packet x) {
  using namespace Eigen::internal;  // NOLINT: the packet primitives, in this function alone
  if constexpr (std::is_same_v<typename unpacket_traits<Packet>::type, double>) return pexp(x);
  using Bits = typename unpacket_traits<Packet>::integer_packet;
  const auto constant = [](float value) { return pset1<Packet>(value); };
  x = pmax(x, constant(-87.0f));
  // Adding 1.5·2²³ leaves n, rounded to nearest, in the low bits of the sum.
  const Packet magic = constant(12582912.0f);
  const Packet shifted = pmadd(x, constant(1.44269504088896341f), magic);
  const Packet n = psub(shifted, magic);
  Packet r = pmadd(n, constant(-0.693359375f), x);  // ln 2 in two parts, the first exact
  r = pmadd(n, constant(2.12194440e-4f), r);
  Packet p = constant(1.9875691500e-4f);
  p = pmadd(p, r, constant(1.3981999507e-3f));
  p = pmadd(p, r, constant(8.3334519073e-3f));
  p = pmadd(p, r, constant(4.1665795894e-2f));
  p = pmadd(p, r, constant(1.6666665459e-1f));
  p = pmadd(p, r, constant(5.0000001201e-1f));
  p = pmadd(p, pmul(r, r), padd(r, constant(1.0f)));
  const Bits exponent = plogical_shift_left<23>(preinterpret<Bits>(shifted));
  return preinterpret<Packet>(padd(preinterpret<Bits>(p), exponent));
}

/// The counting scalar counts it as one operation.
inline Counted<float> ExpOfNonPositive(Counted<float> x) { return exp(x); }

}  // namespace flopledger
