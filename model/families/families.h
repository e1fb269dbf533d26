// Hugging Face's config.json, family by family, mapped onto ModelConfig. A family is one file; what
// families share is in hugging_face.h. docs/models.md has the table of families.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/config.h"
#include "model/object_reader.h"

namespace flopledger {

/// One family of models.
struct Family {
  std::vector<std::string_view> model_types;  // values of model_type
  std::vector<std::string_view> classes;      // what stands before ForCausalLM in `architectures`
  void (*read)(const ObjectReader& in, ModelConfig& config);
};

/// In the order of docs/models.md.
const std::vector<Family>& Families();

/// Whether the object is a config of another program that has no model_type: of Meta's original
/// releases (params.json), an adapter, an older MPT, …
bool IsForeign(const ObjectReader& in);

/// Reads a config with a `model_type`, or one that is foreign (and then says what it is). Throws
/// InputError, not validated.
ModelConfig FromHuggingFace(const ObjectReader& in);

}  // namespace flopledger
