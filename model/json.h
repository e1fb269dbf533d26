// Reading JSON strictly: one line for a syntax error, no duplicate keys, no silent conversions.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "model/input_error.h"

namespace flopledger {

/// The whole file as text; throws InputError when it cannot be read.
std::string ReadTextFile(const std::string& path);

/// Parses `text`; throws InputError (naming `where`, the line and the column) for bad syntax and
/// for a key that stands twice in one object.
nlohmann::json ParseJson(std::string_view text, const std::string& where);

}  // namespace flopledger
