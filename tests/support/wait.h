// Waiting for what another process or thread brings about.
#pragma once

#include <chrono>
#include <concepts>
#include <thread>

namespace flopledger {

/// Waits until `condition()` holds; false where it does not within a minute, which only a fault,
/// not a busy machine, can explain.
template <std::predicate Condition>
bool ComesTrue(Condition condition) {
  using Clock = std::chrono::steady_clock;
  for (const auto until = Clock::now() + std::chrono::minutes(1); !condition();
       std::this_thread::sleep_for(std::chrono::milliseconds(10))) {
    if (Clock::now() >= until) return false;
  }
  return true;
}

}  // namespace flopledger
