// Safetensors files made by hand.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>

namespace flopledger {

/// A safetensors file from a header and data, as they are.
inline std::string FileOf(const std::string& header, const std::string& data) {
  const uint64_t size = header.size();
  std::string file(8, '\0');
  std::memcpy(file.data(), &size, 8);
  return file + header + data;
}

/// The header of one F32 tensor "a".
inline std::string Header(const std::string& shape, const std::string& offsets) {
  return R"({"a": {"dtype": "F32", "shape": )" + shape + R"(, "data_offsets": )" + offsets + "}}";
}

}  // namespace flopledger
