#include "model/foreign_format.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

namespace flopledger {
namespace {

using namespace std::string_view_literals;

struct Signature {
  std::string_view bytes;
  std::string_view what;
};
constexpr std::array kSignatures{
    Signature{"version https://git-lfs"sv,
              "a Git LFS pointer: the file itself was not downloaded; run 'git lfs pull'"},
    Signature{"PK\x03\x04"sv,
              "a zip archive, as PyTorch's .bin and .pt files are; save it as safetensors"},
    Signature{"\x80\x02"sv, "a Python pickle, as older PyTorch files are; save it as safetensors"},
    Signature{"\x80\x03"sv, "a Python pickle; save it as safetensors"},
    Signature{"\x80\x04\x95"sv, "a Python pickle; save it as safetensors"},
    Signature{"GGUF"sv, "a GGUF file of llama.cpp; use the model's safetensors"},
    Signature{"ggml"sv, "a GGML file of llama.cpp; use the model's safetensors"},
    Signature{"lmgg"sv, "a GGML file of llama.cpp; use the model's safetensors"},
    Signature{"\x93NUMPY"sv, "a NumPy array"},
    Signature{"\x89HDF\r\n"sv, "an HDF5 file, as Keras's are; save it as safetensors"},
    Signature{"\x1f\x8b"sv, "a gzip archive; unpack it"},
    Signature{"7z\xbc\xaf\x27\x1c"sv, "a 7z archive; unpack it"},
    Signature{"\x28\xb5\x2f\xfd"sv, "a Zstandard archive; unpack it"},
};

bool StartsWithoutCase(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() &&
         std::equal(prefix.begin(), prefix.end(), text.begin(), [](char a, char b) {
           return std::tolower(static_cast<unsigned char>(a)) ==
                  std::tolower(static_cast<unsigned char>(b));
         });
}

}  // namespace

std::string ForeignFormat(std::span<const std::byte> file) {
  constexpr std::size_t kLooked = 4096;
  const std::string_view start(reinterpret_cast<const char*>(file.data()),
                               std::min(file.size(), kLooked));
  for (const Signature& signature : kSignatures) {
    if (start.starts_with(signature.bytes)) return std::string(signature.what);
  }
  const std::size_t first = std::min(start.find_first_not_of(" \t\r\n"), start.size());
  const std::string_view text = start.substr(first);
  if (StartsWithoutCase(text, "<!doctype html") || StartsWithoutCase(text, "<html")) {
    return "an HTML page: a download that failed or asked for a login";
  }
  if (text.starts_with("{")) {
    if (start.find("weight_map") != std::string_view::npos) {
      return "an index of shards; give it under a name that ends in .index.json, or the folder";
    }
    return "a JSON text; weights lie in .safetensors files";
  }
  return "";
}

}  // namespace flopledger
