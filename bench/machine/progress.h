// A progress line on a terminal, written at most ten times a second; elsewhere silent, or a whole
// line now and then.
#pragma once

#include <chrono>
#include <ostream>
#include <string>

namespace flopledger {

class Progress {
 public:
  /// Writes to `out` (standard error) if `on_terminal`; else, where `lines_every` is above 0, a
  /// line at most so often.
  Progress(std::ostream& out, bool on_terminal, std::chrono::milliseconds lines_every = {})
      : out_(out),
        on_terminal_(on_terminal),
        interval_(on_terminal ? std::chrono::milliseconds(100) : lines_every) {}
  ~Progress() { Clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// True when a line is due, so that a caller need not compose one in vain.
  bool Due() const { return interval_.count() > 0 && std::chrono::steady_clock::now() >= next_; }

  void Show(const std::string& line) {
    if (!Due()) return;
    next_ = std::chrono::steady_clock::now() + interval_;
    if (!on_terminal_) return Say(line);
    out_ << "\r\x1b[K" << line << std::flush;
    shown_ = true;
  }

  /// A line that stays, on a terminal or not.
  void Say(const std::string& line) {
    Clear();
    out_ << "flopledger: " << line << std::endl;
  }

  void Clear() {
    if (shown_) out_ << "\r\x1b[K" << std::flush;
    shown_ = false;
  }

 private:
  std::ostream& out_;
  bool on_terminal_;
  std::chrono::milliseconds interval_;
  bool shown_ = false;
  std::chrono::steady_clock::time_point next_{};
};

}  // namespace flopledger
