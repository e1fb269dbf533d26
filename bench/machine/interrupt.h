// Ctrl-C as a wish to stop: what runs long looks at `interrupted` between its steps.
#pragma once

#include <array>
#include <atomic>
#include <csignal>
#include <cstddef>

namespace flopledger {

/// Set by a signal handler while an InterruptGuard lives.
inline std::atomic<bool> interrupted = false;

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

/// While it lives, Ctrl-C (or a terminal that closes) stops the run after the current op; a second
/// one ends the program, except where there are children and files to be cleared away first. There
/// a reader of our output that goes away does not end it either.
class InterruptGuard {
 public:
  explicit InterruptGuard(bool second_ends_program = true) {
    interrupted = interrupt_is_waiting = false;
    struct sigaction action {};
    action.sa_handler = [](int) { (interrupts_wait ? interrupt_is_waiting : interrupted) = true; };
    action.sa_flags = second_ends_program ? static_cast<int>(SA_RESETHAND) : 0;
    for (std::size_t i = 0; i < kSignals.size(); ++i) {
      sigaction(kSignals[i], nullptr, &before_[i]);
      const bool nohup = kSignals[i] == SIGHUP && before_[i].sa_handler == SIG_IGN;
      if (!nohup) sigaction(kSignals[i], &action, nullptr);
    }
    struct sigaction ignore {};
    ignore.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, second_ends_program ? nullptr : &ignore, &before_pipe_);
  }
  ~InterruptGuard() {
    for (std::size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &before_[i], nullptr);
    sigaction(SIGPIPE, &before_pipe_, nullptr);
  }
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

 private:
  static constexpr std::array<int, 3> kSignals{SIGINT, SIGTERM, SIGHUP};
  std::array<struct sigaction, kSignals.size()> before_{};
  struct sigaction before_pipe_ {};
};

}  // namespace flopledger
