// Child processes that cannot outlive us or hang us, and a private folder for what they write.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace flopledger {

struct ChildSettings {
  std::string folder;             // to run in; empty: ours
  std::string log;                // its standard output and error go to this file
  std::string errors;             // or its standard error to this one
  double time_limit_s = 0;        // 0: none
  bool until_interrupted = true;  // false: it clears away, and is left to do so
};

struct ChildResult {
  enum class End { kExited, kSignalled, kTimedOut, kInterrupted };
  End end = End::kExited;
  int status = 0;  // exit code, or the signal's number
  double seconds = 0;

  bool ok() const { return end == End::kExited && status == 0; }
  /// "exited with 3", "was ended by signal 11 (Segmentation fault)", …
  std::string ToText() const;
};

/// Runs words[0] (a path, or a name to be sought in PATH) to its end in a process group of its own,
/// and ends that whole group when the child has ended, when its time is up or when we are
/// interrupted. Throws CannotMeasure where it cannot be started.
ChildResult RunChild(const std::vector<std::string>& words, const ChildSettings& settings);

/// The last non-empty lines of a file, on one line, at most `most` bytes, as valid UTF-8; for
/// messages.
std::string LastWords(const std::string& path, std::size_t most = 300);

/// A folder of our own under the system's temporary one, gone with everything in it at the end.
class PrivateFolder {
 public:
  PrivateFolder();
  ~PrivateFolder();
  PrivateFolder(const PrivateFolder&) = delete;
  PrivateFolder& operator=(const PrivateFolder&) = delete;

  std::string path(const std::string& name = "") const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

}  // namespace flopledger
