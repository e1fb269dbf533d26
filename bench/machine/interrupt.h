// Ctrl-C as a wish to stop: what runs long looks at `interrupted` between its steps.
#pragma once

#include <array>
#include <atomic>
#include <csignal>
#include <cstddef>

namespace flopledger {

/// Set by a signal handler while an InterruptGuard lives.
inline std::atomic<bool> interrupted = false;
/// Whether the user asked again: what was left time to end is ended at once.
inline std::atomic<bool> interrupted_again = false;

/// Where several ranks share a pass, none leaves it alone: a wish to stop waits until the pass is
/// over, when the first rank takes it.
inline std::atomic<bool> interrupts_wait = false, interrupt_is_waiting = false;
inline void TakeWaitingInterrupt() {
  if (interrupt_is_waiting) interrupted = true;
}

/// Thrown by what cannot go on once the user wishes to stop; not an error.
struct Interrupted {};

inline void ThrowIfInterrupted() {
  if (interrupted) throw Interrupted{};
}

/// While it lives, Ctrl-C (or a terminal that closes) says on standard error that the run stops
/// after the current op, which it then does; a second one ends the program by that signal, without
/// a part of a file left. Where there are children and files to be cleared away first
/// (second_ends_program false) the second one only hastens that; and a reader of our output that
/// goes away does not end it either.
class InterruptGuard {
 public:
  explicit InterruptGuard(bool second_ends_program = true);
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

 private:
  static constexpr std::array<int, 3> kSignals{SIGINT, SIGTERM, SIGHUP};
  std::array<struct sigaction, kSignals.size()> before_{};
  struct sigaction before_pipe_ {};
};

/// While it lives, Ctrl-C and a terminal that closes are ignored: what a rank that follows the
/// first one's orders does, where a launcher signals all of them. SIGTERM still ends it.
class IgnoredInterrupts {
 public:
  IgnoredInterrupts();
  ~IgnoredInterrupts();
  IgnoredInterrupts(const IgnoredInterrupts&) = delete;
  IgnoredInterrupts& operator=(const IgnoredInterrupts&) = delete;

 private:
  static constexpr std::array<int, 2> kSignals{SIGINT, SIGHUP};
  std::array<struct sigaction, kSignals.size()> before_{};
};

}  // namespace flopledger
