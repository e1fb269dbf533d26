// Where a model's tensors stand in checkpoints with Hugging Face's names: those of GPT-2, Llama
// (and the models after it), GPT-NeoX and OPT. The file tells which naming it follows.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/safetensors.h"
#include "model/tensors.h"

namespace flopledger {

/// Where a tensor of ours stands in a checkpoint. Columns [begin, begin + cols) of it are those
/// from `stored_begin` on of the stored tensor `name`, which is [inputs, stored_cols] as ours or,
/// transposed, [stored_cols, inputs].
struct StoredPart {
  std::string name;
  int64_t begin = 0, cols = 0;
  int64_t stored_begin = 0, stored_cols = 0;
  bool transposed = false;
  bool interleaved = false;  // queries, keys and values of each key/value head lie together

  /// The shape under which the tensor is stored.
  std::vector<int64_t> Shape(const TensorSpec& tensor) const;
  /// Where element (k, n) of the part stands in the stored tensor.
  int64_t Index(const ModelConfig& config, int64_t inputs, int64_t k, int64_t n) const;
};

enum class Names { kGpt2, kLlama, kGptNeoX, kOpt };

/// The naming of one checkpoint.
struct Naming {
  Names names = Names::kLlama;
  std::string prefix;             // of all tensors but lm_head; the bare models lack it
  bool table_is_lm_head = false;  // a tied table, stored once, under the other of its two names
  bool fused = false;             // Phi-3's names: one tensor for q, k, v, one for gate and up
  bool linear = false;            // GPT-BigCode: GPT-2's names, but weights are [outputs, inputs]
};

/// The naming that `file` follows. Throws InputError for none.
Naming NamingOf(const ModelConfig& config, const SafetensorsFile& file);

/// The stored tensors that make up one of ours, in the order of its columns. Throws InputError
/// where the naming has none for it.
std::vector<StoredPart> PartsOf(const ModelConfig& config, const Naming& naming,
                                const TensorSpec& tensor);

/// True for tensors that checkpoints carry and a pass does not read: masks, rotary tables.
bool IsBuffer(std::string_view name);

}  // namespace flopledger
