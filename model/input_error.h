// InputError: what the user got wrong, said in one line. And the "did you mean" that goes with it.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace flopledger {

/// The user's fault: the message says what, where, what was found and what is allowed, on one line.
/// The command line turns it into exit code 2.
class InputError : public std::runtime_error {
 public:
  /// `what` may quote the user's files: control characters in it are replaced (OneLine).
  explicit InputError(const std::string& what);
};

/// No answer can be had here (too little memory, another machine): exit code 5.
class CannotMeasure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// `text` on one line of printable characters: a control character becomes a space if it is white
/// space, '?' otherwise.
std::string OneLine(std::string text);

/// "; did you mean 'x'?" for the nearest of `allowed` within a third of the word's length (rounded
/// up, so that two swapped letters of 'modle' are forgiven),
/// else "; allowed: a, b, c".
std::string Suggest(std::string_view word, const std::vector<std::string>& allowed);

}  // namespace flopledger
