// A forward pass: executes the list of model/ops with the kernels, calling an observer around each
// op. Buffers are allocated once, in the constructor; Run allocates nothing, with one exception:
// products by Eigen (the "eigen" backend, and "packed" under reference attention) take Eigen's own
// packing buffers from the heap where they exceed its EIGEN_STACK_ALLOCATION_LIMIT of 128 KiB.
// It computes the models that model/runnable.h does not name.
// Legend: R = B·T rows, C d_model, Q = (NH + 2·NKV)·HS, A = NH·HS, F d_ff, V vocabulary, E
// embedding_size.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "kernels/attention.h"
#include "kernels/attention_cached.h"
#include "kernels/attention_fused.h"
#include "kernels/matmul.h"
#include "kernels/pointwise.h"
#include "kernels/rope.h"
#include "kernels/rowwise.h"
#include "model/collectives.h"
#include "model/kv_cache.h"
#include "model/ops.h"
#include "model/rope.h"
#include "model/weights.h"

namespace flopledger {

/// What one execution of an op reads and writes. An op that works in place has y.data == a.data.
template <class Scalar>
struct Operands {
  ConstMatrixView<Scalar> a = {};   // the activations that it reads; none for the embedding
  ConstMatrixView<Scalar> b = {};   // a gain [1, n], the positions, or the second activation; of a
                                    // product with an epilogue, the gate or what it adds onto
  ConstMatrixView<Scalar> c = {};   // the keys' gain, where b is that of the queries
  WeightView<const Scalar> w = {};  // a product's weight, or the embedding's table
  const Scalar* bias = nullptr;     // added to each row of y, or null
  CacheView<Scalar> cache = {};     // the layer's, for attention where there is one
  AttentionShape attention = {};    // of attention and RoPE: the layer's
  MatrixView<Scalar> y = {};        // what it writes
};

/// An observer that does nothing. Others have the same two members.
struct NoObserver {
  template <class Scalar>
  void Before(const Op&, int64_t /*layer*/, const Operands<Scalar>&) {}
  template <class Scalar>
  void After(const Op&, int64_t /*layer*/, const Operands<Scalar>&) {}
};

/// The kernels' name of the FFN's function.
inline Nonlinearity NonlinearityOf(Activation activation) {
  switch (activation) {
    case Activation::kGeluTanh: return Nonlinearity::kGeluTanh;
    case Activation::kGeluErf: return Nonlinearity::kGeluErf;
    case Activation::kGeluSigmoid: return Nonlinearity::kGeluSigmoid;
    case Activation::kRelu: return Nonlinearity::kRelu;
    case Activation::kReluSquared: return Nonlinearity::kReluSquared;
    case Activation::kSilu: return Nonlinearity::kSilu;
  }
  FL_CHECK(false, static_cast<int>(activation));
}

template <class Scalar>
class Forward {
 public:
  /// Keeps references to config and weights, which must outlive it. `shape` gives how many of the
  /// weights' layers are run. The config must have passed CheckComputed, the shape
  /// ValidateRunShape. Weights are packed if the backend asks for it, plain otherwise. The number
  /// of OpenMP threads must not grow afterwards. With a cache (which must outlive it too),
  /// attention leaves its keys and values there; a shape with a past, of one position, attends to
  /// what is there before it.
  Forward(const ModelConfig& config, const Weights<Scalar>& weights, const RunShape& shape,
          const MatmulBackend<Scalar>& matmul, KvCache<Scalar>* cache = nullptr)
      : config_(config),
        weights_(weights),
        shape_(shape),
        matmul_(matmul),
        cache_(cache),
        attention_{.batch = shape.batch,
                   .context = shape.context,
                   .num_heads = config.num_heads,
                   .num_kv_heads = config.num_kv_heads,
                   .head_size = config.head_size(),
                   .score_scale = config.attention_multiplier},
        ops_(ForwardOps(config, shape)) {
    FL_CHECK(shape.num_layers <= static_cast<int64_t>(weights.layers.size()), shape.num_layers,
             weights.layers.size());
    FL_CHECK(shape.past == 0 || cache != nullptr);
    FL_CHECK(!shape.fused_epilogues || matmul.fuses_epilogues);
    const int64_t R = shape.batch * shape.context, C = config.d_model;
    const auto stride = OddLinesStride<Scalar>;
    stream_ = Matrix<Scalar>(R, stride(C));
    normed_ = Matrix<Scalar>(R, stride(NormedColumns()));
    if (config.is_parallel()) ffn_normed_ = Matrix<Scalar>(R, stride(C));
    shared_ = Matrix<Scalar>(R, SharedColumns(stride));
    projected_ = Shared(0, C);
    // What is summed over ranks is one message.
    if (!shape.shard.is_whole()) projected_.stride = C;
    embedded_ = Shared(0, config.embedded_size());
    qkv_ = Shared(stride(C), config.qkv_size());
    hidden_ = Shared(stride(C), config.d_ff);
    if (config.has_gate()) gate_ = Shared(stride(C) + stride(config.d_ff), config.d_ff);
    logits_ = {shared_.data(), R, config.outputs(), config.outputs()};
    AllocateAttention();
    AllocateMessages();
    if (config.position == Position::kRope) FillRopeTable();
  }

  /// The distinct ops, in order; ForEachExecution unrolls them as Run executes them.
  std::span<const Op> ops() const { return ops_; }
  const ModelConfig& config() const { return config_; }
  const RunShape& shape() const { return shape_; }
  const RopeTable<Scalar>& rope() const { return rope_; }

  /// The ranks that share the pass, before Run, where the shape says that there are several. `link`
  /// must outlive it. Each has RankModel's config and weights, and runs the same shape but for its
  /// rank.
  void Connect(Link& link) { link_ = &link; }
  Link& link() const { return *link_; }

  /// The shape of attention in `layer`, which executes `op`.
  AttentionShape AttentionOf(const Op& op, int64_t layer) const {
    AttentionShape shape = attention_;
    if (op.window > 0) shape.window = op.window;
    if (config_.scale_by_layer) shape.score_scale = shape.scale() / static_cast<double>(layer + 1);
    return shape;
  }

  /// Logits at every position of the last Run: [R, V]; of several ranks the rank's own columns,
  /// unless they were gathered here.
  ConstMatrixView<Scalar> logits() const {
    return gathered_.size() > 0 ? ConstMatrixView<Scalar>(gathered_.view()) : logits_;
  }

  /// Bytes of the activations: what the accounting calls activation memory.
  int64_t ActivationBytes() const {
    const int64_t columns = config_.d_model * (config_.is_parallel() ? 2 : 1) + NormedColumns() +
                            SharedColumns(std::identity());
    return static_cast<int64_t>(sizeof(Scalar)) *
           (stream_.rows() * columns + rope_.cosine.size() + rope_.sine.size());
  }

  /// Bytes of the kernels' own working memory: attention's tiles, what makes the activations' rows
  /// an odd number of cache lines, and what other ranks send.
  int64_t ScratchBytes() const {
    const int64_t elements = stream_.size() + normed_.size() + ffn_normed_.size() + shared_.size() +
                             rope_.cosine.size() + rope_.sine.size() + attention_scratch_.size() +
                             received_.size() + gathered_.size();
    return static_cast<int64_t>(sizeof(Scalar)) * elements - ActivationBytes();
  }

  /// Moves a shape that has a past to another: the position that the next Run computes.
  void MoveTo(int64_t past) {
    FL_CHECK(shape_.past > 0 && past > 0 && past < cache_->capacity(), past);
    shape_.past = past;
    ops_ = ForwardOps(config_, shape_);
  }

  /// One pass over tokens [R], sequence after sequence, each in [0, V).
  template <class Observer>
  void Run(std::span<const int32_t> tokens, Observer& observer) {
    FL_CHECK(static_cast<int64_t>(tokens.size()) == stream_.rows(), tokens.size(), stream_.rows());
    FL_CHECK(shape_.shard.is_whole() || (link_ != nullptr && link().shard() == shape_.shard));
    ForEachExecution(config_, ops_, shape_.num_layers, [&](const Op& op, int64_t layer) {
      const Operands<Scalar> operands = Bind(op, layer);
      observer.Before(op, layer, operands);
      Execute(op, operands, tokens);
      observer.After(op, layer, operands);
    });
  }

  /// The operands of `op` in `layer` (which is ignored outside the layers).
  Operands<Scalar> Bind(const Op& op, int64_t layer) {
    static const LayerWeights<Scalar> kNoLayer;
    const LayerWeights<Scalar>& w =
        op.per_layer ? weights_.layers[static_cast<std::size_t>(layer)] : kNoLayer;
    const auto stream = Stream(), attended = Attended();
    const AttentionShape attention = AttentionOf(op, layer);
    switch (op.kind) {
      case OpKind::kEmbedding:
        return {.b = ProjectsEmbedding() ? ConstMatrixView<Scalar>{} : Positions(),
                .w = weights_.token_embedding.view(),
                .y = ProjectsEmbedding() ? embedded_ : stream};
      case OpKind::kNorm: return BindNorm(op, w);
      case OpKind::kQkNorm:
        return {.a = qkv_,
                .b = w.query_norm_gain.matrix(),
                .c = w.key_norm_gain.matrix(),
                .attention = attention,
                .y = qkv_};
      case OpKind::kMatmul: return BindProduct(op, w);
      case OpKind::kRope: return {.a = qkv_, .attention = attention, .y = qkv_};
      case OpKind::kAttentionScores: return {.a = qkv_, .attention = attention, .y = scores_};
      case OpKind::kAttentionSoftmax: return {.a = scores_, .attention = attention, .y = scores_};
      case OpKind::kAttentionValues:
        return {
            .a = scores_, .b = qkv_, .cache = Cache(layer), .attention = attention, .y = attended};
      case OpKind::kAttention:
        return {.a = qkv_, .cache = Cache(layer), .attention = attention, .y = attended};
      case OpKind::kActivation:
        if (config_.has_gate()) return {.a = gate_, .b = hidden_, .y = gate_};
        return {.a = hidden_, .y = hidden_};
      case OpKind::kResidual: return {.a = stream, .b = projected_, .y = stream};
      case OpKind::kAllReduce: return {.a = projected_, .y = projected_};
      case OpKind::kLogitsGather:
        return {.a = logits_, .y = gathered_.size() > 0 ? gathered_.view() : logits_};
      case OpKind::kRouting:
      case OpKind::kCombine: break;  // model/runnable.h names the models that have these
    }
    FL_CHECK(false, op.name());
  }

  /// Computes one op; tokens [R] are read by the embedding alone.
  void Execute(const Op& op, const Operands<Scalar>& o, std::span<const int32_t> tokens) {
    const auto eps = Scalar(config_.norm_eps);
    switch (op.kind) {
      case OpKind::kEmbedding:
        return Embed<Scalar>({.tokens = tokens,
                              .table = o.w,
                              .scale = config_.embedding_multiplier,
                              .positions = o.b,
                              .context = shape_.context,
                              .y = o.y});
      case OpKind::kNorm:
        if (config_.norm == Norm::kRmsNorm) return RmsNorm(o.a, o.b, eps, o.y);
        return LayerNorm(o.a, o.b.data, o.bias, eps, o.y);
      case OpKind::kQkNorm: return NormQueriesAndKeys(o, eps);
      case OpKind::kMatmul:
        matmul_.run({.x = o.a,
                     .w = o.w,
                     .bias = o.bias,
                     .y = o.y,
                     .epilogue = EpilogueOf(op),
                     .nonlinearity = NonlinearityOf(config_.ffn.activation),
                     .gate = o.b});
        if (op.id == OpId::kEmbeddingProjection) AddPositions(o.b, shape_.context, o.y);
        return;
      case OpKind::kRope: return ApplyRope(o.attention, rope_, o.y, shape_.past);
      case OpKind::kAttentionScores: return AttentionScores(o.attention, PlainMatmul(), o.a, o.y);
      case OpKind::kAttentionSoftmax: return AttentionSoftmax(o.attention, o.y);
      case OpKind::kAttentionValues:
        AppendKv(o, o.b);
        return AttentionValues(o.attention, PlainMatmul(), o.a, o.b, o.y);
      case OpKind::kAttention:
        AppendKv(o, o.a);
        if (shape_.past > 0) {
          return AttentionCached<Scalar>(
              o.attention, shape_.past,
              {.qkv = o.a, .cache = o.cache, .out = o.y, .scratch = attention_scratch_.view()});
        }
        return AttentionFused(o.attention, o.a, o.y, attention_scratch_.view());
      case OpKind::kActivation:
        if (config_.has_gate()) return ActivateGate(Function(), o.y, o.b);
        return Activate(Function(), o.y);
      case OpKind::kResidual: return AddResidual(o.y, o.b, config_.residual_multiplier);
      case OpKind::kAllReduce: return AllReduceSum<Scalar>(link(), o.y, received_.view());
      case OpKind::kLogitsGather: return GatherColumns<Scalar>(link(), o.a, o.y, received_.view());
      case OpKind::kRouting:
      case OpKind::kCombine: FL_CHECK(false, op.name());
    }
  }

 private:
  bool ProjectsEmbedding() const { return config_.embedded_size() != config_.d_model; }

  bool NormsBefore() const {
    return config_.norm_placement == NormPlacement::kBefore ||
           config_.norm_placement == NormPlacement::kBoth;
  }

  Nonlinearity Function() const { return NonlinearityOf(config_.ffn.activation); }

  /// Columns of normed_: of a norm's output, of attention's, and of what a projected embedding's
  /// logits are made of.
  int64_t NormedColumns() const {
    return std::max({config_.d_model, config_.attention_size(), config_.embedded_size()});
  }

  /// Columns of the shared buffer, for matrices whose rows of n elements are stride(n) apart.
  template <class Stride>
  int64_t SharedColumns(Stride stride) const {
    const bool stores_scores = !shape_.fused_attention && shape_.past == 0;
    const int64_t attention =
        stride(config_.qkv_size()) + (stores_scores ? config_.num_heads * shape_.context : 0);
    const int64_t ffn = (config_.has_gate() ? 2 : 1) * stride(config_.d_ff);
    return std::max({stride(config_.d_model) + std::max(attention, ffn), config_.outputs(),
                     stride(config_.embedded_size())});
  }

  /// Activations [R, cols] in the shared buffer, behind `before` elements for each of their rows.
  MatrixView<Scalar> Shared(int64_t before, int64_t cols) {
    const int64_t R = shared_.rows(), stride = OddLinesStride<Scalar>(cols);
    FL_CHECK(before + stride <= shared_.cols(), before, cols, shared_.cols());
    return {shared_.data() + R * before, R, cols, stride};
  }

  void AllocateAttention() {
    if (shape_.past > 0) {
      attention_scratch_ = Matrix<Scalar>(AttentionScratchRows(), cache_->capacity());
    } else if (shape_.fused_attention) {
      attention_scratch_ =
          Matrix<Scalar>(AttentionScratchRows(), FusedScratch<Scalar>::Size(attention_));
    } else {
      const auto stride = OddLinesStride<Scalar>;
      const int64_t before = stride(config_.d_model) + stride(config_.qkv_size());
      const int64_t T = shape_.context;
      scores_ = {shared_.data() + stream_.rows() * before, attention_.products() * T, T, T};
    }
  }

  /// Room for what other ranks send, and for all logits where they are gathered here.
  void AllocateMessages() {
    const Shard& shard = shape_.shard;
    const int64_t R = stream_.rows();
    int64_t received = AllReduceScratch(R * config_.d_model, shard.ranks);
    if (shape_.gathers_logits && !shard.is_whole() && shard.rank == 0) {
      gathered_ = Matrix<Scalar>(R, config_.vocab_size);
      received = std::max(received, R * config_.outputs());
    }
    if (received > 0) received_ = Matrix<Scalar>(1, received);
  }

  /// The rotation of every position. In a cache, each position's is that of the length at which it
  /// came: it is not turned again when the sequence grows.
  void FillRopeTable() {
    const int64_t positions = shape_.past > 0 ? cache_->capacity() : shape_.context;
    rope_ = RopeTable<Scalar>(
        positions, config_.rotated_size() / 2,
        config_.rope_pairs == RopePairs::kHalves ? RopeLayout::kHalves : RopeLayout::kAdjacent);
    RopeRotation rotation = RotationOf(config_, shape_.context);
    for (int64_t t = 0; t < positions; ++t) {
      if (shape_.past > 0) rotation = RotationOf(config_, t + 1);
      rope_.Set(t, rotation.frequencies, rotation.magnitude);
    }
  }

  MatrixView<Scalar> Stream() {
    return stream_.view().block(0, 0, stream_.rows(), config_.d_model);
  }
  /// The first columns of normed_: a norm's output, or (attended) that of attention.
  MatrixView<Scalar> Normed(int64_t cols) {
    return normed_.view().block(0, 0, normed_.rows(), cols);
  }
  MatrixView<Scalar> Attended() { return Normed(config_.attention_size()); }

  /// What the FFN reads. That of a parallel block outlives attention.
  MatrixView<Scalar> FfnInput() {
    if (!NormsBefore()) return Stream();
    if (!config_.is_parallel()) return Normed(config_.d_model);
    return ffn_normed_.view().block(0, 0, ffn_normed_.rows(), config_.d_model);
  }
  /// What queries, keys and values are made of: with one norm for both halves, what the FFN reads.
  MatrixView<Scalar> AttentionInput() {
    if (!NormsBefore()) return Stream();
    return config_.block == BlockOrder::kParallel ? FfnInput() : Normed(config_.d_model);
  }
  /// The input of the last product, or of the projection before it.
  MatrixView<Scalar> HeadInput() {
    return config_.final_norm && !ProjectsEmbedding() ? Normed(config_.d_model) : Stream();
  }

  Operands<Scalar> BindNorm(const Op& op, const LayerWeights<Scalar>& w) {
    const auto norm = [](MatrixView<Scalar> a, const Weight<Scalar>& gain,
                         const Weight<Scalar>& bias, MatrixView<Scalar> y) {
      return Operands<Scalar>{.a = a, .b = gain.matrix(), .bias = bias.data(), .y = y};
    };
    const auto stream = Stream();
    // A norm after a half stands before its residual, or after it.
    const auto after =
        config_.norm_placement == NormPlacement::kAfterResidual ? stream : projected_;
    switch (op.id) {
      case OpId::kEmbeddingNorm:
        return norm(stream, weights_.embedding_norm_gain, weights_.embedding_norm_bias, stream);
      case OpId::kAttentionNorm:
        return norm(stream, w.attention_norm_gain, w.attention_norm_bias, AttentionInput());
      case OpId::kAttentionPostNorm:
        return norm(after, w.attention_post_norm_gain, w.attention_post_norm_bias, after);
      case OpId::kFfnNorm: return norm(stream, w.ffn_norm_gain, w.ffn_norm_bias, FfnInput());
      case OpId::kFfnPostNorm:
        return norm(after, w.ffn_post_norm_gain, w.ffn_post_norm_bias, after);
      case OpId::kFinalNorm:
        return norm(stream, weights_.final_norm_gain, weights_.final_norm_bias, HeadInput());
      default: FL_CHECK(false, op.name());
    }
  }

  Operands<Scalar> BindProduct(const Op& op, const LayerWeights<Scalar>& w) {
    static const Weight<Scalar> kNoBias;
    const auto product = [](MatrixView<Scalar> a, const Weight<Scalar>& weight,
                            const Weight<Scalar>& bias, MatrixView<Scalar> y) {
      return Operands<Scalar>{.a = a, .w = weight.view(), .bias = bias.data(), .y = y};
    };
    // A product that the residual follows, or that adds onto the stream itself.
    const auto onto_stream = [&](MatrixView<Scalar> a, const Weight<Scalar>& weight,
                                 const Weight<Scalar>& bias) {
      if (op.epilogue != OpEpilogue::kResidual) return product(a, weight, bias, projected_);
      auto added = product(a, weight, bias, Stream());
      added.b = Stream();
      return added;
    };
    switch (op.id) {
      case OpId::kEmbeddingProjection: {
        auto projection = product(embedded_, weights_.embedding_projection, kNoBias, Stream());
        projection.b = Positions();
        return projection;
      }
      case OpId::kAttentionQkv:
        return product(AttentionInput(), w.attention_qkv, w.attention_qkv_bias, qkv_);
      case OpId::kAttentionOut:
        return onto_stream(Attended(), w.attention_out, w.attention_out_bias);
      case OpId::kFfnGate: return product(FfnInput(), w.ffn_gate, w.ffn_gate_bias, gate_);
      case OpId::kFfnUp: {
        auto up = product(FfnInput(), w.ffn_up, w.ffn_up_bias, hidden_);
        if (op.epilogue == OpEpilogue::kActivation && config_.has_gate()) up.b = gate_;
        return up;
      }
      case OpId::kFfnDown:
        return onto_stream(config_.has_gate() && !shape_.fused_epilogues ? gate_ : hidden_,
                           w.ffn_down, w.ffn_down_bias);
      case OpId::kHeadProjection:
        return product(HeadInput(), weights_.head_projection, kNoBias,
                       Normed(config_.embedded_size()));
      case OpId::kLmHead:
        return product(ProjectsEmbedding() ? Normed(config_.embedded_size()) : HeadInput(),
                       weights_.Unembedding(), weights_.lm_head_bias, logits_);
      default: FL_CHECK(false, op.name());
    }
  }

  /// The learned positions from the first of this shape on, if there are any.
  ConstMatrixView<Scalar> Positions() const {
    const ConstMatrixView<Scalar> all = weights_.position_embedding.matrix();
    if (all.data == nullptr) return all;
    const int64_t first = config_.position_offset + shape_.past;
    return all.block(first, 0, all.rows - first, all.cols);
  }

  CacheView<Scalar> Cache(int64_t layer) {
    return cache_ != nullptr ? cache_->layer(layer) : CacheView<Scalar>{};
  }

  void AppendKv(const Operands<Scalar>& o, ConstMatrixView<Scalar> qkv) const {
    if (o.cache.keys != nullptr) AppendToCache(o.attention, shape_.past, qkv, o.cache);
  }

  void NormQueriesAndKeys(const Operands<Scalar>& o, Scalar eps) const {
    const int64_t queries = attention_.num_heads * attention_.head_size;
    const int64_t keys = attention_.num_kv_heads * attention_.head_size;
    const auto q = o.y.block(0, 0, o.y.rows, queries), k = o.y.block(0, queries, o.y.rows, keys);
    RmsNorm<Scalar>(q, o.b, eps, q);
    RmsNorm<Scalar>(k, o.c, eps, k);
  }

  /// What reference attention computes its products with: activations come unpacked.
  MatmulFn<Scalar> PlainMatmul() const {
    return matmul_.packs_weights ? FindMatmul<Scalar>("eigen")->run : matmul_.run;
  }

  Epilogue EpilogueOf(const Op& op) const {
    if (op.epilogue == OpEpilogue::kNone) return Epilogue::kNone;
    if (op.epilogue == OpEpilogue::kResidual) return Epilogue::kResidual;
    return config_.has_gate() ? Epilogue::kGate : Epilogue::kActivate;
  }

  const ModelConfig& config_;
  const Weights<Scalar>& weights_;
  RunShape shape_;
  const MatmulBackend<Scalar> matmul_;
  KvCache<Scalar>* cache_;
  Link* link_ = nullptr;
  const AttentionShape attention_;  // what all layers share
  std::vector<Op> ops_;
  RopeTable<Scalar> rope_;
  // Rows of activations that a product reads lie OddLinesStride apart.
  Matrix<Scalar> stream_;         // [R, C] the residual stream
  Matrix<Scalar> normed_;         // [R, max(C, A, E)] a norm's output, then attention's
  Matrix<Scalar> ffn_normed_;     // [R, C] what the FFN reads, of parallel blocks only
  Matrix<Scalar> shared_;         // attention, the FFN and the logits, one after the other
  MatrixView<Scalar> projected_;  // [R, C] what is added to the stream next
  MatrixView<Scalar> embedded_;   // [R, E] rows of the table, where they are yet to be projected
  MatrixView<Scalar> qkv_;        // [R, Q]
  MatrixView<Scalar> scores_;     // [B·NH·T, T]
  MatrixView<Scalar> hidden_;     // [R, F]
  MatrixView<Scalar> gate_;       // [R, F], where the FFN is gated
  MatrixView<Scalar> logits_;     // [R, V], or the rank's columns of it
  Matrix<Scalar> gathered_;       // [R, V], where the logits of all ranks are gathered
  Matrix<Scalar> received_;       // what other ranks send
  Matrix<Scalar>
      attention_scratch_;  // [threads, …] fused attention's tiles, or cached one's scores
};

}  // namespace flopledger
