// Reference and fused attention, softmax, RoPE and the power of two, against double.
#include "kernels/attention.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <cmath>
#include <random>

#include "kernels/attention_cached.h"
#include "kernels/attention_fused.h"
#include "kernels/exp.h"
#include "kernels/rope.h"
#include "kernels/softmax_row.h"
#include "tests/support/reference.h"

namespace flopledger {
namespace {

template <class Scalar>
struct Case {
  AttentionShape shape;
  double spread;  // of the inputs: large ones make softmax pick one position

  Matrix<Scalar> Inputs() const {
    std::mt19937 random(3);
    std::uniform_real_distribution<double> uniform(-spread, spread);
    Matrix<Scalar> qkv(shape.batch * shape.context,
                       (shape.num_heads + 2 * shape.num_kv_heads) * shape.head_size);
    for (int64_t i = 0; i < qkv.size(); ++i) qkv.data()[i] = static_cast<Scalar>(uniform(random));
    return qkv;
  }

  /// Checks out [B·T, NH·HS] against plain loops in double.
  void Check(const Matrix<Scalar>& qkv, const Matrix<Scalar>& out) const {
    reference::Table table(qkv.rows(), qkv.cols());
    for (int64_t i = 0; i < qkv.size(); ++i) {
      table.values[static_cast<std::size_t>(i)] = static_cast<double>(qkv.data()[i]);
    }
    const auto expected = reference::Attention(shape, table);
    // A score's absolute error, (HS + 3)·u·Σ|q||k|/√HS, is a weight's relative one; the sums over
    // positions add (T + 3)·u. Values lie within `spread`.
    const double unit = std::numeric_limits<Scalar>::epsilon() / 2;
    const auto HS = static_cast<double>(shape.head_size);
    const double score_error = (HS + 3) * unit * std::sqrt(HS) * spread * spread;
    const double bound =
        spread * (2 * score_error + 2 * static_cast<double>(shape.context + 6) * unit);
    for (int64_t r = 0; r < out.rows(); ++r) {
      for (int64_t c = 0; c < out.cols(); ++c) {
        ASSERT_NEAR(static_cast<double>(out.view()(r, c)), expected(r, c), bound) << r << ", " << c;
      }
    }
  }
};

template <class Scalar>
class Attention : public ::testing::Test {
 protected:
  template <class Visit>
  void ForEachCase(Visit&& visit) {
    int i = 0;
    for (const AttentionShape& shape :
         {AttentionShape{1, 1, 1, 1, 1},
          {1, 1, 4, 2, 64},
          {2, 2, 2, 1, 3},
          {1, 31, 1, 1, 5},
          {1, 33, 3, 3, 16},
          {2, 65, 6, 2, 7},
          {1, 200, 2, 1, 64},
          {1, 257, 1, 1, 13},
          {1, 520, 2, 2, 8},
          // Windows below, at and above a tile of queries, a block of keys and a thread's task.
          {1, 1, 1, 1, 1, 1},
          {1, 77, 2, 1, 4, 1},
          {2, 70, 2, 2, 8, 5},
          {2, 130, 1, 1, 3, 31},
          {1, 520, 2, 1, 8, 33},
          {1, 420, 1, 1, 8, 191},
          {1, 520, 1, 1, 8, 192},
          {1, 700, 2, 2, 5, 193},
          {1, 330, 1, 1, 8, 300},
          {1, 60, 1, 1, 8, 60},
          {1, 60, 1, 1, 8, 61}}) {
      for (const double spread : {1.0, 10.0}) {
        omp_set_num_threads(1 + i++ % 3);
        const Case<Scalar> test{shape, spread};
        SCOPED_TRACE(::testing::PrintToString(
            std::array<int64_t, 6>{shape.batch, shape.context, shape.num_heads, shape.num_kv_heads,
                                   shape.head_size, shape.window}));
        visit(test);
        if (this->HasFatalFailure()) return;
      }
    }
  }
};

using Scalars = ::testing::Types<float, double>;
TYPED_TEST_SUITE(Attention, Scalars);

TYPED_TEST(Attention, ReferenceMeetsTheDefinition) {
  this->ForEachCase([](const Case<TypeParam>& test) {
    const AttentionShape& shape = test.shape;
    const Matrix<TypeParam> qkv = test.Inputs();
    Matrix<TypeParam> scores(shape.products() * shape.context, shape.context);
    Matrix<TypeParam> out(qkv.rows(), shape.num_heads * shape.head_size);
    const auto matmul = FindMatmul<TypeParam>("eigen")->run;
    AttentionScores<TypeParam>(shape, matmul, qkv.view(), scores.view());
    AttentionSoftmax<TypeParam>(shape, scores.view());
    AttentionValues<TypeParam>(shape, matmul, scores.view(), qkv.view(), out.view());
    test.Check(qkv, out);
  });
}

TYPED_TEST(Attention, FusedMeetsTheDefinition) {
  this->ForEachCase([](const Case<TypeParam>& test) {
    const AttentionShape& shape = test.shape;
    const Matrix<TypeParam> qkv = test.Inputs();
    Matrix<TypeParam> out(qkv.rows(), shape.num_heads * shape.head_size);
    Matrix<TypeParam> scratch(omp_get_max_threads(), FusedScratch<TypeParam>::Size(shape));
    AttentionFused<TypeParam>(shape, qkv.view(), out.view(), scratch.view());
    test.Check(qkv, out);
  });
}

/// A prompt, then one position after the other through the cache, whose rows are a ring where the
/// window is shorter than what has passed.
TYPED_TEST(Attention, CachedMeetsTheDefinition) {
  int i = 0;
  for (const AttentionShape& shape : {AttentionShape{1, 5, 1, 1, 1},
                                      {2, 19, 6, 2, 7},
                                      {2, 40, 4, 2, 8, 1},
                                      {1, 40, 3, 3, 5, 7},
                                      {2, 33, 2, 1, 8, 33},
                                      {1, 33, 2, 1, 8, 40}}) {
    for (const int64_t prompt : {int64_t{1}, shape.context / 3, shape.context - 1}) {
      omp_set_num_threads(1 + i++ % 3);
      const Case<TypeParam> test{shape, 3.0};
      const Matrix<TypeParam> qkv = test.Inputs();
      const int64_t B = shape.batch, T = shape.context, HS = shape.head_size;
      const int64_t capacity = std::min(T, shape.window);
      Matrix<TypeParam> keys(B, shape.num_kv_heads * capacity * HS),
          values(keys.rows(), keys.cols());
      const CacheView<TypeParam> cache{keys.data(), values.data(), capacity, shape.num_kv_heads,
                                       HS};
      Matrix<TypeParam> out(qkv.rows(), shape.num_heads * HS);
      Matrix<TypeParam> fused(omp_get_max_threads(), FusedScratch<TypeParam>::Size(shape));
      Matrix<TypeParam> scores(omp_get_max_threads(), capacity);
      AttentionFused<TypeParam>(shape, qkv.view(), out.view(), fused.view());
      // Positions [begin, end) of every sequence.
      const auto rows_of = [&](const Matrix<TypeParam>& all, int64_t begin, int64_t end) {
        Matrix<TypeParam> some(B * (end - begin), all.cols());
        for (int64_t r = 0; r < some.rows(); ++r) {
          const int64_t row = r / (end - begin) * T + begin + r % (end - begin);
          std::copy_n(all.view().row(row), all.cols(), some.view().row(r));
        }
        return some;
      };
      AttentionShape part = shape;
      part.context = prompt;
      AppendToCache<TypeParam>(part, 0, rows_of(qkv, 0, prompt).view(), cache);
      part.context = 1;
      for (int64_t past = prompt; past < T; ++past) {
        const Matrix<TypeParam> now = rows_of(qkv, past, past + 1);
        Matrix<TypeParam> step(B, out.cols());
        AppendToCache<TypeParam>(part, past, now.view(), cache);
        AttentionCached<TypeParam>(
            part, past,
            {.qkv = now.view(), .cache = cache, .out = step.view(), .scratch = scores.view()});
        for (int64_t b = 0; b < B; ++b) {
          std::copy_n(step.view().row(b), out.cols(), out.view().row(b * T + past));
        }
      }
      test.Check(qkv, out);
      if (this->HasFatalFailure()) return;
    }
  }
}

TEST(AttentionFused, HugeScoresPickOnePositionAndStayFinite) {
  const AttentionShape shape{1, 40, 1, 1, 4};
  Matrix<float> qkv(40, 12), out(40, 4),
      scratch(omp_get_max_threads(), FusedScratch<float>::Size(shape));
  for (int64_t t = 0; t < 40; ++t) {
    for (int64_t j = 0; j < 4; ++j) {
      qkv.view()(t, j) = 100;                                                  // q
      qkv.view()(t, 4 + j) = static_cast<float>(t % 2 == 0 ? 100 : -100) + t;  // k: later is larger
      qkv.view()(t, 8 + j) = static_cast<float>(t);                            // v
    }
  }
  AttentionFused<float>(shape, qkv.view(), out.view(), scratch.view());
  for (int64_t t = 0; t < 40; ++t) {
    // What is left of the others is at most 2^−126 each.
    EXPECT_NEAR(out.view()(t, 0), static_cast<float>(t / 2 * 2), 40 * 40 * 0x1p-126) << t;
  }
}

TEST(Exp2OfNonPositive, ErrsByAtMostOneAndAHalfUnits) {
  using Packet = simd::PacketOf<float>;
  constexpr int lanes = simd::kLanes<Packet>;
  alignas(64) float in[lanes], out[lanes];
  double worst = 0;
  const auto check = [&] {
    simd::pstore(out, Exp2OfNonPositive(simd::pload<Packet>(in)));
    for (int i = 0; i < lanes; ++i) {
      const double exact = std::exp2(std::max(-126.0, static_cast<double>(in[i])));
      worst = std::max(worst, std::abs(static_cast<double>(out[i]) / exact - 1) * 0x1p23);
    }
  };
  // Every 97th float from −0 to −126: all exponents, and mantissas that share no pattern.
  int filled = 0;
  for (uint32_t bits = 0x80000000u; bits <= 0xc2fc0000u; bits += 97) {
    in[filled++] = Eigen::numext::bit_cast<float>(bits);
    if (filled == lanes) {
      check();
      filled = 0;
    }
  }
  for (const float edge : {0.0f, -0.5f, -1.0f, -125.5f, -126.0f, -127.0f, -1e30f}) {
    std::fill_n(in, lanes, edge);
    check();
  }
  EXPECT_LE(worst, 1.5);
  EXPECT_GT(worst, 0.5);  // it measures something
  std::fill_n(in, lanes, 0.0f);
  check();
  EXPECT_EQ(out[0], 1.0f);
}

/// The components of pair j of a head.
std::pair<int64_t, int64_t> PairOf(RopeLayout layout, int64_t j, int64_t pairs) {
  if (layout == RopeLayout::kHalves) return {j, pairs + j};
  return {2 * j, 2 * j + 1};
}

TEST(Rope, TurnsPairsOfQueriesAndKeysByTheirPositionAndLeavesTheRest) {
  const AttentionShape shape{2, 9, 4, 2, 6};
  const std::vector<double> frequencies{1.0, 0.3, 0.01};
  for (const RopeLayout layout : {RopeLayout::kHalves, RopeLayout::kAdjacent}) {
    for (const int64_t pairs : {3, 2}) {
      for (const int64_t past : {0, 4}) {
        RopeTable<float> table(past + 9, pairs, layout);
        for (int64_t p = 0; p < past + 9; ++p) {
          table.Set(p, std::span(frequencies).first(static_cast<std::size_t>(pairs)), 1.5);
        }
        Matrix<float> qkv(18, 48);
        reference::Table expected(18, 48);
        for (int64_t i = 0; i < qkv.size(); ++i) {
          qkv.data()[i] = static_cast<float>(i % 13) - 6;
          expected.values[static_cast<std::size_t>(i)] = static_cast<double>(qkv.data()[i]);
        }
        ApplyRope<float>(shape, table, qkv.view(), past);
        for (int64_t r = 0; r < 18; ++r) {
          for (int64_t h = 0; h < 6; ++h) {
            for (int64_t j = 0; j < pairs; ++j) {
              const auto [first, second] = PairOf(layout, j, pairs);
              const double angle =
                  static_cast<double>(past + r % 9) * frequencies[static_cast<std::size_t>(j)];
              double &x = expected(r, 6 * h + first), &y = expected(r, 6 * h + second);
              const double rotated = 1.5 * (x * std::cos(angle) - y * std::sin(angle));
              y = 1.5 * (y * std::cos(angle) + x * std::sin(angle));
              x = rotated;
            }
          }
          for (int64_t c = 0; c < 48; ++c) {
            // Two products of factors at most 6 and 1.5, each rounded, with a rounded cosine or
            // sine.
            EXPECT_NEAR(qkv.view()(r, c), expected(r, c), 5 * 18 * 0x1p-24);
          }
        }
      }
    }
  }
}

TEST(SoftmaxRow, SumsToOneWhateverIsAddedToItsEntries) {
  for (const float offset : {0.0f, 1e4f, -1e4f}) {
    float row[5] = {0, 1, -2, 0.5f, 3};
    double expected[5], sum = 0;
    for (int i = 0; i < 5; ++i) sum += expected[i] = std::exp(0.5 * static_cast<double>(row[i]));
    for (float& value : row) value += offset;
    SoftmaxRow(row, 5, 0.5f);
    // Adding the offset rounds each entry by half a unit of its size.
    const double rounding = 2 * static_cast<double>(std::abs(offset) + 8) * 0x1p-24;
    for (int i = 0; i < 5; ++i) EXPECT_NEAR(row[i], expected[i] / sum, rounding);
  }
  float one[1] = {-3e30f};
  SoftmaxRow(one, 1, 1.0f);
  EXPECT_EQ(one[0], 1.0f);
}

}  // namespace
}  // namespace flopledger
