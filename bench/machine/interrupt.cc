#include "bench/machine/interrupt.h"

#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "bench/machine/files.h"

namespace flopledger {
namespace {

// Handlers read them; a lock-free atomic is all that they may touch.
std::atomic<bool> second_ends = true;
std::atomic<bool> errors_on_terminal = false;

void Answer(std::string_view line) {
  constexpr std::string_view kClear = "\r\x1b[K";  // the progress line
  if (errors_on_terminal && write(STDERR_FILENO, kClear.data(), kClear.size()) < 0) return;
  if (write(STDERR_FILENO, line.data(), line.size()) < 0) return;
}

void OnSignal(int signal) {
  const int error = errno;
  const bool again = (interrupts_wait ? interrupt_is_waiting : interrupted).exchange(true);
  if (!again) {
    Answer(!second_ends ? "flopledger: stopping; what runs is ended first\n"
           : interrupts_wait
               ? "flopledger: stopping after this pass; once more ends at once\n"
               : "flopledger: stopping after this operation; once more ends at once\n");
  } else if (second_ends) {
    RemoveUnfinishedFile();
    std::signal(signal, SIG_DFL);
    raise(signal);  // once this handler has returned
  } else {
    interrupted_again = true;
  }
  errno = error;
}

}  // namespace

InterruptGuard::InterruptGuard(bool second_ends_program) {
  interrupted = interrupt_is_waiting = false;
  interrupted_again = false;
  second_ends = second_ends_program;
  errors_on_terminal = isatty(STDERR_FILENO) != 0;
  struct sigaction action {};
  action.sa_handler = OnSignal;
  action.sa_flags = SA_RESTART;  // writes of results go on
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    sigaction(kSignals[i], nullptr, &before_[i]);
    const bool nohup = kSignals[i] == SIGHUP && before_[i].sa_handler == SIG_IGN;
    if (!nohup) sigaction(kSignals[i], &action, nullptr);
  }
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, second_ends_program ? nullptr : &ignore, &before_pipe_);
}

InterruptGuard::~InterruptGuard() {
  for (std::size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &before_[i], nullptr);
  sigaction(SIGPIPE, &before_pipe_, nullptr);
}

IgnoredInterrupts::IgnoredInterrupts() {
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  for (std::size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &ignore, &before_[i]);
}

IgnoredInterrupts::~IgnoredInterrupts() {
  for (std::size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &before_[i], nullptr);
}

}  // namespace flopledger
