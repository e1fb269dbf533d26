// Seconds on the steady clock.
#pragma once

#include <chrono>

namespace flopledger {

using Clock = std::chrono::steady_clock;

inline double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Seconds between Start() and Stop().
class Stopwatch {
 public:
  void Start() { start_ = Clock::now(); }
  double Stop() const { return SecondsSince(start_); }

 private:
  Clock::time_point start_{};
};

}  // namespace flopledger
