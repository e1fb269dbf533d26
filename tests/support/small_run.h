// A run small enough for tests.
#pragma once

#include "bench/run/settings.h"

namespace flopledger {

/// Four layers of gpt2's shape at 16 positions.
inline RunSettings SmallRun() {
  RunSettings settings;
  settings.model = LoadModel("gpt2");
  settings.model.num_layers = 4;
  settings.context = 16;
  return settings;
}

}  // namespace flopledger
