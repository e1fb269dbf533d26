#include "model/runnable.h"

#include <fmt/format.h>

#include <algorithm>

#include "model/input_error.h"

namespace flopledger {

std::string NotComputed(const ModelConfig& config) {
  const auto any_kind = [&](auto&& has) { return std::ranges::any_of(config.layer_kinds, has); };
  const bool norms_heads = config.qk_norm != QkNorm::kNone;
  const struct {
    bool found;
    const char* what;
  } kParts[] = {
      {any_kind([](const LayerKind& kind) { return kind.experts; }), "a mixture of experts"},
      {config.latent.kv_rank > 0, "latent attention"},
      {config.ffn_limit != 0, "a clamped activation"},
      {config.norm_gain == NormGain::kNone, "norms without a gain"},
      {config.is_parallel() && config.norm_placement != NormPlacement::kBefore,
       "attention and FFN in parallel with norms after them"},
      {config.qk_norm == QkNorm::kEachHead, "norms of queries and keys with a gain for each head"},
      {norms_heads && (config.norm != Norm::kRmsNorm || config.biases.qk_norm),
       "norms of queries and keys other than RMSNorm"},
      {config.position == Position::kAlibi, "ALiBi"},
      {config.rope_scaling.kind == RopeScaling::Kind::kUnknown, "this scaling of rotary positions"},
      {config.attention_sinks, "attention sinks"},
      {config.logit_multiplier != 1, "a multiplier of the logits"},
      {config.attention_softcap != 0 || config.logit_softcap != 0, "soft caps"},
      {config.clip_qkv != 0, "clipped queries, keys and values"},
      {config.head != Head::kLm, "another head than an LM head"},
  };
  for (const auto& [found, what] : kParts) {
    if (found) return what;
  }
  return "";
}

void CheckComputed(const ModelConfig& config, const std::string& command) {
  std::string what = NotComputed(config);
  // What is timed and counted of one layer stands for all of them.
  if (command == "run" && what.empty() && config.layer_kinds.size() > 1) {
    what = "layers of several kinds; logits does";
  }
  if (what.empty()) return;
  throw InputError(fmt::format("{}: {} does not compute {}; account and predict do", config.name,
                               command, what));
}

}  // namespace flopledger
