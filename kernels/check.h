// FL_CHECK: an assertion about our own code that stays on in release builds.
// It is for faults of the program only; what a user got wrong is an InputError
// (model/input_error.h).
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace flopledger {

/// A fault in the program, never the user's. The command line turns it into exit code 4.
class Fault : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

namespace internal {

template <class... Values>
[[noreturn]] void FailCheck(const char* file, int line, const char* condition, const char* names,
                            const Values&... values) {
  std::ostringstream text;
  text << file << ":" << line << ": check failed: " << condition;
  if constexpr (sizeof...(values) > 0) {
    text << " with (" << names << ") =";
    ((text << " " << values), ...);
  }
  throw Fault(text.str());
}

}  // namespace internal
}  // namespace flopledger

/// Throws Fault when `condition` is false; the values after it are printed with their names.
#define FL_CHECK(condition, ...)                                                  \
  do {                                                                            \
    if (!(condition)) {                                                           \
      ::flopledger::internal::FailCheck(__FILE__, __LINE__, #condition,           \
                                        #__VA_ARGS__ __VA_OPT__(, ) __VA_ARGS__); \
    }                                                                             \
  } while (false)
