// The analytic accounting: parameters, memory, FLOPs and bytes of a forward pass from closed
// formulas. Arithmetic only. It costs the op list of model/ops and never sees a kernel or a
// measurement. Legend: B batch, T context, L layers, C d_model, NH heads, NKV key/value heads, HS
// head size, F d_ff, V vocabulary.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "analysis/accounting/data_types.h"
#include "model/config.h"
#include "model/ops.h"

namespace flopledger {

/// Of fp32, which the kernels compute in.
inline constexpr int64_t kBytesPerFloat = 4;

/// What is counted as a FLOP. Every figure names its convention.
enum class Convention { kMatmul, kCausal, kAll, kRuleOfThumb };

struct ConventionInfo {
  Convention value;
  std::string_view name;
  std::string_view meaning;
  std::string_view source;
};

std::span<const ConventionInfo> Conventions();
const ConventionInfo& InfoOf(Convention convention);
/// Throws InputError, with a suggestion, for a name that is not in the table.
Convention ParseConvention(std::string_view name);

/// An exact figure under a component's name.
struct NamedCount {
  std::string_view name;
  int64_t value = 0;
};

/// Components in the order of the contract, and their sum.
struct Breakdown {
  std::vector<NamedCount> components;
  int64_t total = 0;
};

/// FLOPs of every execution of `op` in one pass. Under kRuleOfThumb single ops have no figure
/// and it throws std::logic_error. Throws InputError on overflow, as all below do.
int64_t OpFlops(const ModelConfig& config, const RunShape& shape, const Op& op,
                Convention convention);

/// Bytes (fp32) that every execution of `op` in one pass must move at the least: each operand once.
/// Of a collective, those that the rank sends.
int64_t OpBytes(const ModelConfig& config, const RunShape& shape, const Op& op);

/// Parameters, biases with the component that they belong to; lm_head is 0 when tied. Components
/// beyond the contract's seven (experts, shared_experts, router, score_head, …) are there where the
/// model has them.
Breakdown CountParameters(const ModelConfig& config);
/// Those that one token uses: of the routed experts, per_token.
int64_t CountActiveParameters(const ModelConfig& config);

/// FLOPs by component. Under kRuleOfThumb each component has 2·parameters·B·T.
Breakdown CountFlops(const ModelConfig& config, const RunShape& shape, Convention convention);

/// The types of numbers that weights and KV cache are kept in; activations are fp32.
struct MemoryTypes {
  DataType weights = F32();
  DataType kv = F32();
};

struct MemoryFigures {
  int64_t weights_bytes = 0;
  /// The forward pass's own buffers, fp32. Of each row, the residual stream (C), a norm's output or
  /// attention's (the longer of C and NH·HS; in a parallel block C more, for the FFN's input), and
  /// one space that three users share in turn: attention (its projection, C, with qkv and, where
  /// they are stored, the scores of every head), the FFN (its projection with F, or 2·F with a
  /// gate; of experts, the router's logits and per_token times an expert's F and C), and at the end
  /// the logits (V). RoPE's tables besides.
  int64_t activation_bytes = 0;
  /// Keys and values of all layers for the whole context: L·B·T·2·NKV·HS numbers; with latent
  /// attention L·B·T·(kv_rank + rope).
  int64_t kv_cache_bytes = 0;
  /// The same where layers with a window keep no more than its positions.
  int64_t kv_cache_window_bytes = 0;
};
MemoryFigures CountMemory(const ModelConfig& config, const RunShape& shape,
                          const MemoryTypes& types = {});

/// Numbers that the KV cache holds of a token in one layer.
int64_t KvNumbers(const ModelConfig& config);

/// The shape of a whole pass: all layers of the config.
RunShape WholePass(const ModelConfig& config, int64_t context, int64_t batch);

}  // namespace flopledger
