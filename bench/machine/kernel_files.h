// Reading the small text files of /proc and /sys, under a root that tests can replace.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace flopledger {

/// The value after "key" and a colon in text such as that of /proc/cpuinfo; the first such line.
std::optional<std::string> ValueOf(std::string_view text, std::string_view key);

/// Files that cannot be read, or hold nothing of the kind, are absent.
class KernelFiles {
 public:
  /// Paths such as "/proc/stat" are sought below `root`.
  explicit KernelFiles(std::string root = "") : root_(std::move(root)) {}

  std::optional<std::string> Text(const std::string& path) const;
  std::optional<std::string> FirstLine(const std::string& path) const;
  /// The number that the first line begins with; absent for a word, such as "max".
  std::optional<int64_t> Integer(const std::string& path) const;
  /// The names in a folder.
  std::vector<std::string> Names(const std::string& path) const;
  std::optional<std::string> Value(const std::string& path, std::string_view key) const;

 private:
  std::string root_;
};

}  // namespace flopledger
