// How fast RoPE turns under each scaling: figures that the sources give, and plain formulas.
#include "model/rope.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <random>

#include "tests/support/random_model.h"
#include "tests/support/reference.h"

namespace flopledger {
namespace {

using Kind = RopeScaling::Kind;

/// A model of one head of `dims` elements.
ModelConfig Rotary(Kind kind, int64_t dims, double theta, int64_t context, int64_t original) {
  ModelConfig config;
  config.num_heads = config.num_kv_heads = 1;
  config.d_model = dims;
  config.position = Position::kRope;
  config.rope_theta = theta;
  config.context_length = context;
  config.rope_scaling.kind = kind;
  config.rope_scaling.original_context = original;
  return config;
}

TEST(Rope, TurnsAsInThePaper) {
  const RopeRotation plain = RotationOf(Rotary(Kind::kNone, 128, 1e4, 2048, 0), 10);
  ASSERT_EQ(plain.frequencies.size(), 64u);
  EXPECT_EQ(plain.frequencies[0], 1);
  EXPECT_NEAR(plain.frequencies[32], 0.01, 1e-15);  // 10000^(−64/128)
  EXPECT_EQ(plain.magnitude, 1);
}

// Llama 3.1: 8 · 8,192 positions. Pairs 0 to 28 turn more than 4 times in 8,192 positions (the last
// at 5e5^(−2·28/128) = 1/311), pairs from 35 on less than once.
TEST(Rope, OfLlama31KeepsFastPairsAndStretchesSlowOnes) {
  ModelConfig config = Rotary(Kind::kLlama3, 128, 5e5, 131072, 8192);
  config.rope_scaling.factor = 8;
  const RopeRotation scaled = RotationOf(config, 1);
  config.rope_scaling = {};
  const RopeRotation plain = RotationOf(config, 1);
  for (std::size_t j = 0; j < 64; ++j) {
    const double ratio = plain.frequencies[j] / scaled.frequencies[j];
    if (j <= 28) {
      EXPECT_EQ(ratio, 1) << j;
    }
    if (j > 28 && j < 35) {
      EXPECT_TRUE(ratio > 1 && ratio < 8) << j;
    }
    if (j >= 35) {
      EXPECT_NEAR(ratio, 8, 1e-12) << j;
    }
  }
}

// YaRN with the settings that Qwen2.5's model card gives: a temperature of 0.1·ln 4 + 1.
TEST(Rope, OfYarnHasItsTemperature) {
  ModelConfig config = Rotary(Kind::kYarn, 128, 1e6, 131072, 32768);
  config.rope_scaling.factor = 4;
  EXPECT_NEAR(RotationOf(config, 1).magnitude, 1.138629436, 1e-9);
  EXPECT_EQ(RotationOf(config, 1).frequencies[0], 1);
  config.rope_scaling.mscale = config.rope_scaling.mscale_all_dim = 0.707;  // DeepSeek's cancel out
  EXPECT_EQ(RotationOf(config, 1).magnitude, 1);
  config.rope_scaling.attention_factor = 1.5;
  EXPECT_EQ(RotationOf(config, 1).magnitude, 1.5);
}

// Phi-3.5: 32 times 4,096 positions, √(1 + ln 32 / ln 4096) = √(17/12).
TEST(Rope, OfLongRopeTakesTheFactorsOfTheLength) {
  ModelConfig config = Rotary(Kind::kLongRope, 4, 1e4, 131072, 4096);
  config.rope_scaling.short_factor = {1, 2};
  config.rope_scaling.long_factor = {4, 10};
  EXPECT_NEAR(RotationOf(config, 4096).magnitude, std::sqrt(17.0 / 12), 1e-12);
  EXPECT_NEAR(RotationOf(config, 4096).frequencies[1], 0.01 / 2, 1e-15);
  EXPECT_NEAR(RotationOf(config, 4097).frequencies[0], 0.25, 1e-15);
  EXPECT_NEAR(RotationOf(config, 4097).frequencies[1], 0.01 / 10, 1e-15);
}

// Twice the trained length at factor 2: θ · 3^(D/(D−2)).
TEST(Rope, OfDynamicScalingChangesBeyondTheTrainedContext) {
  ModelConfig config = Rotary(Kind::kDynamic, 4, 1e4, 100, 0);
  config.rope_scaling.factor = 2;
  EXPECT_NEAR(RotationOf(config, 100).frequencies[1], 0.01, 1e-15);
  EXPECT_NEAR(RotationOf(config, 200).frequencies[1], std::pow(1e4 * 9, -0.5), 1e-15);
  config.rope_scaling.original_context = 50;
  EXPECT_NEAR(RotationOf(config, 100).frequencies[1], std::pow(1e4 * 9, -0.5), 1e-15);
}

TEST(Rope, MeetsTheFormulasForRandomModels) {
  std::mt19937 random(21);
  int seen[6] = {};
  for (int i = 0; i < 400; ++i) {
    const ModelConfig config = RandomComputedModel(random);
    if (config.position != Position::kRope) continue;
    ++seen[static_cast<int>(config.rope_scaling.kind)];
    for (const int64_t length : {1, 15, 16, 17, 70, 300}) {
      const RopeRotation rotation = RotationOf(config, length);
      ASSERT_EQ(static_cast<int64_t>(rotation.frequencies.size()), config.rotated_size() / 2);
      EXPECT_NEAR(rotation.magnitude, reference::Magnitude(config), 1e-14);
      for (std::size_t j = 0; j < rotation.frequencies.size(); ++j) {
        const double expected = reference::Frequency(config, static_cast<int64_t>(j), length);
        EXPECT_NEAR(rotation.frequencies[j], expected, 1e-12 * expected) << ToJson(config).dump();
      }
    }
  }
  for (const int count : seen) EXPECT_GT(count, 5);
}

}  // namespace
}  // namespace flopledger
