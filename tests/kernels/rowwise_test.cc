// Norms, activations, embedding, residual, storage formats and buffers.
#include "kernels/rowwise.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "kernels/activation_rows.h"
#include "kernels/bandwidth.h"
#include "kernels/convert.h"
#include "kernels/fma_chains.h"
#include "kernels/pointwise.h"
#include "tests/support/reference.h"

namespace flopledger {
namespace {

using reference::Table;

Matrix<float> Random(int64_t rows, int64_t cols, double low, double high) {
  std::mt19937 random(1);
  std::uniform_real_distribution<double> uniform(low, high);
  Matrix<float> matrix(rows, cols);
  for (int64_t i = 0; i < matrix.size(); ++i) {
    matrix.data()[i] = static_cast<float>(uniform(random));
  }
  return matrix;
}

Table InDouble(const Matrix<float>& matrix) {
  Table table(matrix.rows(), matrix.cols());
  for (int64_t i = 0; i < matrix.size(); ++i) {
    table.values[static_cast<std::size_t>(i)] = static_cast<double>(matrix.data()[i]);
  }
  return table;
}

class Norms : public ::testing::TestWithParam<std::tuple<Norm, bool, int64_t, double>> {};

TEST_P(Norms, MeetTheDefinition) {
  const auto [norm, with_bias, C, offset] = GetParam();
  const Matrix<float> x = Random(5, C, offset - 1, offset + 1);
  Matrix<float> y(5, C);
  Weight<float> gain(1, C, WeightLayout::kInputsByOutputs);
  Weight<float> bias(1, with_bias ? C : 0, WeightLayout::kInputsByOutputs);
  for (int64_t c = 0; c < C; ++c) {
    gain.view()(0, c) = 1 + 0.1f * static_cast<float>(c % 3);
    if (with_bias) bias.view()(0, c) = 0.2f * static_cast<float>(c % 5);
  }
  ModelConfig config;
  config.norm = norm;
  const auto eps = static_cast<float>(config.norm_eps);
  if (norm == Norm::kRmsNorm) {
    RmsNorm<float>(x.view(), gain.matrix(), eps, y.view());
  } else {
    LayerNorm<float>(x.view(), gain.data(), with_bias ? bias.data() : nullptr, eps, y.view());
  }
  const Table expected = reference::Normalised(config, InDouble(x), gain, bias);
  // The mean errs by (C + 1)·u·|offset + 1|; divided by the deviation, that of one constant column
  // being √eps. The rest is a few roundings of values below √C + 1.
  const double unit = 0x1p-24, size = static_cast<double>(C);
  const double deviation = C == 1 ? std::sqrt(config.norm_eps) : 0.3;
  const double mean_error =
      norm == Norm::kRmsNorm ? 0 : (size + 1) * unit * (std::abs(offset) + 1) / deviation;
  const double bound = 1.3 * (2 * mean_error + (size + 10) * unit * (std::sqrt(size) + 1));
  for (int64_t r = 0; r < 5; ++r) {
    for (int64_t c = 0; c < C; ++c) EXPECT_NEAR(y.view()(r, c), expected(r, c), bound);
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, Norms,
                         ::testing::Combine(::testing::Values(Norm::kLayerNorm), ::testing::Bool(),
                                            ::testing::Values(1, 2, 7, 33, 1600),
                                            ::testing::Values(0.0, 100.0)));
INSTANTIATE_TEST_SUITE_P(RmsSizes, Norms,
                         ::testing::Combine(::testing::Values(Norm::kRmsNorm),
                                            ::testing::Values(false),
                                            ::testing::Values(1, 2, 7, 33, 1600),
                                            ::testing::Values(0.0, 100.0)));

TEST(RmsNorm, NormalisesEachHeadOfARowByItself) {
  const Matrix<float> x = Random(3, 20, -2, 2), gain = Random(1, 5, 0.5, 1.5);
  Matrix<float> y(3, 20);
  std::copy_n(x.data(), x.size(), y.data());
  RmsNorm<float>(y.view(), gain.view(), 1e-3f, y.view());  // in place
  for (int64_t r = 0; r < 3; ++r) {
    for (int64_t c = 0; c < 20; ++c) {
      double square = 0;
      for (int64_t j = c / 5 * 5; j < c / 5 * 5 + 5; ++j) {
        square += static_cast<double>(x.view()(r, j)) * static_cast<double>(x.view()(r, j)) / 5;
      }
      const double expected = static_cast<double>(x.view()(r, c)) / std::sqrt(square + 1e-3) *
                              static_cast<double>(gain.view()(0, c % 5));
      EXPECT_NEAR(y.view()(r, c), expected, 20 * 0x1p-24 * std::abs(expected));
    }
  }
  EXPECT_THROW(
      RmsNorm<float>(y.view().block(0, 0, 3, 19), gain.view(), 1e-3f, y.view().block(0, 0, 3, 19)),
      Fault);
}

double Exactly(Nonlinearity f, double x) {
  switch (f) {
    case Nonlinearity::kGeluTanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case Nonlinearity::kGeluErf: return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
    case Nonlinearity::kRelu: return x > 0 ? x : 0;
    case Nonlinearity::kReluSquared: return x > 0 ? x * x : 0;
    case Nonlinearity::kSilu: return x / (1 + std::exp(-x));
    case Nonlinearity::kGeluSigmoid: return x / (1 + std::exp(-1.702 * x));
  }
  return NAN;
}

TEST(Activations, MeetTheirDefinitionsGatedAndPlain) {
  const Matrix<float> inputs = Random(3, 999, -12, 12), up = Random(3, 999, -2, 2);
  for (const Nonlinearity f :
       {Nonlinearity::kGeluTanh, Nonlinearity::kGeluErf, Nonlinearity::kRelu,
        Nonlinearity::kReluSquared, Nonlinearity::kSilu, Nonlinearity::kGeluSigmoid}) {
    Matrix<float> plain(3, 999), gated(3, 999), in_place_of_up(3, 999);
    std::copy_n(inputs.data(), inputs.size(), plain.data());
    std::copy_n(inputs.data(), inputs.size(), gated.data());
    std::copy_n(up.data(), up.size(), in_place_of_up.data());
    Activate<float>(f, plain.view());
    ActivateGate<float>(f, gated.view(), up.view());
    GateRow<float>(f, inputs.data(), in_place_of_up.data(), in_place_of_up.data(), inputs.size());
    for (int64_t i = 0; i < plain.size(); ++i) {
      const auto x = static_cast<double>(inputs.data()[i]);
      const auto scale = static_cast<double>(up.data()[i]);
      // 1 + tanh cancels for negative inputs: the error is absolute, a few units of |x| (of its
      // square for ReLU²).
      const double size = f == Nonlinearity::kReluSquared ? x * x : std::abs(x);
      const double bound = 12 * 0x1p-24 * size, y = Exactly(f, x);
      EXPECT_NEAR(plain.data()[i], y, bound) << static_cast<int>(f) << " of " << x;
      EXPECT_NEAR(gated.data()[i], y * scale, bound * std::abs(scale)) << static_cast<int>(f);
      EXPECT_NEAR(in_place_of_up.data()[i], y * scale, bound * std::abs(scale));
    }
  }
}

TEST(Embed, AddsThePositionToTheTokensRow) {
  for (const WeightLayout layout :
       {WeightLayout::kInputsByOutputs, WeightLayout::kOutputsByInputs, WeightLayout::kPanels}) {
    Weight<float> table(5, 70, layout);
    for (int64_t c = 0; c < 5; ++c) {
      for (int64_t v = 0; v < 70; ++v) table.view()(c, v) = static_cast<float>(100 * v + c);
    }
    Matrix<float> positions(4, 5), y(6, 5);
    for (int64_t i = 0; i < positions.size(); ++i) positions.data()[i] = static_cast<float>(i) / 8;
    const std::vector<int32_t> tokens{0, 69, 3, 3, 64, 1};
    const Weight<float>& const_table = table;
    Embed<float>({.tokens = tokens,
                  .table = const_table.view(),
                  .positions = positions.view(),
                  .context = 3,
                  .y = y.view()});
    for (int64_t r = 0; r < 6; ++r) {
      for (int64_t c = 0; c < 5; ++c) {
        const int32_t token = tokens[static_cast<std::size_t>(r)];
        EXPECT_EQ(y.view()(r, c),
                  static_cast<float>(100 * token + c) + static_cast<float>(r % 3 * 5 + c) / 8);
      }
    }
    Embed<float>({.tokens = tokens, .table = const_table.view(), .y = y.view()});
    EXPECT_EQ(y.view()(1, 2), 6902.0f);
    Embed<float>({.tokens = tokens,
                  .table = const_table.view(),
                  .scale = 0.5,
                  .positions = positions.view(),
                  .context = 3,
                  .y = y.view()});
    EXPECT_EQ(y.view()(1, 2), 3451.0f + 7.0f / 8);  // the position is not scaled
  }
}

TEST(AddResidual, AddsElementByElement) {
  Matrix<float> x = Random(3, 17, -1, 1);
  const Matrix<float> before = Random(3, 17, -1, 1), y = Random(3, 17, 4, 5);
  AddResidual<float>(x.view(), y.view());
  for (int64_t i = 0; i < x.size(); ++i) {
    EXPECT_EQ(x.data()[i], before.data()[i] + y.data()[i]);
  }
  std::copy_n(before.data(), before.size(), x.data());
  AddResidual<float>(x.view(), y.view(), 0.25);
  for (int64_t i = 0; i < x.size(); ++i) {
    EXPECT_NEAR(x.data()[i], before.data()[i] + 0.25f * y.data()[i], 3 * 0x1p-24);
  }
  EXPECT_THROW(AddResidual<float>(x.view(), y.view().block(0, 0, 3, 16)), Fault);
}

TEST(Convert, HalfPrecisionIsExact) {
  const auto f16 = [](uint16_t bits) {
    return LoadF16(reinterpret_cast<const std::byte*>(&bits), 0);
  };
  const auto bf16 = [](uint16_t bits) {
    return LoadBf16(reinterpret_cast<const std::byte*>(&bits), 0);
  };
  EXPECT_EQ(f16(0x3c00), 1.0f);
  EXPECT_EQ(f16(0xc000), -2.0f);
  EXPECT_EQ(f16(0x7bff), 65504.0f);
  EXPECT_EQ(f16(0x0001), 0x1p-24f);  // the smallest denormal
  EXPECT_TRUE(std::isinf(f16(0x7c00)));
  EXPECT_TRUE(std::isnan(f16(0x7e00)));
  EXPECT_EQ(bf16(0x3f80), 1.0f);
  EXPECT_EQ(bf16(0xc040), -3.0f);
  EXPECT_TRUE(std::isinf(bf16(0xff80)));
  EXPECT_TRUE(std::isnan(bf16(0x7fc0)));
}

TEST(Matrix, IsAlignedAndItsBlocksAreChecked) {
  for (const int64_t size : {0L, 1L, 17L, 1L << 20}) {
    const Matrix<float> matrix(1, size);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(matrix.data()) % 64, 0) << size;
  }
  Matrix<float> matrix(3, 4);
  EXPECT_EQ(matrix.view().block(1, 2, 2, 2).data, matrix.data() + 6);
  EXPECT_THROW(matrix.view().block(1, 2, 3, 2), Fault);
  EXPECT_THROW(matrix.view().block(0, -1, 1, 1), Fault);
}

TEST(Check, NamesTheConditionAndTheValues) {
  try {
    const int rows = 3;
    FL_CHECK(rows == 4, rows);
    FAIL();
  } catch (const Fault& fault) {
    EXPECT_NE(std::string(fault.what()).find("rows == 4"), std::string::npos);
    EXPECT_NE(std::string(fault.what()).find("(rows) = 3"), std::string::npos);
  }
}

TEST(FmaChains, RunAsManyFlopsAsTheySay) {
  EXPECT_GT(FmaChainsFlops(1), 0);
  EXPECT_EQ(FmaChainsFlops(1000), 1000 * FmaChainsFlops(1));
  EXPECT_TRUE(std::isfinite(RunFmaChains(1000)));
  EXPECT_EQ(FmaChainsFlops(1000), FmaChainsFlops(1000, FmaWidths().front()));
  for (const int lanes : FmaWidths()) {
    EXPECT_EQ(RunFmaChains(1000, lanes) > 0, true) << lanes;  // no width runs nothing
  }
}

TEST(Streams, TouchEveryElement) {
  constexpr int64_t kSize = 3 * kStreamStep;
  Matrix<float> a(1, kSize), b(1, kSize), c(1, kSize);
  for (int64_t i = 0; i < kSize; ++i) {
    b.data()[i] = static_cast<float>(i);
    c.data()[i] = 1;
  }
  EXPECT_EQ(StreamRead(b.data(), kSize), static_cast<float>(kSize * (kSize - 1) / 2));
  StreamTriad(a.data(), b.data(), c.data(), 2, kSize);
  EXPECT_EQ(StreamRead(a.data(), kSize), static_cast<float>(kSize * (kSize - 1) / 2 + 2 * kSize));
  std::fill_n(c.data(), kSize, -1.0f);
  ExponentiateAll(c.data(), a.data(), kSize);
  EXPECT_NEAR(StreamRead(a.data(), kSize), 0.5 * kSize, 1e-3);
}

}  // namespace
}  // namespace flopledger
