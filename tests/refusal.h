// What a function refuses.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "model/input_error.h"

namespace flopledger {

/// The message of the InputError that `act` throws, on one line; a failure where it throws none.
template <class Act>
std::string Refusal(Act&& act) {
  try {
    act();
  } catch (const InputError& error) {
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was refused";
  return "";
}

}  // namespace flopledger
