// The list of a model's tensors, of which parameters and bytes are sums.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "model/config.h"

namespace flopledger {

/// `count` tensors [inputs, outputs] of one kind; gains and biases have one input.
struct TensorGroup {
  std::string_view component;  // of the accounting, to which it belongs
  int64_t inputs = 1, outputs = 0;
  int64_t count = 0;
  int64_t active = 0;  // of them, those that one token uses; below count for routed experts alone

  bool is_vector() const { return inputs == 1; }
};

/// Every tensor of the model that is a parameter. Biases stand with their matrix's component; a
/// table that two products share stands once.
std::vector<TensorGroup> TensorGroups(const ModelConfig& config);

}  // namespace flopledger
