// Every product backend, in every layout that it takes, against the definition in double.
#include "kernels/matmul.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <random>
#include <utility>

#include "kernels/activation_rows.h"
#include "kernels/counted.h"
#include "kernels/matmul_library.h"
#include "kernels/matmul_packed.h"
#include "kernels/microkernel.h"
#include "kernels/pointwise.h"
#include "tests/support/scoped_variable.h"

namespace flopledger {
namespace {

struct Shape {
  int64_t M, N, K;
};

// Units, odd sizes, and both sides of every tile, panel and K-block.
constexpr Shape kShapes[] = {
    {1, 1, 1},     {1, 7, 5},     {7, 1, 5},    {1, 1, 300},    {2, 3, 4},     {5, 33, 17},
    {13, 31, 64},  {12, 32, 256}, {48, 128, 8}, {49, 129, 257}, {97, 65, 513}, {193, 130, 31},
    {600, 500, 9}, {1, 600, 70},  {3, 2, 2049}, {1153, 3, 5},   {25, 70, 4100}};

template <class Scalar>
class Matmul : public ::testing::Test {
 protected:
  void Fill(Scalar* values, int64_t size) {
    std::uniform_real_distribution<double> uniform(-1, 1);
    for (int64_t i = 0; i < size; ++i) values[i] = static_cast<Scalar>(uniform(random_));
  }

  /// x·w + bias by `backend`, w in `layout`, into a y with a stride of its own.
  void Check(const MatmulBackend<Scalar>& backend, const Shape& shape, WeightLayout layout,
             bool with_bias, int threads) {
    SCOPED_TRACE(std::string(backend.name) + " " + std::to_string(shape.M) + "x" +
                 std::to_string(shape.N) + "x" + std::to_string(shape.K) + " layout " +
                 std::to_string(static_cast<int>(layout)) + (with_bias ? " bias " : " ") +
                 std::to_string(threads) + " threads");
    const auto [M, N, K] = shape;
    Matrix<Scalar> x(M, K + 3), y(M, N + 5);
    Weight<Scalar> w(K, N, layout);
    std::vector<Scalar> bias(static_cast<std::size_t>(N));
    Fill(x.data(), x.size());
    Fill(bias.data(), N);
    for (int64_t k = 0; k < K; ++k) {
      for (int64_t n = 0; n < N; ++n) Fill(&w.view()(k, n), 1);
    }
    std::fill_n(y.data(), y.size(), Scalar(77));
    omp_set_num_threads(threads);
    const auto x_view = x.view().block(0, 1, M, K);
    const auto y_view = y.view().block(0, 2, M, N);
    for (int64_t m = 0; m < M; ++m) std::fill_n(y_view.row(m), N, Scalar(NAN));  // overwritten
    const Weight<Scalar>& const_w = w;
    backend.run(
        {.x = x_view, .w = const_w.view(), .bias = with_bias ? bias.data() : nullptr, .y = y_view});
    const double unit = std::numeric_limits<Scalar>::epsilon() / 2;
    // gamma(K + 1) of the contract, and as much again for the double reference when Scalar is it.
    const double gamma = 2 * static_cast<double>(K + 1) * unit;
    for (int64_t m = 0; m < M; ++m) {
      for (int64_t n = 0; n < N; ++n) {
        double sum = with_bias ? static_cast<double>(bias[static_cast<std::size_t>(n)]) : 0;
        double magnitude = std::abs(sum);
        for (int64_t k = 0; k < K; ++k) {
          const double term =
              static_cast<double>(x_view(m, k)) * static_cast<double>(w.view()(k, n));
          sum += term;
          magnitude += std::abs(term);
        }
        ASSERT_NEAR(static_cast<double>(y_view(m, n)), sum, gamma * magnitude) << m << ", " << n;
      }
    }
    for (int64_t m = 0; m < M; ++m) {  // what lies around y is untouched
      for (const int64_t c : {int64_t{0}, int64_t{1}, N + 2, N + 4}) {
        ASSERT_EQ(y.view()(m, c), Scalar(77)) << m << ", " << c;
      }
    }
  }

  std::mt19937 random_{1};
};

using Scalars = ::testing::Types<float, double>;
TYPED_TEST_SUITE(Matmul, Scalars);

TYPED_TEST(Matmul, EveryBackendMeetsTheDefinition) {
  for (const auto& backend : MatmulBackends<TypeParam>()) {
    int i = 0;
    for (const Shape& shape : kShapes) {
      const auto layouts = backend.packs_weights ? std::vector{WeightLayout::kPanels}
                                                 : std::vector{WeightLayout::kInputsByOutputs,
                                                               WeightLayout::kOutputsByInputs};
      for (const WeightLayout layout : layouts) {
        ++i;
        this->Check(backend, shape, layout, i % 2 == 0, 1 + i % 3);
        if (this->HasFatalFailure()) return;
      }
    }
  }
}

TYPED_TEST(Matmul, AnEpilogueIsTheOpThatItStandsFor) {
  using Scalar = TypeParam;
  const auto& backend = *FindMatmul<Scalar>("packed-fused");
  int i = 0;
  for (const auto& [M, N, K] : kShapes) {
    for (const Epilogue epilogue : {Epilogue::kResidual, Epilogue::kActivate, Epilogue::kGate}) {
      const auto f = static_cast<Nonlinearity>(i % 6);
      SCOPED_TRACE(::testing::Message()
                   << M << "x" << N << "x" << K << " epilogue " << static_cast<int>(epilogue));
      omp_set_num_threads(1 + ++i % 3);
      Matrix<Scalar> x(M, K), other(M, N), apart(M, N), within(M, N);
      Matrix<Scalar> bias(1, N);
      Weight<Scalar> w(K, N, WeightLayout::kPanels);
      for (auto* matrix : {&x, &other, &bias}) this->Fill(matrix->data(), matrix->size());
      for (int64_t k = 0; k < K; ++k) {
        for (int64_t n = 0; n < N; ++n) this->Fill(&w.view()(k, n), 1);
      }
      MatmulArgs<Scalar> args{.x = x.view(),
                              .w = std::as_const(w).view(),
                              .bias = i % 2 == 0 ? bias.data() : nullptr,
                              .y = apart.view()};
      backend.run(args);
      switch (epilogue) {
        case Epilogue::kNone: break;
        case Epilogue::kResidual: AddResidual<Scalar>(apart.view(), other.view()); break;
        case Epilogue::kActivate: Activate<Scalar>(f, apart.view()); break;
        case Epilogue::kGate:
          GateRow<Scalar>(f, other.data(), apart.data(), apart.data(), apart.size());
      }
      std::copy_n(other.data(), other.size(), within.data());  // what the residual adds onto
      args.y = within.view();
      args.epilogue = epilogue;
      args.nonlinearity = f;
      args.gate = other.view();
      backend.run(args);
      const double tolerance = 8 * static_cast<double>(K + 8) *
                               static_cast<double>(std::numeric_limits<Scalar>::epsilon());
      for (int64_t j = 0; j < apart.size(); ++j) {
        ASSERT_NEAR(within.data()[j], apart.data()[j], tolerance) << "element " << j;
      }
    }
  }
}

TYPED_TEST(Matmul, ShapesThatDoNotFitAreAFault) {
  Matrix<TypeParam> x(2, 3), y(2, 4);
  for (const auto& backend : MatmulBackends<TypeParam>()) {
    const Weight<TypeParam> w(
        4, 4, backend.packs_weights ? WeightLayout::kPanels : WeightLayout::kInputsByOutputs);
    EXPECT_THROW(backend.run({.x = x.view(), .w = w.view(), .y = y.view()}), Fault);
  }
}

/// The libraries that can be loaded here; all of them, where the environment says that they must.
std::vector<MatmulLibrary> UsableLibraries() {
  std::vector<MatmulLibrary> usable;
  for (const MatmulLibrary& library : MatmulLibraries()) {
    const SharedLibrary& found = library.load();
    EXPECT_TRUE(found.usable() || std::getenv("FLOPLEDGER_TEST_ALL_LIBRARIES") == nullptr)
        << found.error;
    if (found.usable()) usable.push_back(library);
  }
  return usable;
}

using MatmulOfLibraries = Matmul<float>;

// In turn, in one process: a symbol of one that reached into another would show.
TEST_F(MatmulOfLibraries, MeetTheDefinitionSideBySide) {
  const auto libraries = UsableLibraries();
  if (libraries.empty()) GTEST_SKIP() << "no library of products is installed";
  int i = 0;
  for (const Shape& shape : kShapes) {
    for (const WeightLayout layout :
         {WeightLayout::kInputsByOutputs, WeightLayout::kOutputsByInputs}) {
      for (const bool with_bias : {false, true}) {
        ++i;
        for (const MatmulLibrary& library : libraries) {
          Check(library.backend, shape, layout, with_bias, 1 + i % 3);
          if (HasFatalFailure()) return;
        }
      }
    }
  }
}

// As reference attention calls them: one product a thread, then again all threads for one.
TEST_F(MatmulOfLibraries, RunInsideAParallelRegion) {
  constexpr int64_t kSize = 70;
  Matrix<float> x(kSize, kSize), w(kSize, kSize);
  for (int64_t i = 0; i < x.size(); ++i) {  // small integers: exact
    x.data()[i] = static_cast<float>(i % 7 - 3);
    w.data()[i] = static_cast<float>(i % 5 - 2);
  }
  Matrix<float> expected(kSize, kSize);
  const auto operands = [&](Matrix<float>& y) {
    return MatmulArgs<float>{
        .x = x.view(), .w = WeightView<const float>::Of(w.view()), .y = y.view()};
  };
  FindMatmul<float>("reference")->run(operands(expected));
  omp_set_num_threads(2);
  for (const MatmulLibrary& library : UsableLibraries()) {
    std::vector<Matrix<float>> results;
    for (int i = 0; i < 20; ++i) results.emplace_back(kSize, kSize);
#pragma omp parallel for
    for (int i = 0; i < 19; ++i)
      library.backend.run(operands(results[static_cast<std::size_t>(i)]));
    library.backend.run(operands(results[19]));
    EXPECT_EQ(omp_get_max_threads(), 2) << library.backend.name << " changed our threads";
    for (const Matrix<float>& y : results) {
      for (int64_t i = 0; i < y.size(); ++i) {
        ASSERT_EQ(y.data()[i], expected.data()[i]) << library.backend.name;
      }
    }
  }
}

TEST_F(MatmulOfLibraries, RefuseShapesThatDoNotFit) {
  Matrix<float> x(2, 3), y(2, 4);
  const Weight<float> w(4, 4, WeightLayout::kInputsByOutputs);
  for (const MatmulLibrary& library : UsableLibraries()) {
    EXPECT_THROW(library.backend.run({.x = x.view(), .w = w.view(), .y = y.view()}), Fault);
  }
}

TEST_F(MatmulOfLibraries, SayWhatTheyAreAndAreForFloatAlone) {
  for (const MatmulLibrary& library : MatmulLibraries()) {
    const SharedLibrary& found = library.load();
    EXPECT_EQ(FindMatmul<float>(library.backend.name) != nullptr, found.usable());
    EXPECT_EQ(FindMatmul<double>(library.backend.name), nullptr);
    EXPECT_EQ(FindMatmul<Counted<float>>(library.backend.name), nullptr);
    EXPECT_EQ(found.version.empty(), !found.usable());
    EXPECT_EQ(found.path.empty(), !found.usable());
  }
}

TEST(SharedLibrary, IsTheFirstThatLoadsUnlessTheEnvironmentHidesThemAll) {
  for (const char* shown : {static_cast<const char*>(nullptr), "0"}) {
    const ScopedVariable variable("FLOPLEDGER_NO_LIBRARIES", shown);
    EXPECT_TRUE(LoadOptionalLibrary({"libflopledger-no-such.so.9", "libm.so.6"}).usable());
  }
  const ScopedVariable variable("FLOPLEDGER_NO_LIBRARIES", "1");
  EXPECT_EQ(LoadOptionalLibrary({"libm.so.6"}).error, "FLOPLEDGER_NO_LIBRARIES is set");
}

TEST(SharedLibrary, ThatIsAbsentOrLacksAFunctionSaysSo) {
  SharedLibrary absent = LoadSharedLibrary("libflopledger-no-such.so.9");
  EXPECT_FALSE(absent.usable());
  EXPECT_NE(absent.error.find("libflopledger-no-such.so.9"), std::string::npos) << absent.error;
  EXPECT_EQ(FindSymbol(absent, "cos"), nullptr);

  SharedLibrary math = LoadSharedLibrary("libm.so.6");
  double (*cosine)(double) = nullptr;
  Bind(math, "cos", cosine);
  ASSERT_TRUE(math.usable()) << math.error;
  EXPECT_EQ(cosine(0), 1);
  EXPECT_NE(math.path.find("libm"), std::string::npos);
  EXPECT_EQ(FindSymbol(math, "no_such_function"), nullptr);
  EXPECT_FALSE(math.usable());
  EXPECT_NE(math.error.find("no_such_function"), std::string::npos) << math.error;
}

TEST(MatmulBackends, AreFoundByName) {
  for (const auto& backend : MatmulBackends<float>()) {
    EXPECT_EQ(FindMatmul<float>(backend.name)->run, backend.run);
  }
  EXPECT_EQ(FindMatmul<float>("none"), nullptr);
}

TEST(Weight, HoldsEachElementOnceInEveryLayout) {
  for (const WeightLayout layout :
       {WeightLayout::kInputsByOutputs, WeightLayout::kOutputsByInputs, WeightLayout::kPanels}) {
    for (const auto& [inputs, outputs] : {std::pair{1, 1}, {3, 70}, {70, 3}, {5, 64}}) {
      Weight<float> w(inputs, outputs, layout);
      for (int64_t k = 0; k < inputs; ++k) {
        for (int64_t n = 0; n < outputs; ++n) w.view()(k, n) = static_cast<float>(k * outputs + n);
      }
      for (int64_t k = 0; k < inputs; ++k) {
        for (int64_t n = 0; n < outputs; ++n) {
          ASSERT_EQ(w.view()(k, n), static_cast<float>(k * outputs + n));
        }
      }
      EXPECT_EQ(w.size(), inputs * outputs);
      EXPECT_GE(w.stored_size(), w.size());
      double sum = 0;  // panels are padded with zeros
      for (int64_t i = 0; i < w.stored_size(); ++i) sum += static_cast<double>(w.data()[i]);
      EXPECT_EQ(sum, 0.5 * static_cast<double>(w.size()) * static_cast<double>(w.size() - 1));
    }
  }
}

/// With factors that lie in rows (row_step elements apart), or in columns.
template <class Factors>
void CheckMicroKernel(bool accumulate, int64_t row_step, int64_t k_step) {
  constexpr int columns = kTileColumns<float>;
  for (int rows = 1; rows <= kTileRows; ++rows) {
    for (const int64_t depth : {0L, 1L, 5L, 64L}) {
      Matrix<float> x(1, (kTileRows + 64) * 70), panel(depth + 1, columns), y(rows, columns + 3);
      for (int64_t i = 0; i < x.size(); ++i) x.data()[i] = static_cast<float>(i % 7 - 3);
      for (int64_t i = 0; i < panel.size(); ++i) panel.data()[i] = static_cast<float>(i % 5 - 2);
      std::fill_n(y.data(), y.size(), 9.0f);
      const TileRows<const float> zeros{kZeros<float>, 0}, old{y.data(), columns + 3};
      const TileFactors<float, Factors> product{
          .depth = depth, .x = {x.data(), std::max(row_step, k_step)}, .panel = panel.data()};
      MicroKernel<float>(rows, product, accumulate ? old : zeros, {y.data(), columns + 3});
      for (int r = 0; r < rows; ++r) {
        for (int c = 0; c < columns; ++c) {
          float sum = accumulate ? 9.0f : 0.0f;  // small integers: exact
          for (int64_t k = 0; k < depth; ++k) {
            sum += x.data()[r * row_step + k * k_step] * panel.view()(k, c);
          }
          ASSERT_EQ(y.view()(r, c), sum) << rows << " rows, depth " << depth;
        }
        ASSERT_EQ(y.view()(r, columns), 9.0f);
      }
    }
  }
}

TEST(MicroKernel, EveryNumberOfRowsIsExactOnSmallIntegers) {
  for (const bool accumulate : {false, true}) {
    CheckMicroKernel<LhsRowMajor<float>>(accumulate, 67, 1);
    CheckMicroKernel<LhsColMajor<float>>(accumulate, 1, 17);
  }
}

TEST(OddLinesStride, IsTheLeastOddNumberOfCacheLinesThatHoldsARow) {
  for (int64_t cols = 1; cols < 200; ++cols) {
    for (const auto& [stride, line] : {std::pair{OddLinesStride<float>(cols), int64_t{16}},
                                       std::pair{OddLinesStride<double>(cols), int64_t{8}}}) {
      EXPECT_EQ(stride % (2 * line), line) << cols;
      EXPECT_GE(stride, cols);
      EXPECT_LT(stride - 2 * line, cols);
    }
  }
}

}  // namespace
}  // namespace flopledger
