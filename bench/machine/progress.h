// A progress line on a terminal; silent elsewhere. Written at most ten times a second.
#pragma once

#include <chrono>
#include <ostream>
#include <string>

namespace flopledger {

class Progress {
 public:
  /// Writes to `out` (standard error) only if `on_terminal`.
  Progress(std::ostream& out, bool on_terminal) : out_(out), on_terminal_(on_terminal) {}
  ~Progress() { Clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// True when a line is due, so that a caller need not compose one in vain.
  bool Due() const { return on_terminal_ && std::chrono::steady_clock::now() >= next_; }

  void Show(const std::string& line) {
    if (!Due()) return;
    next_ = std::chrono::steady_clock::now() + std::chrono::milliseconds(100);
    out_ << "\r\x1b[K" << line << std::flush;
    shown_ = true;
  }

  void Clear() {
    if (shown_) out_ << "\r\x1b[K" << std::flush;
    shown_ = false;
  }

 private:
  std::ostream& out_;
  bool on_terminal_;
  bool shown_ = false;
  std::chrono::steady_clock::time_point next_{};
};

}  // namespace flopledger
