#include "analysis/accounting/parameters.h"

#include <algorithm>

#include "model/checked.h"

namespace flopledger {
namespace {

/// Collects the tensors of one model.
class TensorList {
 public:
  explicit TensorList(const ModelConfig& config) : config_(config) {
    const auto kinds = static_cast<int32_t>(config.layer_kinds.size());
    for (int32_t kind = 0; kind < kinds; ++kind) {
      const int64_t layers = config.LayersOfKind(kind, config.num_layers);
      const bool experts = config.layer_kinds[static_cast<std::size_t>(kind)].experts;
      (experts ? expert_layers_ : dense_layers_) += layers;
    }
  }

  std::vector<TensorGroup> All() {
    AddEmbeddings();
    if (config_.latent.kv_rank > 0) {
      AddLatentAttention();
    } else {
      AddLinear("attention_qkv", config_.d_model, config_.qkv_size(), config_.num_layers,
                config_.biases.qkv);
    }
    AddLinear("attention_out", config_.attention_size(), config_.d_model, config_.num_layers,
              config_.biases.attention_out);
    if (config_.attention_sinks) {
      Add("attention_sinks", 1, config_.num_heads, config_.num_layers);
    }
    AddFfn("ffn", config_.d_ff, dense_layers_, dense_layers_);
    AddExperts();
    AddNorms();
    AddHead();
    return std::move(groups_);
  }

 private:
  void Add(std::string_view component, int64_t inputs, int64_t outputs, int64_t count,
           int64_t active) {
    if (count > 0) groups_.push_back({component, inputs, outputs, count, active});
  }
  void Add(std::string_view component, int64_t inputs, int64_t outputs, int64_t count) {
    Add(component, inputs, outputs, count, count);
  }

  /// `count` matrices with their biases.
  void AddLinear(std::string_view component, int64_t inputs, int64_t outputs, int64_t count,
                 bool bias) {
    Add(component, inputs, outputs, count);
    if (bias) Add(component, 1, outputs, count);
  }

  void AddEmbeddings() {
    const int64_t C = config_.d_model, E = config_.embedded_size();
    Add("token_embedding", E, config_.vocab_size, 1);
    if (config_.position == Position::kLearned) {
      Add("position_embedding", C, CheckedAdd(config_.context_length, config_.position_offset), 1);
    }
    if (E != C) Add("embedding_projection", E, C, 2);  // one there, one back
  }

  void AddLatentAttention() {
    const LatentAttention& latent = config_.latent;
    const int64_t C = config_.d_model, NH = config_.num_heads, L = config_.num_layers;
    const int64_t queries = CheckedMul(NH, config_.head_size());
    if (latent.q_rank > 0) {
      AddLinear("attention_qkv", C, latent.q_rank, L, config_.biases.qkv);
      Add("attention_qkv", latent.q_rank, queries, L);
      Add("norms", 1, latent.q_rank, L);
    } else {
      Add("attention_qkv", C, queries, L);
    }
    AddLinear("attention_qkv", C, latent.kv_rank + latent.rope, L, config_.biases.qkv);
    Add("attention_qkv", latent.kv_rank, CheckedMul(NH, latent.nope + latent.value), L);
    Add("norms", 1, latent.kv_rank, L);
  }

  /// FFNs of `d_ff` columns, of which a token uses `active`.
  void AddFfn(std::string_view component, int64_t d_ff, int64_t count, int64_t active) {
    const int64_t C = config_.d_model, ups = config_.has_gate() ? 2 : 1;
    Add(component, C, d_ff, CheckedMul(ups, count), CheckedMul(ups, active));
    Add(component, d_ff, C, count, active);
    if (config_.biases.ffn_up) {
      Add(component, 1, d_ff, CheckedMul(ups, count), CheckedMul(ups, active));
    }
    if (config_.biases.ffn_down) Add(component, 1, C, count, active);
  }

  void AddExperts() {
    const Experts& experts = config_.experts;
    if (experts.count == 0) return;
    const int64_t C = config_.d_model, layers = expert_layers_;
    AddFfn("experts", experts.d_ff, CheckedMul(layers, experts.count),
           CheckedMul(layers, experts.per_token));
    if (experts.shared_d_ff > 0) AddFfn("shared_experts", experts.shared_d_ff, layers, layers);
    if (experts.shared_gate) Add("shared_experts", C, 1, layers);
    AddLinear("router", C, experts.count, layers, experts.router_bias);
  }

  /// `count` norms over rows of `n`.
  void AddNorm(int64_t n, int64_t count, bool bias) {
    if (config_.norm_gain == NormGain::kNone) return;
    Add("norms", 1, n, bias ? 2 * count : count);
  }

  void AddNorms() {
    const int64_t L = config_.num_layers, HS = config_.head_size();
    int64_t in_block = config_.block == BlockOrder::kParallel ? 1 : 2;
    if (config_.norm_placement == NormPlacement::kBoth) in_block = 4;
    const int64_t outside = int64_t{config_.final_norm} + int64_t{config_.embedding_norm};
    AddNorm(config_.d_model, CheckedAdd(CheckedMul(in_block, L), outside), config_.biases.norm);
    switch (config_.qk_norm) {
      case QkNorm::kNone: break;
      case QkNorm::kHead: AddNorm(HS, 2 * L, config_.biases.qk_norm); break;
      case QkNorm::kEachHead:
      case QkNorm::kRow:
        AddNorm(CheckedMul(config_.num_heads, HS), L, config_.biases.qk_norm);
        AddNorm(CheckedMul(config_.num_kv_heads, HS), L, config_.biases.qk_norm);
        break;
    }
  }

  void AddHead() {
    const int64_t V = config_.outputs(), E = config_.embedded_size();
    if (config_.has_own_lm_head()) Add("lm_head", E, V, 1);
    if (config_.head == Head::kLm && config_.biases.lm_head) Add("lm_head", 1, V, 1);
    if (config_.head == Head::kScore) Add("score_head", E, config_.num_labels, 1);
  }

  const ModelConfig& config_;
  int64_t dense_layers_ = 0, expert_layers_ = 0;
  std::vector<TensorGroup> groups_;
};

}  // namespace

std::vector<TensorGroup> TensorGroups(const ModelConfig& config) {
  // The methods of a config multiply unchecked; what Validate has seen does not overflow.
  CheckedMul(CheckedAdd(config.num_heads, CheckedMul(int64_t{2}, config.num_kv_heads)),
             std::max(config.head_size(), config.value_size()));
  return TensorList(config).All();
}

}  // namespace flopledger
