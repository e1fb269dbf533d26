// What a checkpoint's values must be, whatever the model: finite, and one table where it is tied.
#pragma once

#include "model/config.h"
#include "model/safetensors.h"

namespace flopledger {

/// Throws InputError that names the tensor and the element for a NaN or infinite weight, and for a
/// tied model's stored lm_head that differs from its token table. Reads every value once; masks and
/// rotary tables are passed over, and types that ReadWeights refuses are left to it.
void CheckValues(const ModelConfig& config, const SafetensorsFile& file);

}  // namespace flopledger
