#include "bench/machine/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "model/input_error.h"

namespace flopledger {
namespace {

[[noreturn]] void Fail(const std::string& path, int error) {
  throw InputError(fmt::format("{}: cannot be written: {}", path, std::strerror(error)));
}

/// A pipe or a device such as /dev/stdout cannot be replaced; it is written straight.
bool IsSpecial(const std::string& path) {
  std::error_code ignored;
  const auto type = std::filesystem::status(path, ignored).type();
  return type != std::filesystem::file_type::regular &&
         type != std::filesystem::file_type::not_found &&
         type != std::filesystem::file_type::directory;
}

/// The file that is being written, for a signal handler.
struct Unfinished {
  std::array<char, PATH_MAX> name{};
  std::atomic<bool> whole = false;  // the name is
} unfinished;

/// Says which file is being written, while it lives.
class Writing {
 public:
  explicit Writing(const std::string& path) {
    if (path.empty() || path.size() >= unfinished.name.size()) return;  // open() refuses it
    *std::copy(path.begin(), path.end(), unfinished.name.begin()) = '\0';
    unfinished.whole = true;
  }
  ~Writing() { unfinished.whole = false; }
  Writing(const Writing&) = delete;
  Writing& operator=(const Writing&) = delete;
};

std::string TemporaryName(const std::string& path) {
  return fmt::format("{}.{}.tmp", path, getpid());
}

}  // namespace

void CheckWritable(const std::string& path) {
  std::error_code ignored;  // open() below says what is wrong
  if (std::filesystem::is_directory(path, ignored)) Fail(path, EISDIR);
  if (IsSpecial(path)) {
    if (access(path.c_str(), W_OK) != 0) Fail(path, errno);
    return;
  }
  const std::string temporary = TemporaryName(path);
  const int descriptor = open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (descriptor < 0) Fail(path, errno);
  close(descriptor);
  unlink(temporary.c_str());
}

void WriteWhole(const std::string& path, std::string_view content) {
  const bool special = IsSpecial(path);
  const std::string target = special ? path : TemporaryName(path);
  const Writing writing(special ? "" : target);
  std::ofstream file(target, std::ios::binary);
  file.write(content.data(), static_cast<std::streamsize>(content.size()));
  file.close();
  if (!file) {
    const int error = errno;
    if (!special) unlink(target.c_str());
    Fail(path, error);
  }
  if (!special && rename(target.c_str(), path.c_str()) != 0) {
    const int error = errno;
    unlink(target.c_str());
    Fail(path, error);
  }
}

void RemoveUnfinishedFile() {
  if (unfinished.whole) unlink(unfinished.name.data());
}

}  // namespace flopledger
