// A forward pass as a textbook writes it: plain loops in double, from the config and the weights
// alone. What the kernels are held against; it shares no code with them.
#pragma once

#include <cmath>
#include <vector>

#include "kernels/attention.h"
#include "kernels/tensor.h"
#include "model/weights.h"

namespace flopledger::reference {

/// A plain matrix, row-major.
struct Table {
  int64_t rows = 0, cols = 0;
  std::vector<double> values;

  Table(int64_t num_rows, int64_t num_cols)
      : rows(num_rows), cols(num_cols), values(static_cast<std::size_t>(num_rows * num_cols)) {}
  double& operator()(int64_t r, int64_t c) {
    return values[static_cast<std::size_t>(r * cols + c)];
  }
  double operator()(int64_t r, int64_t c) const {
    return values[static_cast<std::size_t>(r * cols + c)];
  }
};

/// x·w + bias, whatever w's layout; a bias of size 0 adds nothing.
template <class Scalar>
Table Linear(const Table& x, const Weight<Scalar>& w, const Weight<Scalar>& bias) {
  Table y(x.rows, w.outputs());
  for (int64_t r = 0; r < y.rows; ++r) {
    for (int64_t n = 0; n < y.cols; ++n) {
      double sum = bias.size() > 0 ? static_cast<double>(bias.view()(0, n)) : 0;
      for (int64_t k = 0; k < x.cols; ++k) sum += x(r, k) * static_cast<double>(w.view()(k, n));
      y(r, n) = sum;
    }
  }
  return y;
}

template <class Scalar>
Table Normalised(const ModelConfig& config, const Table& x, const Weight<Scalar>& gain,
                 const Weight<Scalar>& bias) {
  Table y(x.rows, x.cols);
  const auto size = static_cast<double>(x.cols);
  for (int64_t r = 0; r < x.rows; ++r) {
    double mean = 0, square = 0;
    for (int64_t c = 0; c < x.cols; ++c) mean += x(r, c) / size;
    if (config.norm == Norm::kRmsNorm) mean = 0;
    for (int64_t c = 0; c < x.cols; ++c) square += (x(r, c) - mean) * (x(r, c) - mean) / size;
    for (int64_t c = 0; c < x.cols; ++c) {
      y(r, c) = (x(r, c) - mean) / std::sqrt(square + config.norm_eps) *
                static_cast<double>(gain.view()(0, c));
      if (bias.size() > 0) y(r, c) += static_cast<double>(bias.view()(0, c));
    }
  }
  return y;
}

inline double Activated(Activation f, double x) {
  switch (f) {
    case Activation::kGeluTanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case Activation::kGeluErf: return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
    case Activation::kGeluSigmoid: return x / (1 + std::exp(-1.702 * x));
    case Activation::kRelu: return x > 0 ? x : 0;
    case Activation::kReluSquared: return x > 0 ? x * x : 0;
    case Activation::kSilu: return x / (1 + std::exp(-x));
  }
  return NAN;
}

/// The angle by which RoPE turns pair j from one position to the next, in a sequence of `length`.
inline double Frequency(const ModelConfig& config, int64_t j, int64_t length) {
  const RopeScaling& s = config.rope_scaling;
  const double d = static_cast<double>(config.rotated_size()), i = static_cast<double>(j);
  const auto trained =
      static_cast<double>(s.original_context > 0 ? s.original_context : config.context_length);
  const double plain = std::pow(config.rope_theta, -2 * i / d);
  const double wavelength = 2 * M_PI / plain;
  switch (s.kind) {
    case RopeScaling::Kind::kNone: return plain;
    case RopeScaling::Kind::kLinear: return plain / s.factor;
    case RopeScaling::Kind::kDynamic: {
      const double T = std::max(static_cast<double>(length), trained);
      const double theta =
          config.rope_theta * std::pow(s.factor * T / trained - (s.factor - 1), d / (d - 2));
      return j == 0 ? 1 : std::pow(theta, -2 * i / d);
    }
    case RopeScaling::Kind::kLlama3: {
      if (wavelength < trained / s.high_freq_factor) return plain;
      if (wavelength > trained / s.low_freq_factor) return plain / s.factor;
      const double smooth =
          (trained / wavelength - s.low_freq_factor) / (s.high_freq_factor - s.low_freq_factor);
      return (1 - smooth) * plain / s.factor + smooth * plain;
    }
    case RopeScaling::Kind::kYarn: {
      // In the paper's terms: r(i) rotations in the trained context, as a pair's index.
      const auto index = [&](double rotations) {
        return d * std::log(trained / (rotations * 2 * M_PI)) / (2 * std::log(config.rope_theta));
      };
      double low = index(s.beta_fast), high = index(s.beta_slow);
      if (s.truncate) low = std::floor(low), high = std::ceil(high);
      low = low < 0 ? 0 : low;
      high = high > d - 1 ? d - 1 : high;
      if (low == high) high += 0.001;
      double ramp = (i - low) / (high - low);
      ramp = ramp < 0 ? 0 : ramp > 1 ? 1 : ramp;
      return plain / s.factor * ramp + plain * (1 - ramp);
    }
    case RopeScaling::Kind::kUnknown: break;
    case RopeScaling::Kind::kLongRope:
      return plain / (static_cast<double>(length) > trained
                          ? s.long_factor[static_cast<std::size_t>(j)]
                          : s.short_factor[static_cast<std::size_t>(j)]);
  }
  return NAN;
}

/// What RoPE multiplies the length of a rotated pair by.
inline double Magnitude(const ModelConfig& config) {
  const RopeScaling& s = config.rope_scaling;
  if (s.attention_factor != 0) return s.attention_factor;
  if (s.kind == RopeScaling::Kind::kYarn) {
    const auto mscale = [&](double m) {
      return s.factor > 1 ? 1 + 0.1 * m * std::log(s.factor) : 1;
    };
    const bool both = s.mscale != 0 && s.mscale_all_dim != 0;
    return both ? mscale(s.mscale) / mscale(s.mscale_all_dim) : mscale(1);
  }
  if (s.kind != RopeScaling::Kind::kLongRope) return 1;
  const auto context = static_cast<double>(config.context_length);
  const bool given = s.original_context > 0;
  const double trained = given ? static_cast<double>(s.original_context) : context;
  const double stretch = given ? context / trained : s.factor;
  return stretch > 1 ? std::sqrt(1 + std::log(stretch) / std::log(trained)) : 1;
}

/// Turns the pairs of each query and key head.
inline void Rotate(const ModelConfig& config, int64_t context, Table& qkv) {
  const int64_t HS = config.head_size(), pairs = config.rotated_size() / 2;
  const bool halves = config.rope_pairs == RopePairs::kHalves;
  for (int64_t r = 0; r < qkv.rows; ++r) {
    for (int64_t h = 0; h < config.num_heads + config.num_kv_heads; ++h) {
      for (int64_t j = 0; j < pairs; ++j) {
        const double angle = static_cast<double>(r % context) * Frequency(config, j, context);
        double& x = qkv(r, h * HS + (halves ? j : 2 * j));
        double& y = qkv(r, h * HS + (halves ? pairs + j : 2 * j + 1));
        const double rotated = x * std::cos(angle) - y * std::sin(angle);
        y = Magnitude(config) * (y * std::cos(angle) + x * std::sin(angle));
        x = Magnitude(config) * rotated;
      }
    }
  }
}

/// RMSNorm of the columns [begin, end), in groups as wide as the gain.
template <class Scalar>
void NormColumns(const ModelConfig& config, int64_t begin, int64_t end, const Weight<Scalar>& gain,
                 Table& x) {
  const int64_t width = gain.outputs();
  for (int64_t r = 0; r < x.rows; ++r) {
    for (int64_t c = begin; c < end; c += width) {
      double square = 0;
      for (int64_t j = 0; j < width; ++j) square += x(r, c + j) * x(r, c + j);
      const double root = std::sqrt(square / static_cast<double>(width) + config.norm_eps);
      for (int64_t j = 0; j < width; ++j) {
        x(r, c + j) *= static_cast<double>(gain.view()(0, j)) / root;
      }
    }
  }
}

/// Causal attention over qkv [B·T, (NH + 2·NKV)·HS], of each position to the last `window` ones.
inline Table Attention(const AttentionShape& shape, const Table& qkv) {
  const int64_t context = shape.context, heads = shape.num_heads, kv_heads = shape.num_kv_heads;
  const int64_t HS = shape.head_size;
  const double scale =
      shape.score_scale != 0 ? shape.score_scale : 1 / std::sqrt(static_cast<double>(HS));
  Table y(qkv.rows, heads * HS);
  for (int64_t r = 0; r < qkv.rows; ++r) {
    const int64_t first = std::max(r / context * context, r - shape.window + 1);
    for (int64_t h = 0; h < heads; ++h) {
      const int64_t q = h * HS, k = (heads + h * kv_heads / heads) * HS, v = k + kv_heads * HS;
      std::vector<double> weights;
      double largest = -INFINITY, sum = 0;
      for (int64_t s = first; s <= r; ++s) {
        double score = 0;
        for (int64_t j = 0; j < HS; ++j) score += qkv(r, q + j) * qkv(s, k + j);
        weights.push_back(score * scale);
        largest = std::max(largest, weights.back());
      }
      for (double& weight : weights) sum += weight = std::exp(weight - largest);
      for (int64_t s = first; s <= r; ++s) {
        const double weight = weights[static_cast<std::size_t>(s - first)] / sum;
        for (int64_t j = 0; j < HS; ++j) y(r, q + j) += weight * qkv(s, v + j);
      }
    }
  }
  return y;
}

inline void Add(Table& x, const Table& y, double multiplier = 1) {
  for (std::size_t i = 0; i < x.values.size(); ++i) x.values[i] += multiplier * y.values[i];
}

/// The embedded tokens [B·T, C], with their positions.
template <class Scalar>
Table Embedded(const ModelConfig& config, const Weights<Scalar>& weights, int64_t context,
               const std::vector<int32_t>& tokens) {
  const Weight<Scalar> none;
  Table x(static_cast<int64_t>(tokens.size()), config.embedded_size());
  for (int64_t r = 0; r < x.rows; ++r) {
    for (int64_t c = 0; c < x.cols; ++c) {
      const int32_t token = tokens[static_cast<std::size_t>(r)];
      x(r, c) = config.embedding_multiplier *
                static_cast<double>(weights.token_embedding.view()(c, token));
    }
  }
  if (x.cols != config.d_model) x = Linear(x, weights.embedding_projection, none);
  if (config.position == Position::kLearned) {
    for (int64_t r = 0; r < x.rows; ++r) {
      for (int64_t c = 0; c < x.cols; ++c) {
        x(r, c) += static_cast<double>(
            weights.position_embedding.matrix()(config.position_offset + r % context, c));
      }
    }
  }
  if (config.embedding_norm) {
    x = Normalised(config, x, weights.embedding_norm_gain, weights.embedding_norm_bias);
  }
  return x;
}

/// Attention of layer i, its projections included.
template <class Scalar>
Table AttentionHalf(const ModelConfig& config, const LayerWeights<Scalar>& layer, int64_t i,
                    int64_t context, const Table& x) {
  const LayerKind kind = config.layer_kinds[static_cast<std::size_t>(config.kind_of_layer(i))];
  const int64_t HS = config.head_size(), queries = config.num_heads * HS;
  Table qkv = Linear(x, layer.attention_qkv, layer.attention_qkv_bias);
  if (config.qk_norm != QkNorm::kNone) {
    NormColumns(config, 0, queries, layer.query_norm_gain, qkv);
    NormColumns(config, queries, queries + config.num_kv_heads * HS, layer.key_norm_gain, qkv);
  }
  if (config.position == Position::kRope && kind.rope) Rotate(config, context, qkv);
  double scale = config.attention_multiplier;
  if (scale == 0) scale = 1 / std::sqrt(static_cast<double>(HS));
  if (config.scale_by_layer) scale /= static_cast<double>(i + 1);
  const AttentionShape shape{.batch = x.rows / context,
                             .context = context,
                             .num_heads = config.num_heads,
                             .num_kv_heads = config.num_kv_heads,
                             .head_size = HS,
                             .window = kind.window > 0 ? kind.window : 1'000'000,
                             .score_scale = scale};
  return Linear(Attention(shape, qkv), layer.attention_out, layer.attention_out_bias);
}

template <class Scalar>
Table FfnHalf(const ModelConfig& config, const LayerWeights<Scalar>& layer, const Table& x) {
  Table hidden = Linear(x, layer.ffn_up, layer.ffn_up_bias);
  if (config.ffn.gated) {
    const Table gate = Linear(x, layer.ffn_gate, layer.ffn_gate_bias);
    for (std::size_t i = 0; i < hidden.values.size(); ++i) {
      hidden.values[i] *= Activated(config.ffn.activation, gate.values[i]);
    }
  } else {
    for (double& value : hidden.values) value = Activated(config.ffn.activation, value);
  }
  return Linear(hidden, layer.ffn_down, layer.ffn_down_bias);
}

/// The stream x after layer i.
template <class Scalar>
Table Layer(const ModelConfig& config, const LayerWeights<Scalar>& w, int64_t i, int64_t context,
            Table x) {
  const double multiplier = config.residual_multiplier;
  const NormPlacement placement = config.norm_placement;
  const bool before = placement == NormPlacement::kBefore || placement == NormPlacement::kBoth;
  const bool between = placement == NormPlacement::kAfter || placement == NormPlacement::kBoth;
  const auto half = [&](const auto& f, const auto& gain, const auto& bias, const auto& post_gain,
                        const auto& post_bias) {
    Table y = f(before ? Normalised(config, x, gain, bias) : x);
    if (between) y = Normalised(config, y, post_gain, post_bias);
    return y;
  };
  const auto attention = [&](const Table& in) { return AttentionHalf(config, w, i, context, in); };
  const auto ffn = [&](const Table& in) { return FfnHalf(config, w, in); };
  const Table attended = half(attention, w.attention_norm_gain, w.attention_norm_bias,
                              w.attention_post_norm_gain, w.attention_post_norm_bias);
  if (config.block == BlockOrder::kSequential) {
    Add(x, attended, multiplier);
    if (placement == NormPlacement::kAfterResidual) {
      x = Normalised(config, x, w.attention_post_norm_gain, w.attention_post_norm_bias);
    }
  }
  const bool one = config.block == BlockOrder::kParallel;
  const Table fed = half(ffn, one ? w.attention_norm_gain : w.ffn_norm_gain,
                         one ? w.attention_norm_bias : w.ffn_norm_bias, w.ffn_post_norm_gain,
                         w.ffn_post_norm_bias);
  if (config.block != BlockOrder::kSequential) Add(x, attended, multiplier);
  Add(x, fed, multiplier);
  if (placement == NormPlacement::kAfterResidual) {
    x = Normalised(config, x, w.ffn_post_norm_gain, w.ffn_post_norm_bias);
  }
  return x;
}

/// Logits [B·T, V] of tokens [B·T], sequence after sequence of `context` each.
template <class Scalar>
Table Logits(const ModelConfig& config, const Weights<Scalar>& weights, int64_t context,
             const std::vector<int32_t>& tokens) {
  const Weight<Scalar> none;
  Table x = Embedded(config, weights, context, tokens);
  for (std::size_t i = 0; i < weights.layers.size(); ++i) {
    x = Layer(config, weights.layers[i], static_cast<int64_t>(i), context, x);
  }
  if (config.final_norm) {
    x = Normalised(config, x, weights.final_norm_gain, weights.final_norm_bias);
  }
  if (x.cols != config.embedded_size()) x = Linear(x, weights.head_projection, none);
  return Linear(x, config.tie_embeddings ? weights.token_embedding : weights.lm_head,
                weights.lm_head_bias);
}

}  // namespace flopledger::reference
