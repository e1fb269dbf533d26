// Verification accepts what is right and catches what is wrong.
#include "bench/run/verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <omp.h>

#include <nlohmann/json.hpp>
#include <random>

#include "tests/support/random_model.h"

namespace flopledger {
namespace {

using ::testing::HasSubstr;

/// Hands each op to a verifier, after spoiling one element of one op's output.
struct Spoiler {
  OpVerifier& verifier;
  const Op* spoil;

  void Before(const Op& op, int64_t layer, const Operands<float>& o) {
    verifier.Before(op, layer, o);
  }
  void After(const Op& op, int64_t layer, const Operands<float>& o) {
    // A whole row, as a kernel that is wrong spoils it: the verifier samples.
    if (spoil != nullptr && op.id == spoil->id) {
      for (int64_t r = 0; r < o.y.rows; ++r) {
        for (int64_t c = 0; c < o.y.cols; ++c) o.y(r, c) += 0.01f;
      }
    }
    verifier.After(op, layer, o);
  }
};

TEST(OpVerifier, AcceptsWhatIsRightAndCatchesEveryOpThatIsWrong) {
  std::mt19937 random(3);
  omp_set_num_threads(2);
  for (int i = 0; i < 18; ++i) {
    const ModelConfig config = RandomComputedModel(random);
    static constexpr const char* kBackends[] = {"packed", "eigen", "packed-fused"};
    const auto& matmul = *FindMatmul<float>(kBackends[i % 3]);
    const auto weights = SeededWeights<float>(config, config.num_layers, 1, matmul.packs_weights);
    const RunShape shape{.context = 9,
                         .batch = 2,
                         .num_layers = config.num_layers,
                         .fused_attention = i % 2 == 0,
                         .fused_epilogues = matmul.fuses_epilogues};
    const std::vector<int32_t> tokens(18, 0);
    const auto verify = [&](const Op* spoil) {
      Forward<float> forward(config, weights, shape, matmul);
      OpVerifier verifier(forward, tokens);
      Spoiler observer{verifier, spoil};
      forward.Run(tokens, observer);
      return verifier.result();
    };
    const Verification right = verify(nullptr);
    EXPECT_TRUE(right.ok()) << right.first_failure << ToJson(config);
    EXPECT_GT(right.checked, 0);
    EXPECT_LE(right.worst_ratio, 1);
    for (const Op& op : ForwardOps(config, shape)) {
      const Verification wrong = verify(&op);
      EXPECT_FALSE(wrong.ok()) << op.name() << ToJson(config);
      EXPECT_THAT(wrong.first_failure, HasSubstr(std::string(op.name())));
    }
  }
}

}  // namespace
}  // namespace flopledger
