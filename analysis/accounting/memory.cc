// Memory: weights, the forward pass's buffers, the KV cache.
#include <algorithm>

#include "analysis/accounting/accounting.h"
#include "analysis/accounting/parameters.h"
#include "model/checked.h"

namespace flopledger {
namespace {

/// Numbers of one row that attention holds at once, beside its projection.
int64_t AttentionNumbers(const ModelConfig& config, const RunShape& shape) {
  const int64_t scores = shape.fused_attention ? 0 : CheckedMul(config.num_heads, shape.context);
  const LatentAttention& latent = config.latent;
  if (latent.kv_rank == 0) return CheckedAdd(config.qkv_size(), scores);
  return CheckedAdd(
      CheckedAdd(latent.q_rank, latent.kv_rank, latent.rope, scores),
      CheckedMul(config.num_heads, CheckedAdd(config.head_size(), latent.nope, latent.value)));
}

/// Numbers of one row that an FFN of `d_ff` columns holds at once, beside its projection.
int64_t FfnNumbers(const ModelConfig& config, int64_t d_ff) {
  return CheckedMul(int64_t{config.has_gate() ? 2 : 1}, d_ff);
}

int64_t ExpertNumbers(const ModelConfig& config) {
  const Experts& experts = config.experts;
  if (experts.count == 0) return 0;
  const int64_t expert = CheckedAdd(FfnNumbers(config, experts.d_ff), config.d_model);
  return CheckedAdd(experts.count, CheckedMul(experts.per_token, expert),
                    FfnNumbers(config, experts.shared_d_ff));
}

int64_t ActivationBytes(const ModelConfig& config, const RunShape& shape) {
  const int64_t C = config.d_model, rows = CheckedMul(shape.batch, shape.context);
  const int64_t ffn = std::max(FfnNumbers(config, config.d_ff), ExpertNumbers(config));
  const int64_t in_layer = CheckedAdd(C, std::max(AttentionNumbers(config, shape), ffn));
  const int64_t E = config.embedded_size();
  const int64_t streams = CheckedAdd(C, std::max({C, config.attention_size(), E}),
                                     config.is_parallel() ? C : int64_t{0});
  const int64_t row = CheckedAdd(streams, std::max({in_layer, config.outputs(), E}));
  const int64_t rope =
      config.position == Position::kRope ? CheckedMul(shape.context, config.rotated_size()) : 0;
  return CheckedMul(kBytesPerFloat, CheckedAdd(CheckedMul(rows, row), rope));
}

/// Bytes of one layer's cache of `positions` positions: a row for each head's keys and each head's
/// values, or the low rank's.
int64_t LayerCacheBytes(const ModelConfig& config, int64_t positions, const DataType& type) {
  if (config.latent.kv_rank > 0) return StoredBytes(type, positions, KvNumbers(config));
  return StoredBytes(type, CheckedMul(positions, int64_t{2}, config.num_kv_heads),
                     config.head_size());
}

}  // namespace

int64_t KvNumbers(const ModelConfig& config) {
  if (config.latent.kv_rank > 0) return config.latent.kv_rank + config.latent.rope;
  return CheckedMul(int64_t{2}, config.num_kv_heads, config.head_size());
}

MemoryFigures CountMemory(const ModelConfig& config, const RunShape& shape,
                          const MemoryTypes& types) {
  ModelConfig as_run = config;
  as_run.num_layers = shape.num_layers;
  MemoryFigures memory;
  for (const TensorGroup& group : TensorGroups(as_run)) {
    const int64_t bytes = group.is_vector()
                              ? StoredBytes(types.weights, 1, group.outputs, true)
                              : StoredBytes(types.weights, group.outputs, group.inputs);
    memory.weights_bytes = CheckedAdd(memory.weights_bytes, CheckedMul(group.count, bytes));
  }
  memory.activation_bytes = ActivationBytes(config, shape);
  const int64_t T = shape.context;
  const auto kinds = static_cast<int32_t>(config.layer_kinds.size());
  for (int32_t kind = 0; kind < kinds; ++kind) {
    const int64_t window = config.layer_kinds[static_cast<std::size_t>(kind)].window;
    const int64_t layers = config.LayersOfKind(kind, shape.num_layers);
    const auto add = [&](int64_t& to, int64_t positions) {
      const int64_t bytes = LayerCacheBytes(config, CheckedMul(shape.batch, positions), types.kv);
      to = CheckedAdd(to, CheckedMul(layers, bytes));
    };
    add(memory.kv_cache_bytes, T);
    add(memory.kv_cache_window_bytes, window > 0 ? std::min(window, T) : T);
  }
  return memory;
}

}  // namespace flopledger
