// The safetensors file format: an 8-byte header length, a JSON header, then raw little-endian data.
// Knows nothing of models. Source: github.com/huggingface/safetensors, "Format".
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace flopledger {

enum class DType { kF32, kF16, kBf16, kOther };

/// One tensor inside a mapped file.
struct StoredTensor {
  DType dtype = DType::kOther;
  std::string dtype_name;
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;

  int64_t size() const;  // number of elements
  /// Element `index` in row-major order, as float; dtype must not be kOther.
  float At(int64_t index) const;
};

/// "[48, 144]".
std::string ShapeText(std::span<const int64_t> shape);

/// A safetensors file mapped read-only. The tensors point into the mapping and live as long as it.
class SafetensorsFile {
 public:
  /// Throws InputError for a file that cannot be read, is truncated, or whose header is malformed,
  /// names data outside the file, lets tensors overlap or leaves bytes to none, or gives sizes that
  /// do not match the shapes.
  explicit SafetensorsFile(const std::string& path);
  ~SafetensorsFile();
  SafetensorsFile(const SafetensorsFile&) = delete;
  SafetensorsFile& operator=(const SafetensorsFile&) = delete;

  const std::string& path() const { return path_; }
  const std::map<std::string, StoredTensor, std::less<>>& tensors() const { return tensors_; }
  /// The tensor of that name, or null.
  const StoredTensor* Find(std::string_view name) const;

 private:
  /// Takes the mapping over, so that the destructor releases it even when reading the header fails.
  SafetensorsFile(const std::string& path, std::span<const std::byte> file);
  void ReadHeader();
  /// One tensor of the header. Throws what the public constructor throws, and json::exception.
  StoredTensor ReadEntry(const std::string& name, const nlohmann::json& entry,
                         std::span<const std::byte> data) const;
  /// Fails unless the tensors lie end to end over all of `data`, as the format demands.
  void CheckCover(std::span<const std::byte> data) const;

  std::string path_;
  std::span<const std::byte> file_;
  std::map<std::string, StoredTensor, std::less<>> tensors_;
};

/// A tensor to be written as F32.
struct NamedTensor {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<float> values;
};

/// Writes a safetensors file of F32 tensors. Throws InputError when the path cannot be written.
void WriteSafetensors(const std::string& path, std::span<const NamedTensor> tensors);

}  // namespace flopledger
