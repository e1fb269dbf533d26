#include "model/safetensors.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>

#include "kernels/check.h"
#include "kernels/convert.h"
#include "model/checked.h"
#include "model/foreign_format.h"
#include "model/json.h"

namespace flopledger {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

int64_t ElementSize(DType dtype) { return dtype == DType::kF32 ? 4 : 2; }

DType ParseDType(const std::string& name) {
  if (name == "F32") return DType::kF32;
  if (name == "F16") return DType::kF16;
  if (name == "BF16") return DType::kBf16;
  return DType::kOther;  // an error only if the model asks for this tensor
}

bool IsListOfSizes(const json& list) {
  const auto is_size = [](const json& size) {
    return size.is_number_unsigned() && size.get<uint64_t>() <= uint64_t{INT64_MAX};
  };
  return list.is_array() && std::ranges::all_of(list, is_size);
}

/// The file's bytes, mapped. An empty file is an empty span.
std::span<const std::byte> MapFile(const std::string& path) {
  const auto fail = [&] {
    throw InputError(fmt::format("{}: cannot be read: {}", path, std::strerror(errno)));
  };
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) fail();
  struct stat status {};
  if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
    close(descriptor);
    throw InputError(fmt::format("{}: is not a regular file", path));
  }
  const auto size = static_cast<std::size_t>(status.st_size);
  void* memory = size == 0 ? nullptr : mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
  const int map_error = errno;
  close(descriptor);
  errno = map_error;
  if (memory == MAP_FAILED) fail();
  return {static_cast<const std::byte*>(memory), size};
}

}  // namespace

int64_t StoredTensor::size() const {
  int64_t size = 1;
  for (const int64_t extent : shape) size = CheckedMul(size, extent);
  return size;
}

float StoredTensor::At(int64_t index) const {
  switch (dtype) {
    case DType::kF32: return LoadF32(bytes.data(), index);
    case DType::kF16: return LoadF16(bytes.data(), index);
    case DType::kBf16: return LoadBf16(bytes.data(), index);
    case DType::kOther: break;
  }
  FL_CHECK(false, dtype_name);
}

std::string ShapeText(std::span<const int64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

int64_t StoredTensor::FirstNotFinite() const {
  int64_t first = size();
#pragma omp parallel for reduction(min : first)
  for (int64_t i = 0; i < size(); ++i) {
    if (i < first && !std::isfinite(At(i))) first = i;
  }
  return first == size() ? -1 : first;
}

namespace {

/// One file's bytes and header.
class HeaderReader {
 public:
  HeaderReader(std::string path, std::span<const std::byte> file)
      : path_(std::move(path)), file_(file) {}

  std::map<std::string, StoredTensor, std::less<>> Read() {
    const uint64_t header_size = file_.size() < 8 ? 0 : LoadElement<uint64_t>(file_.data(), 0);
    if (file_.size() < 8 || header_size > file_.size() - 8) {
      // Only here: the length of a good header may begin with any bytes.
      if (const std::string format = ForeignFormat(file_); !format.empty()) {
        Fail(fmt::format("not a safetensors file but {}", format));
      }
      if (file_.size() < 8) {
        Fail(fmt::format("not a safetensors file: {} bytes long", file_.size()));
      }
      Fail(
          fmt::format("truncated, or not a safetensors file: its header should be {} bytes, {} "
                      "follow",
                      header_size, file_.size() - 8));
    }
    const std::string_view text(reinterpret_cast<const char*>(file_.data()) + 8, header_size);
    data_ = file_.subspan(8 + header_size);
    const json header = ParseJson(text, path_ + ": safetensors header");
    if (!header.is_object()) Fail("malformed safetensors header: not an object");
    for (const auto& [name, entry] : header.items()) {
      if (name == "__metadata__") continue;
      try {
        tensors_.emplace(name, Entry(name, entry));
      } catch (const json::exception& error) {
        Fail(fmt::format("malformed safetensors header: tensor '{}': {}", name, error.what()));
      }
    }
    CheckCover();
    return std::move(tensors_);
  }

 private:
  [[noreturn]] void Fail(const std::string& what) const {
    throw InputError(fmt::format("{}: {}", path_, what));
  }

  /// One tensor of the header. Throws InputError and json::exception.
  StoredTensor Entry(const std::string& name, const json& entry) const {
    StoredTensor tensor;
    tensor.dtype_name = entry.at("dtype").get<std::string>();
    tensor.dtype = ParseDType(tensor.dtype_name);
    if (!IsListOfSizes(entry.at("shape"))) Fail(fmt::format("tensor '{}' has a bad shape", name));
    tensor.shape = entry.at("shape").get<std::vector<int64_t>>();
    const json& offsets = entry.at("data_offsets");
    if (!IsListOfSizes(offsets) || offsets.size() != 2) {
      Fail(fmt::format("tensor '{}' has bad data_offsets", name));
    }
    const auto begin = offsets[0].get<uint64_t>(), end = offsets[1].get<uint64_t>();
    if (begin > end) Fail(fmt::format("tensor '{}' ends before it begins", name));
    if (end > data_.size()) {
      Fail(fmt::format("truncated: tensor '{}' ends at data byte {}, the file has {}", name, end,
                       data_.size()));
    }
    tensor.bytes = data_.subspan(begin, end - begin);
    if (tensor.dtype != DType::kOther && CheckedMul(tensor.size(), ElementSize(tensor.dtype)) !=
                                             static_cast<int64_t>(tensor.bytes.size())) {
      Fail(fmt::format("tensor '{}' of shape {} and type {} cannot have {} bytes", name,
                       ShapeText(tensor.shape), tensor.dtype_name, tensor.bytes.size()));
    }
    return tensor;
  }

  /// Fails unless the tensors lie end to end over all of the data, as the format demands.
  void CheckCover() const {
    std::vector<std::pair<std::span<const std::byte>, std::string_view>> parts;
    for (const auto& [name, tensor] : tensors_) parts.emplace_back(tensor.bytes, name);
    std::ranges::sort(parts, {}, [](const auto& part) {
      return std::pair(part.first.data(), part.first.size());  // an empty one before its neighbour
    });
    const std::byte* covered = data_.data();
    for (const auto& [bytes, name] : parts) {
      if (bytes.data() != covered) {
        Fail(fmt::format("tensor '{}' begins at data byte {}, where {} was expected: tensors {}",
                         name, bytes.data() - data_.data(), covered - data_.data(),
                         bytes.data() < covered ? "overlap" : "leave a hole"));
      }
      covered += bytes.size();
    }
    const auto end = static_cast<std::size_t>(covered - data_.data());
    if (end != data_.size()) {
      Fail(fmt::format("{} bytes follow the last tensor", data_.size() - end));
    }
  }

  std::string path_;
  std::span<const std::byte> file_, data_;
  std::map<std::string, StoredTensor, std::less<>> tensors_;
};

/// A tensor's name without what wrappers put before it: torch.compile, DataParallel, and models of
/// which the language model is one part.
std::string WithoutWrappers(std::string_view name) {
  for (bool found = true; found;) {
    found = false;
    for (const std::string_view prefix : {"_orig_mod.", "module.", "language_model."}) {
      if (!name.starts_with(prefix)) continue;
      name.remove_prefix(prefix.size());
      found = true;
    }
  }
  return std::string(name);
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::string& path) : SafetensorsFile() {
  path_ = path;
  Open();
}

void SafetensorsFile::Open() {
  std::error_code ignored;
  std::string file = path_;
  if (fs::is_directory(path_, ignored)) {
    file = (fs::path(path_) / "model.safetensors.index.json").string();
    if (!fs::exists(file, ignored)) file = (fs::path(path_) / "model.safetensors").string();
    if (!fs::exists(file, ignored)) {
      throw InputError(fmt::format(
          "{}: the folder holds neither model.safetensors.index.json nor model.safetensors",
          path_));
    }
  }
  if (file.ends_with(".index.json")) {
    OpenIndex(file);
  } else {
    OpenFile(file);
  }
}

SafetensorsFile::~SafetensorsFile() {
  for (const auto mapping : mappings_) {
    if (!mapping.empty()) munmap(const_cast<std::byte*>(mapping.data()), mapping.size());
  }
}

void SafetensorsFile::OpenFile(const std::string& path) {
  mappings_.push_back(MapFile(path));
  for (auto& [name, tensor] : HeaderReader(path, mappings_.back()).Read()) {
    const std::string plain = WithoutWrappers(name);
    if (!tensors_.emplace(plain, std::move(tensor)).second) {
      throw InputError(fmt::format("{}: tensor '{}' stands twice in the checkpoint", path, plain));
    }
  }
}

void SafetensorsFile::OpenIndex(const std::string& path) {
  const json index = ParseJson(ReadTextFile(path), path);
  const auto fail = [&](const std::string& what) {
    throw InputError(fmt::format("{}: {}", path, what));
  };
  const bool has_map = index.is_object() && index.contains("weight_map") &&
                       index["weight_map"].is_object() && !index["weight_map"].empty();
  if (!has_map) fail("not an index of shards: it has no 'weight_map' from tensors to files");
  std::set<std::string> shards;
  for (const auto& [name, shard] : index["weight_map"].items()) {
    if (!shard.is_string()) fail(fmt::format("the shard of tensor '{}' must be a string", name));
    const fs::path file = shard.get<std::string>();
    if (file.empty() || file.has_parent_path()) {
      fail(fmt::format("tensor '{}' lies in '{}'; a shard is a file beside the index", name,
                       file.string()));
    }
    if (!shards.insert(file.string()).second) continue;
    const fs::path full = fs::path(path).parent_path() / file;
    std::error_code ignored;
    if (!fs::exists(full, ignored)) fail(fmt::format("shard '{}' is missing", file.string()));
    OpenFile(full.string());
  }
  for (const auto& [name, shard] : index["weight_map"].items()) {
    if (Find(WithoutWrappers(name)) != nullptr) continue;
    fail(fmt::format("tensor '{}' is not in its shard '{}'", name, shard.get<std::string>()));
  }
}

const StoredTensor* SafetensorsFile::Find(std::string_view name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

}  // namespace flopledger
