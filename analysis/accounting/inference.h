// What generation costs: the KV cache, and prefill against one token of decoding, from closed
// formulas. Bytes are what must come from memory at the least: the weights once, the cache once;
// activations are left out. fp32.
#pragma once

#include <cstdint>
#include <vector>

#include "analysis/accounting/accounting.h"

namespace flopledger {

/// The prompt at once, or one more token in each sequence.
struct PhaseFigures {
  int64_t tokens = 0;  // that it processes
  int64_t flops = 0;
  int64_t weight_bytes = 0;  // read: of an embedding table that is no matrix, its rows alone
  int64_t cache_bytes = 0;   // written by prefill; read by decoding, its own token with it

  int64_t bytes() const { return weight_bytes + cache_bytes; }
  double intensity() const { return static_cast<double>(flops) / static_cast<double>(bytes()); }
};

struct InferenceFigures {
  int64_t parameters = 0;
  int64_t cache_bytes_per_token = 0;  // 2·4·L·NKV·HS
  int64_t cache_bytes = 0;            // B sequences of T tokens
  int64_t full_cache_bytes = 0;       // B sequences of context_length tokens
  PhaseFigures prefill;               // B·T tokens, logits at every position
  PhaseFigures decode;                // B tokens, each at position T: it attends to T of them
};

/// Throws InputError on overflow. The convention must have components (not the rule of thumb).
InferenceFigures CountInference(const ModelConfig& config, const RunShape& shape,
                                Convention convention);

/// The same model with every number of key/value heads that divides its heads, most first: MHA, GQA
/// and, with one, MQA.
std::vector<ModelConfig> GroupedVariants(const ModelConfig& config);

}  // namespace flopledger
