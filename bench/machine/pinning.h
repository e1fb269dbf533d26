// Binding the OpenMP team to cores.
#pragma once

#include <string>

namespace flopledger {

enum class Pin { kNone, kCores };

/// While one with kCores lives, PinTeam binds; then the threads may use every processor again.
class ThreadPinning {
 public:
  explicit ThreadPinning(Pin pin);
  ~ThreadPinning();
  ThreadPinning(const ThreadPinning&) = delete;
  ThreadPinning& operator=(const ThreadPinning&) = delete;
};

/// Binds each of `threads` OpenMP threads as PinPlan says, where that is asked for. To be called
/// whenever the number of threads changes: a thread that OpenMP starts anew is bound as the main
/// thread is. Throws CannotMeasure where the system refuses.
void PinTeam(int threads);

/// What binds threads: "none", "cores", or OpenMP by its own variables.
std::string PinningText();

}  // namespace flopledger
