// A variable of the environment as one test wants it.
#pragma once

#include <cstdlib>
#include <optional>
#include <string>

namespace flopledger {

/// Sets `name` to `value`, or unsets it where that is null; puts back what was there at the end.
class ScopedVariable {
 public:
  ScopedVariable(const char* name, const char* value) : name_(name) {
    if (const char* before = std::getenv(name)) before_ = before;
    Set(value);
  }
  ~ScopedVariable() { Set(before_ ? before_->c_str() : nullptr); }
  ScopedVariable(const ScopedVariable&) = delete;
  ScopedVariable& operator=(const ScopedVariable&) = delete;

 private:
  void Set(const char* value) {
    if (value != nullptr) setenv(name_, value, 1);
    if (value == nullptr) unsetenv(name_);
  }

  const char* name_;
  std::optional<std::string> before_;
};

}  // namespace flopledger
