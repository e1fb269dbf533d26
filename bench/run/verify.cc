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

/// f(x) of the FFN and its kernel's error.
Activated Activate(Activation f, double x) {
  switch (f) {
    case Activation::kGeluTanh: {
      const double inner = 0.7978845608028654 * (x + 0.044715 * x * x * x);
      return {0.5 * x * (1 + std::tanh(inner)), Gamma(24) * std::abs(x)};
    }
    case Activation::kGeluErf:
      return {0.5 * x * (1 + std::erf(x / std::sqrt(2.0))), Gamma(12) * std::abs(x)};
    case Activation::kRelu: return {std::max(x, 0.0), 0};
    case Activation::kReluSquared: {
      const double y = std::max(x, 0.0);
      return {y * y, Gamma(1) * y * y + kTiny};
    }
    case Activation::kSilu:
    case Activation::kGeluSigmoid: break;
  }
  // The product with the slope rounds an exponent of its size.
  const double slope = f == Activation::kSilu ? 1 : 1.702;
  const double y = x / (1 + std::exp(-slope * x));
  return {y, Gamma(12 + 2 * std::abs(x)) * std::abs(y) + kTiny};
}

/// The FFN's function of x, times up where x is a gate. Both may err by x_error and up_error.
Activated Activate(const Ffn& ffn, double x, double x_error, double up, double up_error) {
  Activated y = Activate(ffn.activation, x);
  // No slope is above 1.2, but that of the square.
  const double slope =
      ffn.activation == Activation::kReluSquared ? 2 * (std::max(x, 0.0) + x_error) : 1.2;
  y.bound += slope * x_error;
  if (!ffn.gated) return y;
  const double factor = std::abs(y.value) + y.bound;
  return {y.value * up, y.bound * std::abs(up) + factor * up_error +
                            Gamma(1) * std::abs(y.value * up) + kTiny * (1 + std::abs(up))};
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
  if (op.kind == OpKind::kAllReduce) return CheckAllReduce(op, layer, o);
  if (op.kind == OpKind::kLogitsGather) return;  // it moves numbers, and changes none
  for (const SampledRow& sample : samples_) CheckRow(op, layer, o, sample);
}

void OpVerifier::Check(const Op& op, int64_t layer, const Operands<float>& o, Element at,
                       Expected expected) {
  const float found = o.y(at.row, at.col);
  const double error = std::abs(static_cast<double>(found) - expected.value);
  ++result_.checked;
  const double ratio = error == 0 ? 0 : error / expected.bound;
  if (ratio > result_.worst_ratio) {
    result_.worst_ratio = ratio;
    result_.worst_op = op.name();
  }
  if (!(error <= expected.bound) && result_.first_failure.empty()) {  // also catches a NaN
    result_.first_failure =
        fmt::format("{}{}: element ({}, {}) is {:.9g}, should be {:.9g} within {:.3g}", op.name(),
                    layer < 0 ? "" : fmt::format(" in layer {}", layer), at.row, at.col, found,
                    expected.value, expected.bound);
  }
}

void OpVerifier::CheckRow(const Op& op, int64_t layer, const Operands<float>& o,
                          const SampledRow& sample) {
  const auto columns = SampleIndexes(o.y.cols, kSampledColumns, static_cast<uint64_t>(sample.row));
  if (op.kind == OpKind::kAttention) return CheckAttentionRow(op, layer, o, sample.row);
  for (const int64_t c : columns) {
    Check(op, layer, o, {sample.row, c}, ExpectedElement(op, o, sample, c));
  }
}

OpVerifier::Expected OpVerifier::ExpectedElement(const Op& op, const Operands<float>& o,
                                                 const SampledRow& sample, int64_t c) const {
  const ModelConfig& config = forward_.config();
  const auto read = [c](const std::vector<double>& row) {
    return row[static_cast<std::size_t>(c)];
  };
  switch (op.kind) {
    case OpKind::kEmbedding: {
      const double token = o.w(c, tokens_[static_cast<std::size_t>(sample.row)]);
      const double scaled = config.embedding_multiplier * token;
      const double position = Position(o, sample.row, c);
      return {scaled + position, Gamma(3) * (std::abs(scaled) + std::abs(position))};
    }
    case OpKind::kNorm: {
      const double bias = o.bias != nullptr ? o.bias[c] : 0.0;
      return ExpectedNorm(sample.a, c, o.b.data[c], bias);
    }
    case OpKind::kQkNorm: return ExpectedQkNorm(o, sample, c);
    case OpKind::kMatmul: return ExpectedProduct(op, o, sample, c);
    case OpKind::kRope: return ExpectedRotation(o, sample, c);
    case OpKind::kAttentionScores: return ExpectedScore(o, sample.row, c);
    case OpKind::kAttentionSoftmax: return ExpectedWeight(o, sample, c);
    case OpKind::kAttentionValues: return ExpectedValue(o, sample.row, c);
    case OpKind::kActivation: {
      const Activated y =
          Activate(config.ffn, read(sample.a), 0, config.has_gate() ? read(sample.b) : 0, 0);
      return {y.value, y.bound};
    }
    case OpKind::kResidual: {
      const double added = config.residual_multiplier * read(sample.b);
      const double sum = read(sample.a) + added;
      const double roundings = config.residual_multiplier == 1 ? 0 : 2;
      return {sum, Gamma(1) * std::abs(sum) + Gamma(roundings) * std::abs(added)};
    }
    case OpKind::kAttention:
    case OpKind::kAllReduce:
    case OpKind::kLogitsGather:
    case OpKind::kRouting:
    case OpKind::kCombine: break;
  }
  FL_CHECK(false, op.name());
}

double OpVerifier::Position(const Operands<float>& o, int64_t row, int64_t c) const {
  return o.b.data == nullptr ? 0.0 : o.b(row % forward_.shape().context, c);
}

/// Element c of one group of neighbours that are normed together.
OpVerifier::Expected OpVerifier::ExpectedNorm(std::span<const double> group, int64_t c, double gain,
                                              double bias) const {
  const ModelConfig& config = forward_.config();
  const bool centred = config.norm == Norm::kLayerNorm;
  const auto C = static_cast<double>(group.size());
  double mean = 0, mean_magnitude = 0, variance = 0;
  for (const double x : group) {
    mean += centred ? x / C : 0;
    mean_magnitude += centred ? std::abs(x) / C : 0;
  }
  for (const double x : group) variance += (x - mean) * (x - mean) / C;
  const double rstd = 1 / std::sqrt(variance + config.norm_eps);
  const double x = group[static_cast<std::size_t>(c)] - mean;
  // The mean's error is gamma(C)·mean|x|, the variance's relative one about gamma(C); each passes
  // through to y once.
  return {x * rstd * gain + bias,
          Gamma(2 * C + 10) *
              ((std::abs(x) + mean_magnitude) * rstd * std::abs(gain) + std::abs(bias))};
}

OpVerifier::Expected OpVerifier::ExpectedQkNorm(const Operands<float>& o, const SampledRow& sample,
                                                int64_t c) const {
  const AttentionShape& shape = o.attention;
  const int64_t queries = shape.num_heads * shape.head_size;
  const int64_t keys = shape.num_kv_heads * shape.head_size;
  if (c >= queries + keys) return {sample.a[static_cast<std::size_t>(c)], 0};  // a value
  const bool is_query = c < queries;
  const ConstMatrixView<float> gain = is_query ? o.b : o.c;
  const int64_t in_part = is_query ? c : c - queries, element = in_part % gain.cols;
  const auto group = std::span(sample.a).subspan(static_cast<std::size_t>(c - element),
                                                 static_cast<std::size_t>(gain.cols));
  return ExpectedNorm(group, element, gain(0, element), 0);
}

OpVerifier::Expected OpVerifier::ExpectedProduct(const Op& op, const Operands<float>& o,
                                                 const SampledRow& sample, int64_t c) const {
  const ModelConfig& config = forward_.config();
  Sum sum;
  for (std::size_t k = 0; k < sample.a.size(); ++k) {
    sum.Add(sample.a[k], o.w(static_cast<int64_t>(k), c));
  }
  if (o.bias != nullptr) sum.Add(o.bias[c], 1);
  if (op.id == OpId::kEmbeddingProjection) sum.Add(Position(o, sample.row, c), 1);
  const double other = sample.b.empty() ? 0 : sample.b[static_cast<std::size_t>(c)];
  if (op.epilogue == OpEpilogue::kResidual) sum.Add(other, 1);
  const double bound = Gamma(static_cast<double>(sample.a.size()) + 2) * sum.magnitude;
  if (op.epilogue != OpEpilogue::kActivation) return {sum.value, bound};
  const Activated y = config.has_gate() ? Activate(config.ffn, other, 0, sum.value, bound)
                                        : Activate(config.ffn, sum.value, bound, 0, 0);
  return {y.value, y.bound};
}

OpVerifier::Expected OpVerifier::ExpectedRotation(const Operands<float>& o,
                                                  const SampledRow& sample, int64_t c) const {
  const AttentionShape& shape = o.attention;
  const RopeTable<float>& table = forward_.rope();
  const int64_t pairs = table.pairs(), i = c % shape.head_size, head = c - i;
  const bool is_value = c >= (shape.num_heads + shape.num_kv_heads) * shape.head_size;
  if (is_value || i >= 2 * pairs) return {sample.a[static_cast<std::size_t>(c)], 0};  // kept
  const bool halves = table.layout == RopeLayout::kHalves;
  const int64_t pair = halves ? i % pairs : i / 2;
  const int64_t first = head + (halves ? pair : 2 * pair), second = first + (halves ? pairs : 1);
  const int64_t position = forward_.shape().past + sample.row % shape.context;
  const double cosine = table.cosine.view()(position, pair);
  const double sine = table.sine.view()(position, pair);
  const double x = sample.a[static_cast<std::size_t>(first)];
  const double y = sample.a[static_cast<std::size_t>(second)];
  return {c == first ? x * cosine - y * sine : y * cosine + x * sine,
          Gamma(2) * (std::abs(x) + std::abs(y)) * std::max(1.0, std::hypot(cosine, sine))};
}

OpVerifier::Expected OpVerifier::ExpectedScore(const Operands<float>& o, int64_t row,
                                               int64_t c) const {
  const AttentionShape& shape = o.attention;
  const HeadViews<const float> head(o.a, shape, row / shape.context);
  Sum sum;
  for (int64_t j = 0; j < shape.head_size; ++j) {
    sum.Add(head.q(row % shape.context, j), head.k(c, j));
  }
  return {sum.value, Gamma(static_cast<double>(shape.head_size)) * sum.magnitude};
}

OpVerifier::Expected OpVerifier::ExpectedWeight(const Operands<float>& o, const SampledRow& sample,
                                                int64_t c) const {
  const int64_t t = sample.row % o.attention.context, begin = o.attention.first_key(t);
  if (c < begin || c > t) return {0, 0};
  const double scale = o.attention.scale();
  const auto kept = std::span(sample.a).subspan(static_cast<std::size_t>(begin),
                                                static_cast<std::size_t>(t + 1 - begin));
  const double largest = *std::ranges::max_element(kept);
  double sum = 0;
  for (const double score : kept) sum += std::exp(scale * (score - largest));
  const double exponent = scale * (sample.a[static_cast<std::size_t>(c)] - largest);
  const double expected = std::exp(exponent) / sum;
  // Three roundings in the exponent act as relative errors of its size; the sum has one term for
  // each kept position.
  return {expected, Gamma(static_cast<double>(kept.size()) + 10 - 3 * exponent) * expected + kTiny};
}

OpVerifier::Expected OpVerifier::ExpectedValue(const Operands<float>& o, int64_t row,
                                               int64_t c) const {
  const AttentionShape& shape = o.attention;
  const int64_t T = shape.context, HS = shape.head_size;
  const int64_t i = row / T * shape.num_heads + c / HS;
  const HeadViews<const float> head(o.b, shape, i);
  Sum sum;
  for (int64_t s = 0; s < T; ++s) sum.Add(o.a(i * T + row % T, s), head.v(s, c % HS));
  return {sum.value, Gamma(static_cast<double>(T)) * sum.magnitude};
}

void OpVerifier::CheckAllReduce(const Op& op, int64_t layer, const Operands<float>& o) {
  std::vector<Element> elements;
  std::vector<double> own;
  for (const SampledRow& sample : samples_) {
    for (const int64_t c :
         SampleIndexes(o.y.cols, kSampledColumns, static_cast<uint64_t>(sample.row))) {
      elements.push_back({sample.row, c});
      own.push_back(sample.a[static_cast<std::size_t>(c)]);
    }
  }
  std::vector<Sum> sums(own.size());
  const auto add = [&](const std::vector<double>& values) {
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i].Add(values[i], 1);
  };
  add(own);
  Link& link = forward_.link();
  const auto [rank, P] = link.shard();
  for (int64_t step = 1; step < P; ++step) {
    std::vector<double> theirs(own.size());
    link.Exchange(std::as_bytes(std::span(own)), (rank + step) % P,
                  std::as_writable_bytes(std::span(theirs)), (rank + P - step) % P);
    add(theirs);
  }
  for (std::size_t i = 0; i < elements.size(); ++i) {
    // At most P − 1 additions, in whatever order.
    Check(op, layer, o, elements[i],
          {sums[i].value, Gamma(static_cast<double>(P - 1)) * sums[i].magnitude + kTiny});
  }
}

void OpVerifier::CheckAttentionRow(const Op& op, int64_t layer, const Operands<float>& o,
                                   int64_t row) {
  const AttentionShape& shape = o.attention;
  const int64_t T = shape.context, HS = shape.head_size, t = row % T;
  const int64_t past = forward_.shape().past;
  for (const int64_t c : SampleIndexes(o.y.cols, kSampledHeads, static_cast<uint64_t>(row))) {
    HeadViews<const float> head(o.a, shape, row / T * shape.num_heads + c / HS);
    if (past > 0) {
      const int64_t kv = c / HS / (shape.num_heads / shape.num_kv_heads);
      head.k = o.cache.keys_of(row / T, kv);
      head.v = o.cache.values_of(row / T, kv);
    }
    std::vector<double> weights;
    double largest = -std::numeric_limits<double>::infinity(), magnitude = 0;
    const int64_t begin = shape.first_key(past + t), end = past + t + 1;
    // The row of position s: a cache is a ring.
    const auto row_of = [&](int64_t s) { return past > 0 ? s % o.cache.capacity : s; };
    for (int64_t s = begin; s < end; ++s) {
      Sum score;
      for (int64_t j = 0; j < HS; ++j) score.Add(head.q(t, j), head.k(row_of(s), j));
      weights.push_back(score.value * shape.scale());
      largest = std::max(largest, weights.back());
      magnitude = std::max(magnitude, score.magnitude * shape.scale());
    }
    double total = 0;
    for (double& weight : weights) total += weight = std::exp(weight - largest);
    Sum sum;
    for (int64_t s = begin; s < end; ++s) {
      sum.Add(weights[static_cast<std::size_t>(s - begin)] / total, head.v(row_of(s), c % HS));
    }
    // A score's absolute error, gamma(HS + 2) of its magnitude, is a relative one of its
    // exponential; it enters the numerator and the denominator, beside the sums over the positions
    // and what each block's rescaling adds.
    const double bound = 2 * Gamma(static_cast<double>(HS) + 4) * magnitude +
                         2 * Gamma(static_cast<double>(end - begin) + 20);
    Check(op, layer, o, {row, c}, {sum.value, bound * sum.magnitude + kTiny});
  }
}

}  // namespace flopledger
