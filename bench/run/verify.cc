#include "bench/run/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace flopledger {
namespace {

constexpr int64_t kSampledRows = 4;
constexpr int64_t kSampledColumns = 16;
constexpr int64_t kSampledHeads = 4;  // each costs a whole row of scores
// Below this an exponential is a denormal or flushed: no relative bound holds there.
constexpr double kTiny = 1e-36;

/// n roundings' relative bound, n·u / (1 − n·u) (Higham 2002, §3.1), u = 2⁻²⁴.
double Gamma(double n) {
  constexpr double kUnit = 0x1p-24;
  return n * kUnit / (1 - n * kUnit);
}

/// Up to `count` indexes in [0, n), the ends among them, spread without a pattern.
std::vector<int64_t> SampleIndexes(int64_t n, int64_t count, uint64_t salt) {
  std::vector<int64_t> indexes;
  if (n <= count) {
    for (int64_t i = 0; i < n; ++i) indexes.push_back(i);
    return indexes;
  }
  indexes = {0, n - 1};
  uint64_t state = salt;
  while (static_cast<int64_t>(indexes.size()) < count) {
    state = state * 6364136223846793005u + 1442695040888963407u;  // Knuth's MMIX generator
    indexes.push_back(static_cast<int64_t>((state >> 33) % static_cast<uint64_t>(n)));
  }
  return indexes;
}

std::vector<double> CopyRow(ConstMatrixView<float> view, int64_t row) {
  if (view.data == nullptr || row >= view.rows) return {};
  return {view.row(row), view.row(row) + view.cols};
}

struct Sum {
  double value = 0, magnitude = 0;
  void Add(double x, double y) {
    value += x * y;
    magnitude += std::abs(x * y);
  }
};

struct Activated {
  double value, bound;
};

/// The FFN's activation of x (SwiGLU's gate, which multiplies `up`) and its kernel's error.
Activated Activate(Ffn ffn, double x, double up) {
  switch (ffn) {
    case Ffn::kGeluTanh: {
      const double inner = 0.7978845608028654 * (x + 0.044715 * x * x * x);
      return {0.5 * x * (1 + std::tanh(inner)), Gamma(24) * std::abs(x)};
    }
    case Ffn::kGeluErf:
      return {0.5 * x * (1 + std::erf(x / std::sqrt(2.0))), Gamma(12) * std::abs(x)};
    case Ffn::kRelu: return {std::max(x, 0.0), 0};
    case Ffn::kSwiglu: break;
  }
  const double value = x / (1 + std::exp(-x)) * up;
  return {value, Gamma(12) * std::abs(value) + kTiny * (1 + std::abs(up))};
}

}  // namespace

void OpVerifier::Before(const Op& op, int64_t layer, const Operands<float>& o) {
  samples_.clear();
  const auto salt = static_cast<uint64_t>(op.id) * 1000003u + static_cast<uint64_t>(layer + 1);
  for (const int64_t row : SampleIndexes(o.y.rows, kSampledRows, salt)) {
    samples_.push_back({row, CopyRow(o.a, row), CopyRow(o.b, row)});
  }
}

void OpVerifier::After(const Op& op, int64_t layer, const Operands<float>& o) {
  for (const SampledRow& sample : samples_) CheckRow(op, layer, o, sample);
}

void OpVerifier::Check(const Op& op, int64_t layer, int64_t row, int64_t col, float found,
                       double expected, double bound) {
  const double error = std::abs(static_cast<double>(found) - expected);
  ++result_.checked;
  const double ratio = error == 0 ? 0 : error / bound;
  if (ratio > result_.worst_ratio) {
    result_.worst_ratio = ratio;
    result_.worst_op = op.name();
  }
  if (!(error <= bound) && result_.first_failure.empty()) {  // also catches a NaN
    result_.first_failure = fmt::format(
        "{}{}: element ({}, {}) is {:.9g}, should be {:.9g} within {:.3g}", op.name(),
        layer < 0 ? "" : fmt::format(" in layer {}", layer), row, col, found, expected, bound);
  }
}

void OpVerifier::CheckRow(const Op& op, int64_t layer, const Operands<float>& o,
                          const SampledRow& sample) {
  const ModelConfig& config = forward_.config();
  const AttentionShape& shape = forward_.attention();
  const int64_t T = shape.context, HS = shape.head_size, r = sample.row;
  const std::vector<double>& a = sample.a;
  const auto columns = SampleIndexes(o.y.cols, kSampledColumns, static_cast<uint64_t>(r));
  const auto check = [&](int64_t col, double expected, double bound) {
    Check(op, layer, r, col, o.y(r, col), expected, bound);
  };

  switch (op.kind) {
    case OpKind::kEmbedding:
      for (const int64_t c : columns) {
        const double position = o.b.data == nullptr ? 0.0 : o.b(r % T, c);
        const double expected = o.w(c, tokens_[static_cast<std::size_t>(r)]) + position;
        check(c, expected, Gamma(1) * std::abs(expected));
      }
      return;

    case OpKind::kNorm: {
      const bool centred = config.norm == Norm::kLayerNorm;
      const auto C = static_cast<double>(a.size());
      double mean = 0, mean_magnitude = 0, variance = 0;
      for (const double x : a) {
        mean += centred ? x / C : 0;
        mean_magnitude += centred ? std::abs(x) / C : 0;
      }
      for (const double x : a) variance += (x - mean) * (x - mean) / C;
      const double rstd = 1 / std::sqrt(variance + config.norm_eps);
      for (const int64_t c : columns) {
        const double x = a[static_cast<std::size_t>(c)] - mean, gain = o.b.data[c];
        const double bias = o.bias != nullptr ? o.bias[c] : 0.0;
        // The mean's error is gamma(C)·mean|x|, the variance's relative one about gamma(C); each
        // passes through to y once.
        check(c, x * rstd * gain + bias,
              Gamma(2 * C + 10) *
                  ((std::abs(x) + mean_magnitude) * rstd * std::abs(gain) + std::abs(bias)));
      }
      return;
    }

    case OpKind::kMatmul:
      for (const int64_t c : columns) {
        Sum sum;
        for (std::size_t k = 0; k < a.size(); ++k) {
          const auto i = static_cast<int64_t>(k);
          sum.Add(a[k], o.w(i, c));
        }
        if (o.bias != nullptr) sum.Add(o.bias[c], 1);
        const double other = sample.b.empty() ? 0 : sample.b[static_cast<std::size_t>(c)];
        if (op.epilogue == OpEpilogue::kResidual) sum.Add(other, 1);
        const double bound = Gamma(static_cast<double>(a.size()) + 2) * sum.magnitude;
        if (op.epilogue != OpEpilogue::kActivation) {
          check(c, sum.value, bound);
          continue;
        }
        // The sum's error passes through a slope of at most 1.2, or SiLU(gate).
        const bool gated = config.has_gate();
        const Activated y = Activate(config.ffn, gated ? other : sum.value, sum.value);
        const double slope = gated ? std::abs(other / (1 + std::exp(-other))) : 1.2;
        check(c, y.value, y.bound + slope * bound);
      }
      return;

    case OpKind::kRope: {
      const int64_t half = HS / 2, rotated = (shape.num_heads + shape.num_kv_heads) * HS;
      for (const int64_t c : columns) {
        const int64_t j = c % HS % half, first = c - c % HS + j;
        const int64_t position = forward_.shape().past + r % T;
        const double cosine = forward_.rope().cosine.view()(position, j);
        const double sine = forward_.rope().sine.view()(position, j);
        const double x = a[static_cast<std::size_t>(first)];
        const double y = a[static_cast<std::size_t>(first + half)];
        if (c >= rotated) {
          check(c, a[static_cast<std::size_t>(c)], 0);  // values stay as they are
        } else {
          check(c, c == first ? x * cosine - y * sine : y * cosine + x * sine,
                Gamma(2) * (std::abs(x) + std::abs(y)));
        }
      }
      return;
    }

    case OpKind::kAttentionScores: {
      const HeadViews<const float> head(o.a, shape, r / T);
      for (const int64_t c : columns) {
        Sum sum;
        for (int64_t j = 0; j < HS; ++j) sum.Add(head.q(r % T, j), head.k(c, j));
        check(c, sum.value, Gamma(static_cast<double>(HS)) * sum.magnitude);
      }
      return;
    }

    case OpKind::kAttentionSoftmax: {
      const int64_t kept = r % T + 1;
      const double scale = 1 / std::sqrt(static_cast<double>(HS));
      const double largest = *std::max_element(a.begin(), a.begin() + kept);
      double sum = 0;
      for (int64_t c = 0; c < kept; ++c) {
        sum += std::exp(scale * (a[static_cast<std::size_t>(c)] - largest));
      }
      for (const int64_t c : columns) {
        const double exponent = c < kept ? scale * (a[static_cast<std::size_t>(c)] - largest) : 0;
        const double expected = c < kept ? std::exp(exponent) / sum : 0;
        // Three roundings in the exponent act as relative errors of its size; the sum has T terms.
        check(c, expected,
              Gamma(static_cast<double>(kept) + 10 - 3 * exponent) * expected +
                  (c < kept ? kTiny : 0));
      }
      return;
    }

    case OpKind::kAttentionValues:
      for (const int64_t c : columns) {
        const int64_t i = r / T * shape.num_heads + c / HS;
        const HeadViews<const float> head(o.b, shape, i);
        Sum sum;
        for (int64_t s = 0; s < T; ++s) sum.Add(o.a(i * T + r % T, s), head.v(s, c % HS));
        check(c, sum.value, Gamma(static_cast<double>(T)) * sum.magnitude);
      }
      return;

    case OpKind::kAttention: return CheckAttentionRow(op, layer, o, r);

    case OpKind::kActivation:
      for (const int64_t c : columns) {
        const double up = config.has_gate() ? sample.b[static_cast<std::size_t>(c)] : 0;
        const Activated y = Activate(config.ffn, a[static_cast<std::size_t>(c)], up);
        check(c, y.value, y.bound);
      }
      return;

    case OpKind::kResidual:
      for (const int64_t c : columns) {
        const double expected =
            a[static_cast<std::size_t>(c)] + sample.b[static_cast<std::size_t>(c)];
        check(c, expected, Gamma(1) * std::abs(expected));
      }
      return;
  }
}

void OpVerifier::CheckAttentionRow(const Op& op, int64_t layer, const Operands<float>& o,
                                   int64_t row) {
  const AttentionShape& shape = forward_.attention();
  const int64_t T = shape.context, HS = shape.head_size, t = row % T;
  const int64_t past = forward_.shape().past;
  const double scale = 1 / std::sqrt(static_cast<double>(HS));
  for (const int64_t c : SampleIndexes(o.y.cols, kSampledHeads, static_cast<uint64_t>(row))) {
    HeadViews<const float> head(o.a, shape, row / T * shape.num_heads + c / HS);
    if (past > 0) {
      const int64_t kv = c / HS / (shape.num_heads / shape.num_kv_heads);
      head.k = o.cache.keys_of(row / T, kv);
      head.v = o.cache.values_of(row / T, kv);
    }
    std::vector<double> weights;
    double largest = -std::numeric_limits<double>::infinity(), magnitude = 0;
    for (int64_t s = 0; s <= past + t; ++s) {
      Sum score;
      for (int64_t j = 0; j < HS; ++j) score.Add(head.q(t, j), head.k(s, j));
      weights.push_back(score.value * scale);
      largest = std::max(largest, weights.back());
      magnitude = std::max(magnitude, score.magnitude * scale);
    }
    double total = 0;
    for (double& weight : weights) total += weight = std::exp(weight - largest);
    Sum sum;
    for (int64_t s = 0; s <= past + t; ++s) {
      sum.Add(weights[static_cast<std::size_t>(s)] / total, head.v(s, c % HS));
    }
    // A score's absolute error, gamma(HS + 2) of its magnitude, is a relative one of its
    // exponential; it enters the numerator and the denominator, beside the sums over T and what
    // each block's rescaling adds.
    const double bound = 2 * Gamma(static_cast<double>(HS) + 4) * magnitude +
                         2 * Gamma(static_cast<double>(past + T) + 20);
    Check(op, layer, row, c, o.y(row, c), sum.value, bound * sum.magnitude + kTiny);
  }
}

}  // namespace flopledger
