// A forward pass as a textbook writes it: plain loops in double, from the config and the weights
// alone. What the kernels are held against; it shares no code with them.
#pragma once

#include <cmath>
#include <vector>

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

inline double Activated(Ffn ffn, double x) {
  switch (ffn) {
    case Ffn::kGeluTanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case Ffn::kGeluErf: return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
    case Ffn::kRelu: return x > 0 ? x : 0;
    case Ffn::kSwiglu: return x / (1 + std::exp(-x));
  }
  return NAN;
}

/// Turns component j of each query and key head together with component j + HS/2.
inline void Rotate(const ModelConfig& config, int64_t context, Table& qkv) {
  const int64_t HS = config.head_size(), half = HS / 2;
  for (int64_t r = 0; r < qkv.rows; ++r) {
    for (int64_t h = 0; h < config.num_heads + config.num_kv_heads; ++h) {
      for (int64_t j = 0; j < half; ++j) {
        const double angle =
            static_cast<double>(r % context) *
            std::pow(config.rope_theta, -2.0 * static_cast<double>(j) / static_cast<double>(HS));
        double &x = qkv(r, h * HS + j), &y = qkv(r, h * HS + half + j);
        const double turned_x = x * std::cos(angle) - y * std::sin(angle);
        y = y * std::cos(angle) + x * std::sin(angle);
        x = turned_x;
      }
    }
  }
}

/// Causal attention over qkv [B·T, (NH + 2·NKV)·HS].
inline Table Attention(int64_t context, int64_t heads, int64_t kv_heads, int64_t HS,
                       const Table& qkv) {
  Table y(qkv.rows, heads * HS);
  for (int64_t r = 0; r < qkv.rows; ++r) {
    const int64_t first = r / context * context;
    for (int64_t h = 0; h < heads; ++h) {
      const int64_t q = h * HS, k = (heads + h * kv_heads / heads) * HS, v = k + kv_heads * HS;
      std::vector<double> weights;
      double largest = -INFINITY, sum = 0;
      for (int64_t s = first; s <= r; ++s) {
        double score = 0;
        for (int64_t j = 0; j < HS; ++j) score += qkv(r, q + j) * qkv(s, k + j);
        weights.push_back(score / std::sqrt(static_cast<double>(HS)));
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

inline void Add(Table& x, const Table& y) {
  for (std::size_t i = 0; i < x.values.size(); ++i) x.values[i] += y.values[i];
}

/// Logits [B·T, V] of tokens [B·T], sequence after sequence of `context` each.
template <class Scalar>
Table Logits(const ModelConfig& config, const Weights<Scalar>& weights, int64_t context,
             const std::vector<int32_t>& tokens) {
  const Weight<Scalar> none;
  Table x(static_cast<int64_t>(tokens.size()), config.d_model);
  for (int64_t r = 0; r < x.rows; ++r) {
    for (int64_t c = 0; c < x.cols; ++c) {
      x(r, c) = static_cast<double>(
          weights.token_embedding.view()(c, tokens[static_cast<std::size_t>(r)]));
      if (config.position == Position::kLearned) {
        x(r, c) += static_cast<double>(weights.position_embedding.matrix()(r % context, c));
      }
    }
  }
  for (const LayerWeights<Scalar>& layer : weights.layers) {
    Table qkv = Linear(Normalised(config, x, layer.attention_norm_gain, layer.attention_norm_bias),
                       layer.attention_qkv, layer.attention_qkv_bias);
    if (config.position == Position::kRope) Rotate(config, context, qkv);
    Add(x,
        Linear(Attention(context, config.num_heads, config.num_kv_heads, config.head_size(), qkv),
               layer.attention_out, layer.attention_out_bias));
    const Table normed = Normalised(config, x, layer.ffn_norm_gain, layer.ffn_norm_bias);
    Table hidden = Linear(normed, layer.ffn_up, layer.ffn_up_bias);
    if (config.has_gate()) {
      const Table gate = Linear(normed, layer.ffn_gate, layer.ffn_gate_bias);
      for (std::size_t i = 0; i < hidden.values.size(); ++i) {
        hidden.values[i] *= Activated(config.ffn, gate.values[i]);
      }
    } else {
      for (double& value : hidden.values) value = Activated(config.ffn, value);
    }
    Add(x, Linear(hidden, layer.ffn_down, layer.ffn_down_bias));
  }
  if (config.final_norm) {
    x = Normalised(config, x, weights.final_norm_gain, weights.final_norm_bias);
  }
  return Linear(x, weights.Unembedding(), none);
}

}  // namespace flopledger::reference
