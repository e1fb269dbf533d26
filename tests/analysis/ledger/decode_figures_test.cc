// The rates of decoding, by hand: three sequences of four tokens each, in three repetitions.
#include "analysis/ledger/decode_figures.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace flopledger {
namespace {

DecodeFigures ThreeSequencesOfFourTokens() {
  DecodeFigures figures;
  figures.prompt = 100;
  figures.tokens = 4;
  figures.batch = 3;
  figures.layers_run = figures.layers_total = 2;
  figures.total.flops = 6'000;
  figures.total.bytes = 1'200;
  figures.total.seconds = {0.5, 2, 1};
  figures.read_bytes_per_s = {4'800, 1'200, 2'000};
  return figures;
}

TEST(DecodeFigures, RatesAreOfEverySequenceAtTheMedianTime) {
  const DecodeFigures figures = ThreeSequencesOfFourTokens();
  EXPECT_DOUBLE_EQ(figures.TokensPerSecond(), 12);  // 3 · 4 in a second
  EXPECT_DOUBLE_EQ(figures.BytesPerSecond(), 1'200);
}

// 2,400 B/s of 4,800; 600 of 1,200; 1,200 of 2,000: each repetition beside its own bandwidth.
TEST(DecodeFigures, ShareIsTheMedianOfEachRepetitionsOwn) {
  EXPECT_DOUBLE_EQ(ThreeSequencesOfFourTokens().ShareOfBandwidth(), 0.5);
}

TEST(DecodeFigures, JsonSaysTheSame) {
  const nlohmann::json json = ToJson(ThreeSequencesOfFourTokens());
  EXPECT_DOUBLE_EQ(json["tokens_per_s"], 12);
  EXPECT_DOUBLE_EQ(json["bytes_per_token"], 100);
  EXPECT_DOUBLE_EQ(json["bytes_per_s"], 1'200);
  EXPECT_DOUBLE_EQ(json["read_bytes_per_s"], 2'000);
  EXPECT_DOUBLE_EQ(json["share_of_bandwidth"], 0.5);
}

}  // namespace
}  // namespace flopledger
