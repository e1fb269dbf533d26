// What a function refuses.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <string>

#include "model/input_error.h"

namespace flopledger {

/// The message of the InputError that `act` throws, on one line; a failure where it throws none.
template <class Act>
std::string Refusal(Act&& act) {
  try {
    act();
  } catch (const InputError& error) {
    const std::string message = error.what();
    EXPECT_TRUE(std::ranges::none_of(message, [](unsigned char c) { return std::iscntrl(c); }))
        << message;
    return message;
  }
  ADD_FAILURE() << "nothing was refused";
  return "";
}

}  // namespace flopledger
