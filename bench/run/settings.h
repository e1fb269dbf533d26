// What to run and how.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "analysis/accounting/accounting.h"
#include "analysis/ledger/flops_evidence.h"
#include "analysis/ledger/trial.h"
#include "bench/counting/kernel_choice.h"
#include "bench/machine/team.h"
#include "model/config.h"
#include "model/ops.h"

namespace flopledger {

struct Calibration;  // analysis/prediction/predict.h

struct RunSettings {
  ModelConfig model;     // the whole one
  Team* team = nullptr;  // the ranks that share each pass; null of one process
  int64_t context = 1;
  int64_t batch = 1;
  std::optional<int64_t> layers;  // absent: all, or as many as fit in memory
  int threads = 1;
  KernelChoice kernels;
  Convention convention = Convention::kMatmul;
  CountMode count = CountMode::kAuto;
  bool counters = true;  // hardware counters, where there are any
  bool trace = false;    // one more pass, traced
  int64_t warm_up = 1;   // passes before those timed, of which the first is verified
  int64_t decode = 0;    // tokens to decode after the prompt, beside the pass
  uint64_t seed = 1;
  std::optional<int64_t> max_memory_bytes;         // absent: what the machine has available
  std::shared_ptr<const Calibration> calibration;  // null: seconds are not predicted

  Shard shard() const { return team != nullptr ? team->link.shard() : Shard{}; }
  /// The model that this rank computes.
  ModelConfig OwnModel() const { return RankModel(model, shard()); }

  RunShape Shape(int64_t num_layers) const {
    return kernels.Apply(
        {.context = context, .batch = batch, .num_layers = num_layers, .shard = shard()});
  }
  RunShape OneLayer() const { return Shape(1); }

  /// The run as the ledger accounts for it, once it is known how many layers ran.
  MeasuredRun Measured(int64_t num_layers, const std::string& run_id) const {
    return {.model = model,
            .shape = Shape(num_layers),
            .kernels = FactsOf(kernels),
            .threads = threads,
            .convention = convention,
            .run_id = run_id,
            .hosts = team != nullptr ? team->hosts : 1};
  }
};

}  // namespace flopledger
