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
  /// The first element that is NaN or infinite, or −1; dtype must not be kOther.
  int64_t FirstNotFinite() const;
};

/// "[48, 144]".
std::string ShapeText(std::span<const int64_t> shape);

/// The tensors of a safetensors file, or of the shards of one checkpoint, mapped read-only. They
/// point into the mappings and live as long as this.
class SafetensorsFile {
 public:
  /// `path`: a safetensors file; an index of shards (model.safetensors.index.json), which names the
  /// file of each tensor; or a folder with one of these. Wrappers' prefixes of names ("_orig_mod.",
  /// "module.", "language_model.") are left out. Throws InputError for a file that cannot be read,
  /// is of another format (and says of which), is truncated, or whose header is malformed, names
  /// data outside the file, lets tensors overlap or leaves bytes to none, or gives sizes that do
  /// not match the shapes; for a shard that is missing or lacks a tensor that the index names; and
  /// for a tensor that stands twice.
  explicit SafetensorsFile(const std::string& path);
  ~SafetensorsFile();
  SafetensorsFile(const SafetensorsFile&) = delete;
  SafetensorsFile& operator=(const SafetensorsFile&) = delete;

  const std::string& path() const { return path_; }
  const std::map<std::string, StoredTensor, std::less<>>& tensors() const { return tensors_; }
  /// The tensor of that name, or null.
  const StoredTensor* Find(std::string_view name) const;

 private:
  /// Empty: a constructed object, so that its mappings are released where opening fails.
  SafetensorsFile() = default;
  void Open();
  void OpenIndex(const std::string& path);
  /// Maps one file and adds its tensors.
  void OpenFile(const std::string& path);

  std::string path_;
  std::vector<std::span<const std::byte>> mappings_;
  std::map<std::string, StoredTensor, std::less<>> tensors_;
};

}  // namespace flopledger
