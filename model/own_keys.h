// Our own JSON keys of a model: reading and writing. docs/models.md lists them.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "model/config.h"
#include "model/object_reader.h"

namespace flopledger {

/// The keys of which one is there in every model written with our own: what tells such a file from
/// others.
bool HasOwnKeys(const ObjectReader& in);

/// A model under our own keys. Throws InputError for an unknown key, a wrong type or a value out of
/// range; sizes that do not fit together are left to Validate.
ModelConfig FromOwnKeys(const ObjectReader& in);

}  // namespace flopledger
