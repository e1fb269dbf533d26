// Verification accepts what is right and catches what is wrong, by much or by a few roundings.
#include "bench/run/verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <omp.h>

#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <random>

#include "tests/support/random_model.h"

namespace flopledger {
namespace {

using ::testing::HasSubstr;

using Change = std::function<void(const Operands<float>&)>;

/// Hands ops to a verifier: all of them, or one alone, whose output it may change before.
struct Hand {
  OpVerifier& verifier;
  const Op* one = nullptr;
  bool alone = false;
  Change change = {};

  bool IsOne(const Op& op) const { return one != nullptr && op.id == one->id; }
  void Before(const Op& op, int64_t layer, const Operands<float>& o) {
    if (!alone || IsOne(op)) verifier.Before(op, layer, o);
  }
  void After(const Op& op, int64_t layer, const Operands<float>& o) {
    if (change && IsOne(op)) change(o);
    if (!alone || IsOne(op)) verifier.After(op, layer, o);
  }
};

/// A random model at nine positions of two sequences, by each backend in turn.
class Pass {
 public:
  Pass(std::mt19937& random, int i) : config_(RandomComputedModel(random)) {
    static constexpr const char* kBackends[] = {"packed", "eigen", "packed-fused"};
    matmul_ = FindMatmul<float>(kBackends[i % 3]);
    weights_.emplace(SeededWeights<float>(config_, config_.num_layers, 1, matmul_->packs_weights));
    shape_ = {.context = 9,
              .batch = 2,
              .num_layers = config_.num_layers,
              .fused_attention = i % 2 == 0,
              .fused_epilogues = matmul_->fuses_epilogues};
  }

  const ModelConfig& config() const { return config_; }
  std::vector<Op> ops() const { return ForwardOps(config_, shape_); }
  std::string name() const { return ToJson(config_).dump(); }

  Verification Verify(const Op* one, bool alone, const Change& change = {}) const {
    const std::vector<int32_t> tokens(18, 0);
    Forward<float> forward(config_, *weights_, shape_, *matmul_);
    OpVerifier verifier(forward, tokens);
    Hand hand{verifier, one, alone, change};
    forward.Run(tokens, hand);
    return verifier.result();
  }

 private:
  ModelConfig config_;
  RunShape shape_;
  const MatmulBackend<float>* matmul_ = nullptr;
  std::optional<Weights<float>> weights_;
};

/// Changes every element, as a kernel that is wrong does: the verifier samples.
template <class Element>
Change Each(Element&& element) {
  return [element](const Operands<float>& o) {
    for (int64_t r = 0; r < o.y.rows; ++r) {
      for (int64_t c = 0; c < o.y.cols; ++c) o.y(r, c) = element(o, r, c);
    }
  };
}

TEST(OpVerifier, AcceptsWhatIsRightAndCatchesEveryOpThatIsWrong) {
  std::mt19937 random(3);
  omp_set_num_threads(2);
  const Change off = Each([](const auto& o, int64_t r, int64_t c) { return o.y(r, c) + 0.01f; });
  const Change none =
      Each([](const auto&, int64_t, int64_t) { return std::numeric_limits<float>::quiet_NaN(); });
  for (int i = 0; i < 18; ++i) {
    const Pass pass(random, i);
    const Verification right = pass.Verify(nullptr, false);
    EXPECT_TRUE(right.ok()) << right.first_failure << pass.name();
    EXPECT_GT(right.checked, 0);
    EXPECT_LE(right.worst_ratio, 1);
    for (const Op& op : pass.ops()) {
      const Verification wrong = pass.Verify(&op, false, off);
      EXPECT_FALSE(wrong.ok()) << op.name() << pass.name();
      EXPECT_THAT(wrong.first_failure, HasSubstr(std::string(op.name())));
      EXPECT_FALSE(pass.Verify(&op, true, none).ok()) << op.name() << pass.name();
    }
  }
}

// u is a rounding's relative error. Sums and products of K terms may err by (K + 2)·u of their
// magnitude, which is summed here: four times that is caught; so are four units in the last place
// of what is one addition.
TEST(OpVerifier, CatchesAFewRoundings) {
  constexpr double u = 0x1p-24;
  const Change of_product = Each([](const auto& o, int64_t r, int64_t c) {
    double magnitude = o.bias != nullptr ? std::abs(o.bias[c]) : 0;
    for (int64_t k = 0; k < o.a.cols; ++k) {
      magnitude += std::abs(static_cast<double>(o.a(r, k)) * o.w(k, c));
    }
    const double off = 5 * static_cast<double>(o.a.cols + 2) * u * magnitude;
    return static_cast<float>(o.y(r, c) + off);
  });
  const Change of_sum = Each([](const auto& o, int64_t r, int64_t c) {
    return static_cast<float>(o.y(r, c) * (1 + 8 * u));
  });
  // What the mask hides has no weight at all.
  const Change of_hidden = Each([](const auto& o, int64_t r, int64_t c) {
    return c > r % o.attention.context ? 1e-6f : o.y(r, c);
  });
  std::mt19937 random(4);
  int products = 0, sums = 0, squares = 0;
  for (int i = 0; i < 18; ++i) {
    const Pass pass(random, i);
    for (const Op& op : pass.ops()) {
      const bool product = op.kind == OpKind::kMatmul && op.epilogue == OpEpilogue::kNone &&
                           op.id != OpId::kEmbeddingProjection;
      if (product) {
        ++products;
        EXPECT_FALSE(pass.Verify(&op, true, of_product).ok()) << op.name() << pass.name();
      }
      if (op.kind == OpKind::kResidual) {
        ++sums;
        EXPECT_FALSE(pass.Verify(&op, true, of_sum).ok()) << op.name() << pass.name();
      }
      if (op.kind == OpKind::kAttentionSoftmax) {
        ++squares;
        EXPECT_FALSE(pass.Verify(&op, true, of_hidden).ok()) << op.name() << pass.name();
      }
    }
  }
  EXPECT_GT(products, 40);
  EXPECT_GT(sums, 20);
  EXPECT_GT(squares, 5);
}

// A bound that no kernel comes near would catch no kernel. Of each kind of op, and of each
// activation, some error is a few hundredths of its bound.
TEST(OpVerifier, BoundsAreNotFarFromTheErrorsThatKernelsMake) {
  std::mt19937 random(5);
  std::map<std::string, double> worst;
  for (int i = 0; i < 60; ++i) {
    const Pass pass(random, i);
    const Ffn ffn = pass.config().ffn;
    for (const Op& op : pass.ops()) {
      const Verification one = pass.Verify(&op, true);
      EXPECT_TRUE(one.ok()) << one.first_failure << pass.name();
      std::string name(KindName(op.kind));
      if (op.kind == OpKind::kActivation) {
        if (ffn == Ffn{Activation::kRelu, false}) continue;  // exact
        name += "." + std::string(FfnName(ffn));
      }
      if (op.epilogue == OpEpilogue::kActivation) name += " with an activation";
      worst[name] = std::max(worst[name], one.worst_ratio);
    }
  }
  EXPECT_EQ(worst.size(), 22U);
  for (const auto& [name, ratio] : worst) {
    EXPECT_GT(ratio, 0.01) << name;
    EXPECT_LE(ratio, 1) << name;
  }
}

}  // namespace
}  // namespace flopledger
