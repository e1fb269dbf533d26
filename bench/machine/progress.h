// A progress line on a terminal, written at most ten times a second; elsewhere silent, or a whole
// line now and then.
#pragma once

#include <chrono>
#include <ostream>
#include <string>

namespace flopledger {

/// "25 s", "12.5 min": as exact as an estimate is.
std::string RoughSeconds(double seconds);

/// Time left of a command whose work is known beforehand, in any unit.
class WorkLeft {
 public:
  void Start(double total);
  bool started() const { return total_ > 0; }
  void Add(double done) { done_ += done; }
  /// "about 25 s left", where `under_way` is done beside what was added; empty while too little is
  /// done to tell.
  std::string ToText(double under_way = 0) const;

 private:
  double total_ = 0, done_ = 0;
  std::chrono::steady_clock::time_point start_{};
};

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

  /// Cut to the terminal's width: a line that wraps could not be taken back.
  void Show(const std::string& line);

  /// A line that stays, on a terminal or not; on a terminal in its width.
  void Say(const std::string& line);

  void Clear() {
    if (shown_) out_ << "\r\x1b[K" << std::flush;
    shown_ = false;
  }

  WorkLeft left;  // of the command that this tells of

 private:
  std::ostream& out_;
  bool on_terminal_;
  std::chrono::milliseconds interval_;
  bool shown_ = false;
  std::chrono::steady_clock::time_point next_{};
};

}  // namespace flopledger
