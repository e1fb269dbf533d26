#include "analysis/accounting/inference.h"

#include <algorithm>
#include <functional>
#include <set>

#include "model/checked.h"

namespace flopledger {
namespace {

constexpr int64_t kTwo = 2, kBytesPerFloat = 4;

/// Bytes of weights that `rows` tokens at `places` positions read.
int64_t WeightBytes(const ModelConfig& config, int64_t rows, int64_t places) {
  int64_t floats = 0;
  for (const NamedCount& part : CountParameters(config).components) {
    int64_t read = part.value;
    // A tied table is the logits' matrix, and is read whole.
    if (part.name == "token_embedding" && !config.tie_embeddings) {
      read = std::min(read, CheckedMul(rows, config.d_model));
    }
    if (part.name == "position_embedding" && read > 0) read = CheckedMul(places, config.d_model);
    floats = CheckedAdd(floats, read);
  }
  return CheckedMul(kBytesPerFloat, floats);
}

}  // namespace

InferenceFigures CountInference(const ModelConfig& config, const RunShape& shape,
                                Convention convention) {
  const int64_t B = shape.batch, T = shape.context, L = shape.num_layers, C = config.d_model,
                F = config.d_ff, rows = CheckedMul(B, T);
  const int64_t ffn = CheckedMul(int64_t{config.has_gate() ? 3 : 2}, F);
  const int64_t matrices =
      CheckedAdd(CheckedMul(L, C, CheckedAdd(config.qkv_size(), C, ffn)),
                 CheckedMul(config.vocab_size, C));  // that each token is multiplied by

  InferenceFigures figures;
  figures.parameters = CountParameters(config).total;
  figures.cache_bytes_per_token =
      CheckedMul(kTwo, kBytesPerFloat, L, CheckedMul(config.num_kv_heads, config.head_size()));
  figures.cache_bytes = CheckedMul(figures.cache_bytes_per_token, rows);
  figures.full_cache_bytes =
      CheckedMul(figures.cache_bytes_per_token, CheckedMul(B, config.context_length));
  figures.prefill = {rows, CountFlops(config, shape, convention).total,
                     WeightBytes(config, rows, T), figures.cache_bytes};
  // q·kᵀ and the weighted sum of one query over T positions: 2·2·T·C in each layer.
  const int64_t attention = CheckedMul(kTwo * kTwo, L, T, C);
  figures.decode = {B, CheckedMul(B, CheckedAdd(CheckedMul(kTwo, matrices), attention)),
                    WeightBytes(config, B, 1), figures.cache_bytes};
  return figures;
}

std::vector<ModelConfig> GroupedVariants(const ModelConfig& config) {
  std::set<int64_t, std::greater<>> divisors;
  for (int64_t d = 1; d <= config.num_heads / d; ++d) {
    if (config.num_heads % d == 0) divisors.insert({d, config.num_heads / d});
  }
  std::vector<ModelConfig> variants;
  for (const int64_t heads : divisors) {
    variants.push_back(config);
    variants.back().num_kv_heads = heads;
  }
  return variants;
}

}  // namespace flopledger
