// What run and logits compute of all that a config can say.
#pragma once

#include <string>

#include "model/config.h"

namespace flopledger {

/// What of this model the forward pass does not compute, in words that follow "does not compute":
/// "a mixture of experts". Empty where it computes all of it.
std::string NotComputed(const ModelConfig& config);

/// Throws InputError that names what is not computed. `command` is "run" or "logits".
void CheckComputed(const ModelConfig& config, const std::string& command);

}  // namespace flopledger
