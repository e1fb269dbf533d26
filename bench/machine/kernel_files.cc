#include "bench/machine/kernel_files.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace flopledger {

std::optional<std::string> ValueOf(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const std::string_view name = line.substr(0, colon);
    if (name.substr(0, name.find_last_not_of(" \t") + 1) != key) continue;
    const std::size_t value = line.find_first_not_of(" \t", colon + 1);
    return std::string(value == std::string_view::npos ? "" : line.substr(value));
  }
  return std::nullopt;
}

std::optional<std::string> KernelFiles::Text(const std::string& path) const {
  std::ifstream file(root_ + path);
  if (!file) return std::nullopt;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::optional<std::string> KernelFiles::FirstLine(const std::string& path) const {
  std::ifstream file(root_ + path);
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  return line;
}

std::optional<int64_t> KernelFiles::Integer(const std::string& path) const {
  const auto line = FirstLine(path);
  int64_t value = 0;
  if (!line ||
      std::from_chars(line->data(), line->data() + line->size(), value).ec != std::errc()) {
    return std::nullopt;
  }
  return value;
}

std::vector<std::string> KernelFiles::Names(const std::string& path) const {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(root_ + path, error), end; !error && entry != end;
       entry.increment(error)) {
    names.push_back(entry->path().filename());
  }
  return names;
}

std::optional<std::string> KernelFiles::Value(const std::string& path, std::string_view key) const {
  const auto text = Text(path);
  return text ? ValueOf(*text, key) : std::nullopt;
}

}  // namespace flopledger
