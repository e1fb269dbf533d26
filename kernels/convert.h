// Sixteen-bit floating-point storage formats read into a Scalar. Conversion is exact.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <cstring>

namespace flopledger {

/// The `index`-th little-endian element of `bytes`, which need not be aligned.
template <class Element>
Element LoadElement(const std::byte* bytes, int64_t index) {
  Element element;
  std::memcpy(&element, bytes + index * static_cast<int64_t>(sizeof(Element)), sizeof(Element));
  return element;
}

inline float LoadF32(const std::byte* bytes, int64_t index) {
  return LoadElement<float>(bytes, index);
}
/// IEEE 754 binary16.
inline float LoadF16(const std::byte* bytes, int64_t index) {
  return static_cast<float>(
      Eigen::numext::bit_cast<Eigen::half>(LoadElement<uint16_t>(bytes, index)));
}
/// The upper half of a binary32.
inline float LoadBf16(const std::byte* bytes, int64_t index) {
  return Eigen::numext::bit_cast<float>(uint32_t{LoadElement<uint16_t>(bytes, index)} << 16);
}

}  // namespace flopledger
