// A forward pass: executes the list of model/ops with the kernels, calling an observer around each
// op. Buffers are allocated once, in the constructor; Run allocates nothing, with one exception:
// products by Eigen (the "eigen" backend, and "packed" under reference attention) take Eigen's own
// packing buffers from the heap where they exceed its EIGEN_STACK_ALLOCATION_LIMIT of 128 KiB.
// Legend: R = B·T rows, C d_model, Q = (NH + 2·NKV)·HS, F d_ff, V vocabulary.
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
#include "model/kv_cache.h"
#include "model/ops.h"
#include "model/weights.h"

namespace flopledger {

/// What one execution of an op reads and writes. An op that works in place has y.data == a.data.
template <class Scalar>
struct Operands {
  ConstMatrixView<Scalar> a = {};   // the activations that it reads; none for the embedding
  ConstMatrixView<Scalar> b = {};   // a gain [1, C], the positions, or the second activation; of a
                                    // product with an epilogue, the gate or what it adds onto
  WeightView<const Scalar> w = {};  // a product's weight, or the embedding's table
  const Scalar* bias = nullptr;     // added to each row of y, or null
  CacheView<Scalar> cache = {};     // the layer's, for attention where there is one
  MatrixView<Scalar> y = {};        // what it writes
};

/// An observer that does nothing. Others have the same two members.
struct NoObserver {
  template <class Scalar>
  void Before(const Op&, int64_t /*layer*/, const Operands<Scalar>&) {}
  template <class Scalar>
  void After(const Op&, int64_t /*layer*/, const Operands<Scalar>&) {}
};

template <class Scalar>
class Forward {
 public:
  /// Keeps references to config and weights, which must outlive it. `shape` gives how many of the
  /// weights' layers are run. The shape must have passed ValidateRunShape.
  /// Weights are packed if the backend asks for it, plain otherwise. The number of OpenMP threads
  /// must not grow afterwards. With a cache (which must outlive it too), attention leaves its keys
  /// and values there; a shape with a past, of one position, attends to what is there before it.
  Forward(const ModelConfig& config, const Weights<Scalar>& weights, const RunShape& shape,
          const MatmulBackend<Scalar>& matmul, KvCache<Scalar>* cache = nullptr)
      : config_(config),
        weights_(weights),
        shape_(shape),
        matmul_(matmul),
        cache_(cache),
        attention_{shape.batch, shape.context, config.num_heads, config.num_kv_heads,
                   config.head_size()},
        ops_(ForwardOps(config, shape)) {
    FL_CHECK(shape.num_layers <= static_cast<int64_t>(weights.layers.size()), shape.num_layers,
             weights.layers.size());
    FL_CHECK(shape.past == 0 || cache != nullptr);
    FL_CHECK(!shape.fused_epilogues || matmul.fuses_epilogues);
    const int64_t R = shape.batch * shape.context, C = config.d_model;
    const auto stride = OddLinesStride<Scalar>;
    stream_ = Matrix<Scalar>(R, stride(C));
    normed_ = Matrix<Scalar>(R, stride(C));
    shared_ = Matrix<Scalar>(R, SharedColumns(stride));
    projected_ = Shared(0, C);
    qkv_ = Shared(stride(C), config.qkv_size());
    hidden_ = Shared(stride(C), config.d_ff);
    if (config.has_gate()) gate_ = Shared(stride(C) + stride(config.d_ff), config.d_ff);
    logits_ = {shared_.data(), R, config.vocab_size, config.vocab_size};
    if (shape.past > 0) {
      attention_scratch_ = Matrix<Scalar>(omp_get_max_threads(), cache->capacity());
    } else if (shape.fused_attention) {
      attention_scratch_ =
          Matrix<Scalar>(omp_get_max_threads(), FusedScratch<Scalar>::Size(attention_));
    } else {
      const int64_t T = shape.context;
      scores_ = {shared_.data() + R * (stride(C) + stride(config.qkv_size())),
                 attention_.products() * T, T, T};
    }
    if (config.position == Position::kRope) {
      const int64_t positions = shape.past > 0 ? cache->capacity() : shape.context;
      rope_ = RopeTable<Scalar>(positions, config.head_size(), config.rope_theta);
    }
  }

  /// The distinct ops, in order; ForEachExecution unrolls them as Run executes them.
  std::span<const Op> ops() const { return ops_; }
  const ModelConfig& config() const { return config_; }
  const RunShape& shape() const { return shape_; }
  const AttentionShape& attention() const { return attention_; }
  const RopeTable<Scalar>& rope() const { return rope_; }

  /// Logits at every position of the last Run: [R, V].
  ConstMatrixView<Scalar> logits() const { return logits_; }

  /// Bytes of the activations: what the accounting calls activation memory.
  int64_t ActivationBytes() const {
    const int64_t columns = 2 * config_.d_model + SharedColumns(std::identity());
    return static_cast<int64_t>(sizeof(Scalar)) *
           (stream_.rows() * columns + rope_.cosine.size() + rope_.sine.size());
  }

  /// Bytes of the kernels' own working memory: attention's tiles, and what makes the activations'
  /// rows an odd number of cache lines.
  int64_t ScratchBytes() const {
    const int64_t elements = stream_.size() + normed_.size() + shared_.size() +
                             rope_.cosine.size() + rope_.sine.size() + attention_scratch_.size();
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
    ForEachExecution(ops_, shape_.num_layers, [&](const Op& op, int64_t layer) {
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
    const auto stream = Activations(stream_), normed = Activations(normed_);
    const auto projected = projected_, hidden = hidden_;
    const auto norm = [&](const Weight<Scalar>& gain, const Weight<Scalar>& bias) {
      return Operands<Scalar>{.a = stream, .b = gain.matrix(), .bias = bias.data(), .y = normed};
    };
    const auto product = [](MatrixView<Scalar> a, const Weight<Scalar>& weight,
                            const Weight<Scalar>& bias, MatrixView<Scalar> y) {
      return Operands<Scalar>{.a = a, .w = weight.view(), .bias = bias.data(), .y = y};
    };
    const auto residual = Operands<Scalar>{.a = stream, .b = projected, .y = stream};
    // A product that the residual follows, or that adds onto the stream itself.
    const auto onto_stream = [&](MatrixView<Scalar> a, const Weight<Scalar>& weight,
                                 const Weight<Scalar>& bias) {
      if (op.epilogue != OpEpilogue::kResidual) return product(a, weight, bias, projected);
      auto added = product(a, weight, bias, stream);
      added.b = stream;
      return added;
    };
    switch (op.id) {
      case OpId::kEmbedding:
        return {.b = Positions(), .w = weights_.token_embedding.view(), .y = stream};
      case OpId::kAttentionNorm: return norm(w.attention_norm_gain, w.attention_norm_bias);
      case OpId::kAttentionQkv: return product(normed, w.attention_qkv, w.attention_qkv_bias, qkv_);
      case OpId::kRope: return {.a = qkv_, .y = qkv_};
      case OpId::kAttentionScores: return {.a = qkv_, .y = scores_};
      case OpId::kAttentionSoftmax: return {.a = scores_, .y = scores_};
      case OpId::kAttentionValues:
        return {.a = scores_, .b = qkv_, .cache = Cache(layer), .y = normed};
      case OpId::kAttentionOut: return onto_stream(normed, w.attention_out, w.attention_out_bias);
      case OpId::kAttentionResidual: return residual;
      case OpId::kFfnNorm: return norm(w.ffn_norm_gain, w.ffn_norm_bias);
      case OpId::kAttention: return {.a = qkv_, .cache = Cache(layer), .y = normed};
      case OpId::kFfnGate: return product(normed, w.ffn_gate, w.ffn_gate_bias, gate_);
      case OpId::kFfnUp: {
        auto up = product(normed, w.ffn_up, w.ffn_up_bias, hidden);
        if (op.epilogue == OpEpilogue::kActivation && config_.has_gate()) up.b = gate_;
        return up;
      }
      case OpId::kFfnActivation:
        if (config_.has_gate()) return {.a = gate_, .b = hidden, .y = gate_};
        return {.a = hidden, .y = hidden};
      case OpId::kFfnDown:
        return onto_stream(config_.has_gate() && !shape_.fused_epilogues ? gate_ : hidden,
                           w.ffn_down, w.ffn_down_bias);
      case OpId::kFfnResidual: return residual;
      case OpId::kFinalNorm: return norm(weights_.final_norm_gain, weights_.final_norm_bias);
      case OpId::kLmHead:
        return {.a = config_.final_norm ? normed : stream,
                .w = weights_.Unembedding().view(),
                .y = logits_};
    }
    FL_CHECK(false, static_cast<int>(op.id));
  }

  /// Computes one op; tokens [R] are read by the embedding alone.
  void Execute(const Op& op, const Operands<Scalar>& o, std::span<const int32_t> tokens) {
    const auto eps = Scalar(config_.norm_eps);
    switch (op.kind) {
      case OpKind::kEmbedding: return Embed(tokens, o.w, o.b, shape_.context, o.y);
      case OpKind::kNorm:
        if (config_.norm == Norm::kRmsNorm) return RmsNorm(o.a, o.b.data, eps, o.y);
        return LayerNorm(o.a, o.b.data, o.bias, eps, o.y);
      case OpKind::kMatmul:
        return matmul_.run({.x = o.a,
                            .w = o.w,
                            .bias = o.bias,
                            .y = o.y,
                            .epilogue = EpilogueOf(op),
                            .gate = o.b});
      case OpKind::kRope: return ApplyRope(attention_, rope_, o.y, shape_.past);
      case OpKind::kAttentionScores: return AttentionScores(attention_, PlainMatmul(), o.a, o.y);
      case OpKind::kAttentionSoftmax: return AttentionSoftmax(attention_, o.y);
      case OpKind::kAttentionValues:
        AppendKv(o.b, o.cache);
        return AttentionValues(attention_, PlainMatmul(), o.a, o.b, o.y);
      case OpKind::kAttention:
        AppendKv(o.a, o.cache);
        if (shape_.past > 0) {
          return AttentionCached<Scalar>(attention_, shape_.past, o.a, o.cache, o.y,
                                         attention_scratch_.view());
        }
        return AttentionFused(attention_, o.a, o.y, attention_scratch_.view());
      case OpKind::kActivation: return Activate(o);
      case OpKind::kResidual: return AddResidual(o.y, o.b);
    }
  }

 private:
  /// Columns of the shared buffer, for matrices whose rows of n elements are stride(n) apart.
  template <class Stride>
  int64_t SharedColumns(Stride stride) const {
    const bool stores_scores = !shape_.fused_attention && shape_.past == 0;
    const int64_t attention =
        stride(config_.qkv_size()) + (stores_scores ? config_.num_heads * shape_.context : 0);
    const int64_t ffn = (config_.has_gate() ? 2 : 1) * stride(config_.d_ff);
    return std::max(stride(config_.d_model) + std::max(attention, ffn), config_.vocab_size);
  }

  /// Activations [R, cols] in the shared buffer, behind `before` elements for each of their rows.
  MatrixView<Scalar> Shared(int64_t before, int64_t cols) {
    const int64_t R = shared_.rows(), stride = OddLinesStride<Scalar>(cols);
    FL_CHECK(before + stride <= shared_.cols(), before, cols, shared_.cols());
    return {shared_.data() + R * before, R, cols, stride};
  }

  MatrixView<Scalar> Activations(Matrix<Scalar>& padded) const {
    return padded.view().block(0, 0, padded.rows(), config_.d_model);
  }

  /// The learned positions from the first of this shape on, if there are any.
  ConstMatrixView<Scalar> Positions() const {
    const ConstMatrixView<Scalar> all = weights_.position_embedding.matrix();
    if (all.data == nullptr) return all;
    return all.block(shape_.past, 0, all.rows - shape_.past, all.cols);
  }

  CacheView<Scalar> Cache(int64_t layer) {
    return cache_ != nullptr ? cache_->layer(layer) : CacheView<Scalar>{};
  }

  void AppendKv(ConstMatrixView<Scalar> qkv, CacheView<Scalar> cache) const {
    if (cache.keys != nullptr) AppendToCache(attention_, shape_.past, qkv, cache);
  }

  /// What reference attention computes its products with: activations come unpacked.
  MatmulFn<Scalar> PlainMatmul() const {
    return matmul_.packs_weights ? FindMatmul<Scalar>("eigen")->run : matmul_.run;
  }

  Epilogue EpilogueOf(const Op& op) const {
    if (op.epilogue == OpEpilogue::kNone) return Epilogue::kNone;
    if (op.epilogue == OpEpilogue::kResidual) return Epilogue::kResidual;
    switch (config_.ffn) {
      case Ffn::kGeluTanh: return Epilogue::kGeluTanh;
      case Ffn::kGeluErf: return Epilogue::kGeluErf;
      case Ffn::kRelu: return Epilogue::kRelu;
      case Ffn::kSwiglu: return Epilogue::kSiluGate;
    }
    FL_CHECK(false, static_cast<int>(config_.ffn));
  }

  void Activate(const Operands<Scalar>& o) {
    switch (config_.ffn) {
      case Ffn::kGeluTanh: return GeluTanh(o.y);
      case Ffn::kGeluErf: return GeluErf(o.y);
      case Ffn::kRelu: return Relu(o.y);
      case Ffn::kSwiglu: return SiluGate(o.y, o.b);
    }
  }

  const ModelConfig& config_;
  const Weights<Scalar>& weights_;
  RunShape shape_;
  const MatmulBackend<Scalar> matmul_;
  KvCache<Scalar>* cache_;
  const AttentionShape attention_;
  std::vector<Op> ops_;
  RopeTable<Scalar> rope_;
  // Rows of activations that a product reads lie OddLinesStride apart.
  Matrix<Scalar> stream_;         // [R, C] the residual stream
  Matrix<Scalar> normed_;         // [R, C] a norm's output, then attention's
  Matrix<Scalar> shared_;         // attention, the FFN and the logits, one after the other
  MatrixView<Scalar> projected_;  // [R, C] what is added to the stream next
  MatrixView<Scalar> qkv_;        // [R, Q]
  MatrixView<Scalar> scores_;     // [B·NH·T, T]
  MatrixView<Scalar> hidden_;     // [R, F]
  MatrixView<Scalar> gate_;       // [R, F], SwiGLU only
  MatrixView<Scalar> logits_;     // [R, V]
  Matrix<Scalar>
      attention_scratch_;  // [threads, …] fused attention's tiles, or cached one's scores
};

}  // namespace flopledger
