#include "analysis/accounting/inference.h"

#include <algorithm>
#include <functional>
#include <set>

#include "model/checked.h"

namespace flopledger {
namespace {

/// Of the routed experts' parameters, those of as many as `rows` tokens can choose.
int64_t ExpertsRead(const ModelConfig& config, int64_t parameters, int64_t rows) {
  const Experts& experts = config.experts;
  const int64_t chosen = CheckedMul(rows, experts.per_token);
  return parameters / experts.count * std::min(chosen, experts.count);
}

/// Bytes of weights that `rows` tokens at `places` positions read.
int64_t WeightBytes(const ModelConfig& config, int64_t rows, int64_t places) {
  int64_t floats = 0;
  for (const NamedCount& part : CountParameters(config).components) {
    int64_t read = part.value;
    // A tied table is the logits' matrix, and is read whole.
    if (part.name == "token_embedding" && !(config.tie_embeddings && config.head == Head::kLm)) {
      read = std::min(read, CheckedMul(rows, config.embedded_size()));
    }
    if (part.name == "experts") read = ExpertsRead(config, part.value, rows);
    if (part.name == "position_embedding" && read > 0) read = CheckedMul(places, config.d_model);
    floats = CheckedAdd(floats, read);
  }
  return CheckedMul(kBytesPerFloat, floats);
}

/// The products of one more token in each sequence, at position T: it attends to T of them (of a
/// window, under `causal`, to no more than its own).
int64_t DecodeFlops(const ModelConfig& config, const RunShape& shape, Convention convention) {
  RunShape step{.context = 1, .batch = shape.batch, .num_layers = shape.num_layers};
  step.past = shape.context - 1;
  const Convention products =
      convention == Convention::kCausal ? Convention::kCausal : Convention::kMatmul;
  int64_t flops = 0;
  for (const Op& op : ForwardOps(config, step)) {
    flops = CheckedAdd(flops, OpFlops(config, step, op, products));
  }
  return flops;
}

}  // namespace

InferenceFigures CountInference(const ModelConfig& config, const RunShape& shape,
                                Convention convention) {
  const int64_t B = shape.batch, T = shape.context, rows = CheckedMul(B, T);
  InferenceFigures figures;
  figures.parameters = CountParameters(config).total;
  figures.cache_bytes_per_token = CheckedMul(kBytesPerFloat, shape.num_layers, KvNumbers(config));
  figures.cache_bytes = CheckedMul(figures.cache_bytes_per_token, rows);
  figures.full_cache_bytes =
      CheckedMul(figures.cache_bytes_per_token, CheckedMul(B, config.context_length));
  figures.prefill = {rows, CountFlops(config, shape, convention).total,
                     WeightBytes(config, rows, T), figures.cache_bytes};
  figures.decode = {B, DecodeFlops(config, shape, convention), WeightBytes(config, B, 1),
                    figures.cache_bytes};
  return figures;
}

std::vector<ModelConfig> GroupedVariants(const ModelConfig& config) {
  if (config.latent.kv_rank > 0) return {config};  // its cache has no heads
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
