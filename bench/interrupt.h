// Ctrl-C as a wish to stop: what runs long looks at `interrupted` between its steps.
#pragma once

#include <atomic>
#include <csignal>

namespace flopledger {

/// Set by a signal handler while an InterruptGuard lives.
inline std::atomic<bool> interrupted = false;

/// While it lives, Ctrl-C stops the run after the current op; a second one ends the program, except
/// where there are children and files to be cleared away first.
class InterruptGuard {
 public:
  explicit InterruptGuard(bool second_ends_program = true) {
    interrupted = false;
    struct sigaction action {};
    action.sa_handler = [](int) { interrupted = true; };
    action.sa_flags = second_ends_program ? static_cast<int>(SA_RESETHAND) : 0;
    sigaction(SIGINT, &action, &before_int_);
    sigaction(SIGTERM, &action, &before_term_);
  }
  ~InterruptGuard() {
    sigaction(SIGINT, &before_int_, nullptr);
    sigaction(SIGTERM, &before_term_, nullptr);
  }
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

 private:
  struct sigaction before_int_ {};
  struct sigaction before_term_ {};
};

}  // namespace flopledger
