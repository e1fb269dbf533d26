#include "analysis/accounting/training.h"

#include "model/checked.h"

namespace flopledger {
namespace {

std::vector<KeptTensor> KeptTensors(const ModelConfig& config, int64_t T, int64_t L) {
  const int64_t C = config.d_model, NH = config.num_heads, F = config.d_ff, V = config.vocab_size,
                QKV = config.qkv_size(),
                QK = CheckedMul(NH + config.num_kv_heads, config.head_size());
  std::vector<KeptTensor> kept;
  const auto add = [&](const char* name, const char* formula, int64_t floats) -> KeptTensor& {
    kept.push_back({name, formula, CheckedMul(kBytesPerFloat, floats), true, false});
    return kept.back();
  };
  add("two norms of each block", "L·2·T·C", CheckedMul(L, int64_t{2}, T, C));
  add("queries, keys and values", "L·T·(NH+2·NKV)·HS", CheckedMul(L, T, QKV));
  add("scores", "L·NH·T²", CheckedMul(L, NH, T, T)).of_scores = true;
  add("softmax", "L·NH·T²", CheckedMul(L, NH, T, T)).of_scores = true;
  add("weighted sums of values", config.attention_size() == C ? "L·T·C" : "L·T·NH·HS",
      CheckedMul(L, T, config.attention_size()));
  add("output projection", "L·T·C", CheckedMul(L, T, C));
  const bool sheet_2026 = SheetOf(config) == ActivationList::k2026;
  if (sheet_2026) {
    add("FFN up and gate", "L·2·T·F", CheckedMul(L, int64_t{2}, T, F));
    add("FFN activation and its product with up", "L·2·T·F", CheckedMul(L, int64_t{2}, T, F));
  } else {
    add("FFN up", "L·T·F", CheckedMul(L, T, F));
    add("FFN activation", "L·T·F", CheckedMul(L, T, F));
  }
  add("FFN down", "L·T·C", CheckedMul(L, T, C));
  if (config.final_norm) add("final norm", "T·C", CheckedMul(T, C));
  add("logits", "T·V", CheckedMul(T, V));
  add("cross-entropy", "T·V", CheckedMul(T, V));

  const auto add_besides = [&](const char* name, const char* formula, int64_t floats) {
    add(name, formula, floats).in_sheet = false;
  };
  if (config.has_gate() && !sheet_2026) {
    add_besides("FFN: second up matrix and its product with the gate", "L·2·T·F",
                CheckedMul(L, int64_t{2}, T, F));
  }
  if (config.position == Position::kRope) {
    add_besides("rotated queries and keys", "L·T·(NH+NKV)·HS", CheckedMul(L, T, QK));
  }
  add_besides("residual stream after each half block", "L·2·T·C", CheckedMul(L, int64_t{2}, T, C));
  add_besides("embedded tokens", "T·C", CheckedMul(T, C));
  return kept;
}

}  // namespace

ActivationList SheetOf(const ModelConfig& config) {
  const bool narrow = config.has_gate() && config.d_ff != CheckedMul(int64_t{4}, config.d_model);
  return narrow ? ActivationList::k2026 : ActivationList::k2025;
}

TrainingFigures CountTraining(const ModelConfig& config, const RunShape& shape,
                              Convention convention) {
  if (config.has_experts() || config.latent.kv_rank > 0 || config.embedding_size > 0) {
    throw InputError(config.name +
                     ": what training keeps is not derived for experts, latent "
                     "attention or embeddings of another size");
  }
  TrainingFigures training;
  const int64_t P = CountParameters(config).total;
  training.parameter_bytes = training.gradient_bytes = CheckedMul(kBytesPerFloat, P);
  training.moment_bytes = CheckedMul(int64_t{2}, kBytesPerFloat, P);
  training.state_bytes =
      CheckedAdd(training.parameter_bytes, training.gradient_bytes, training.moment_bytes);
  training.kept = KeptTensors(config, shape.context, shape.num_layers);
  for (const KeptTensor& tensor : training.kept) {
    training.full_bytes = CheckedAdd(training.full_bytes, tensor.bytes);
    if (!tensor.in_sheet) continue;
    training.sheet_bytes = CheckedAdd(training.sheet_bytes, tensor.bytes);
    if (!tensor.of_scores) training.fused_bytes = CheckedAdd(training.fused_bytes, tensor.bytes);
  }
  // The backward pass multiplies each product's gradient once by the weights and once by the
  // inputs: twice the forward pass (Kaplan et al. 2020, section 2.1; the sheet takes it over).
  training.forward_flops = CountFlops(config, shape, convention).total;
  training.step_flops = CheckedMul(int64_t{3}, training.forward_flops);
  training.six_nd_flops = CheckedMul(int64_t{6}, P, CheckedMul(shape.batch, shape.context));
  // Loshchilov & Hutter 2019, algorithm 2, a parameter: m 3; v 4; the root, the sum with ε, the
  // quotient, times the rate, the difference 5; decay 2.
  training.update_flops = CheckedMul(int64_t{14}, P);
  return training;
}

int64_t LargestBatch(int64_t memory_bytes, int64_t state_bytes, int64_t bytes_per_sequence) {
  return memory_bytes <= state_bytes ? 0 : (memory_bytes - state_bytes) / bytes_per_sequence;
}

}  // namespace flopledger
