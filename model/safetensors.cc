#include "model/safetensors.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "kernels/check.h"
#include "kernels/convert.h"
#include "model/checked.h"
#include "model/json.h"

namespace flopledger {
namespace {

using nlohmann::json;

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

SafetensorsFile::SafetensorsFile(const std::string& path) : SafetensorsFile(path, MapFile(path)) {
  ReadHeader();
}

SafetensorsFile::SafetensorsFile(const std::string& path, std::span<const std::byte> file)
    : path_(path), file_(file) {}

SafetensorsFile::~SafetensorsFile() {
  if (!file_.empty()) munmap(const_cast<std::byte*>(file_.data()), file_.size());
}

void SafetensorsFile::ReadHeader() {
  const auto fail = [&](const std::string& what) {
    throw InputError(fmt::format("{}: {}", path_, what));
  };
  if (file_.size() < 8) fail(fmt::format("not a safetensors file: {} bytes long", file_.size()));
  const auto header_size = LoadElement<uint64_t>(file_.data(), 0);
  if (header_size > file_.size() - 8) {
    fail(
        fmt::format("truncated, or not a safetensors file: its header should be {} bytes, {} "
                    "follow",
                    header_size, file_.size() - 8));
  }
  const std::string_view text(reinterpret_cast<const char*>(file_.data()) + 8, header_size);
  const auto data = file_.subspan(8 + header_size);
  const json header = ParseJson(text, path_ + ": safetensors header");
  if (!header.is_object()) fail("malformed safetensors header: not an object");

  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    try {
      tensors_.emplace(name, ReadEntry(name, entry, data));
    } catch (const json::exception& error) {
      fail(fmt::format("malformed safetensors header: tensor '{}': {}", name, error.what()));
    }
  }
  CheckCover(data);
}

StoredTensor SafetensorsFile::ReadEntry(const std::string& name, const json& entry,
                                        std::span<const std::byte> data) const {
  const auto fail = [&](const std::string& what) {
    throw InputError(fmt::format("{}: {}", path_, what));
  };
  StoredTensor tensor;
  tensor.dtype_name = entry.at("dtype").get<std::string>();
  tensor.dtype = ParseDType(tensor.dtype_name);
  if (!IsListOfSizes(entry.at("shape"))) fail(fmt::format("tensor '{}' has a bad shape", name));
  tensor.shape = entry.at("shape").get<std::vector<int64_t>>();
  const json& offsets = entry.at("data_offsets");
  if (!IsListOfSizes(offsets) || offsets.size() != 2) {
    fail(fmt::format("tensor '{}' has bad data_offsets", name));
  }
  const auto begin = offsets[0].get<uint64_t>(), end = offsets[1].get<uint64_t>();
  if (begin > end) fail(fmt::format("tensor '{}' ends before it begins", name));
  if (end > data.size()) {
    fail(fmt::format("truncated: tensor '{}' ends at data byte {}, the file has {}", name, end,
                     data.size()));
  }
  tensor.bytes = data.subspan(begin, end - begin);
  if (tensor.dtype != DType::kOther && CheckedMul(tensor.size(), ElementSize(tensor.dtype)) !=
                                           static_cast<int64_t>(tensor.bytes.size())) {
    fail(fmt::format("tensor '{}' of shape {} and type {} cannot have {} bytes", name,
                     ShapeText(tensor.shape), tensor.dtype_name, tensor.bytes.size()));
  }
  return tensor;
}

void SafetensorsFile::CheckCover(std::span<const std::byte> data) const {
  std::vector<std::pair<std::span<const std::byte>, std::string_view>> parts;
  for (const auto& [name, tensor] : tensors_) parts.emplace_back(tensor.bytes, name);
  std::ranges::sort(parts, {}, [](const auto& part) {
    return std::pair(part.first.data(), part.first.size());  // an empty tensor before its neighbour
  });
  const std::byte* covered = data.data();
  for (const auto& [bytes, name] : parts) {
    if (bytes.data() != covered) {
      throw InputError(
          fmt::format("{}: tensor '{}' begins at data byte {}, where {} was expected: tensors {}",
                      path_, name, bytes.data() - data.data(), covered - data.data(),
                      bytes.data() < covered ? "overlap" : "leave a hole"));
    }
    covered += bytes.size();
  }
  const auto end = static_cast<std::size_t>(covered - data.data());
  if (end != data.size()) {
    throw InputError(fmt::format("{}: {} bytes follow the last tensor", path_, data.size() - end));
  }
}

const StoredTensor* SafetensorsFile::Find(std::string_view name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

void WriteSafetensors(const std::string& path, std::span<const NamedTensor> tensors) {
  json header = json::object();
  uint64_t offset = 0;
  for (const NamedTensor& tensor : tensors) {
    const uint64_t end = offset + tensor.values.size() * sizeof(float);
    header[tensor.name] = {
        {"dtype", "F32"}, {"shape", tensor.shape}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');  // the format keeps the data 8-byte aligned
  const uint64_t header_size = text.size();

  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(&header_size), sizeof(header_size));
  file << text;
  for (const NamedTensor& tensor : tensors) {
    file.write(reinterpret_cast<const char*>(tensor.values.data()),
               static_cast<std::streamsize>(tensor.values.size() * sizeof(float)));
  }
  file.close();
  if (!file) throw InputError(fmt::format("{}: cannot be written: {}", path, std::strerror(errno)));
}

}  // namespace flopledger
