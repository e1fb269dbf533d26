// What training costs beside the forward pass: memory of AdamW in fp32, and FLOPs of a step.
// Closed formulas; what is counted as an activation is a list, for the answer hangs on it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "analysis/accounting/accounting.h"

namespace flopledger {

/// What is counted as an activation.
enum class ActivationList {
  k2025,   // Stanford CS336, assignment 1 (adamwAccounting), as of 2025: FFN up, activation, down
  k2026,   // as of 2026: FFN up, gate, activation, their product, down
  kFused,  // the sheet's list without scores and softmax, which fused attention does not store
  kFull    // every output that an autograd stores
};
/// The list of the sheet whose FFN this is: 2026's where there is a gate and d_ff is not 4·d_model.
ActivationList SheetOf(const ModelConfig& config);

/// One tensor that the backward pass needs again.
struct KeptTensor {
  std::string name;
  std::string formula;     // floats of one sequence
  int64_t bytes = 0;       // of one sequence, all layers
  bool in_sheet = true;    // on the list of Stanford CS336, assignment 1 (adamwAccounting)
  bool of_scores = false;  // fused attention recomputes it instead
};

struct TrainingFigures {
  int64_t parameter_bytes = 0, gradient_bytes = 0, moment_bytes = 0;  // 4·P, 4·P, 8·P
  int64_t state_bytes = 0;                                            // their sum, 16·P
  std::vector<KeptTensor> kept;
  // Bytes of one sequence, by three countings:
  int64_t sheet_bytes = 0;  // the sheet's list
  int64_t fused_bytes = 0;  // that list without the scores and their softmax
  int64_t full_bytes = 0;   // with what the sheet leaves out and an autograd stores as well
  int64_t forward_flops = 0;
  int64_t step_flops = 0;    // forward and backward: 3·forward
  int64_t six_nd_flops = 0;  // 6·P·B·T (Kaplan et al. 2020)
  int64_t update_flops = 0;  // AdamW itself, 14·P; in no other figure
};

/// Throws InputError on overflow. The convention must have components (not the rule of thumb).
TrainingFigures CountTraining(const ModelConfig& config, const RunShape& shape,
                              Convention convention);

/// The largest batch whose state and activations fit; 0 when not even one sequence does.
int64_t LargestBatch(int64_t memory_bytes, int64_t state_bytes, int64_t bytes_per_sequence);

}  // namespace flopledger
