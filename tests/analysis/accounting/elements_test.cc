// The convention `all`, and bytes, for what GPT-2 and Llama do not have: each element's operations
// counted one by one, as a reader of the formulas' papers would.
#include <gtest/gtest.h>

#include "analysis/accounting/accounting.h"
#include "analysis/accounting/training.h"

namespace flopledger {
namespace {

constexpr int64_t kBatch = 3, kContext = 5, kLayers = 2, kRows = kBatch * kContext;

/// Two heads of four, no bias, nothing beside the products but norms and residuals.
ModelConfig Small() {
  ModelConfig config;
  config.name = "small";
  config.vocab_size = 11;
  config.context_length = 8;
  config.num_layers = kLayers;
  config.d_model = 8;
  config.num_heads = config.num_kv_heads = 2;
  config.d_ff = 20;
  config.position = Position::kNone;
  config.biases = {};
  return config;
}

/// Four experts of six columns, of which a token uses two, and shared ones of ten.
ModelConfig SmallOfExperts() {
  ModelConfig config = Small();
  config.layer_kinds = {LayerKind{.experts = true}};
  config.experts = {.count = 4, .per_token = 2, .d_ff = 6, .shared_d_ff = 10};
  config.ffn = Ffn::kSwiglu;
  return config;
}

RunShape Shape(const ModelConfig& config) { return WholePass(config, kContext, kBatch); }

/// FLOPs of one op over the whole pass.
int64_t Flops(const ModelConfig& config, OpId id) {
  for (const Op& op : ForwardOps(config, Shape(config))) {
    if (op.id == id) return OpFlops(config, Shape(config), op, Convention::kAll);
  }
  ADD_FAILURE() << "no such op";
  return 0;
}

TEST(AllConvention, SoftmaxWithSlopesOrACap) {
  const int64_t scores = kLayers * kBatch * 2 * kContext * kContext;
  ModelConfig config = Small();
  // max; minus it; times scale; exp; sum; divide
  EXPECT_EQ(Flops(config, OpId::kAttentionSoftmax), scores * 6);
  config.position = Position::kAlibi;  // slope times distance; added
  EXPECT_EQ(Flops(config, OpId::kAttentionSoftmax), scores * 8);
  config.attention_softcap = 50;  // divide; tanh; times
  EXPECT_EQ(Flops(config, OpId::kAttentionSoftmax), scores * 11);
}

TEST(AllConvention, EachActivation) {
  const auto cost = [](Ffn ffn, double limit = 0) {
    ModelConfig config = Small();
    config.ffn = ffn;
    config.ffn_limit = limit;
    const int64_t flops = Flops(config, OpId::kFfnActivation), elements = kLayers * kRows * 20;
    EXPECT_EQ(flops % elements, 0);
    return flops / elements;
  };
  EXPECT_EQ(cost({Activation::kReluSquared, false}), 2);  // max; square
  EXPECT_EQ(cost({Activation::kSilu, false}), 4);         // negate; exp; plus 1; divide
  EXPECT_EQ(cost({Activation::kGeluSigmoid, false}), 5);  // times 1.702; then as SiLU
  EXPECT_EQ(cost({Activation::kGeluErf, true}), 6);  // x/√2; erf; plus 1; x/2; product; times up
  EXPECT_EQ(cost({Activation::kSilu, true}, 7), 7);  // times 1.702; up plus 1; times up
}

TEST(AllConvention, NormsWithoutGainAndOfHeads) {
  ModelConfig config = Small();
  // minus mean; square and sum; times rstd; times gain; the mean's sum
  EXPECT_EQ(Flops(config, OpId::kFinalNorm), kRows * 8 * 6);
  config.norm_gain = NormGain::kNone;
  EXPECT_EQ(Flops(config, OpId::kFinalNorm), kRows * 8 * 5);
  config.norm = Norm::kRmsNorm;
  config.norm_gain = NormGain::kGain;
  config.qk_norm = QkNorm::kHead;
  EXPECT_EQ(Flops(config, OpId::kQkNorm), kLayers * kRows * (2 + 2) * 4 * 4);
}

TEST(AllConvention, Multipliers) {
  ModelConfig config = Small();
  EXPECT_EQ(Flops(config, OpId::kEmbedding), 0);
  EXPECT_EQ(Flops(config, OpId::kFfnResidual), kLayers * kRows * 8);
  const int64_t logits = kRows * 11;
  EXPECT_EQ(Flops(config, OpId::kLmHead), logits * 2 * 8);
  config.embedding_multiplier = 3;
  config.residual_multiplier = 0.5;
  config.logit_multiplier = 0.1;
  EXPECT_EQ(Flops(config, OpId::kEmbedding), kRows * 8);
  EXPECT_EQ(Flops(config, OpId::kFfnResidual), kLayers * kRows * 8 * 2);
  EXPECT_EQ(Flops(config, OpId::kLmHead), logits * (2 * 8 + 1));
  config.logit_softcap = 30;  // divide; tanh; times
  EXPECT_EQ(Flops(config, OpId::kLmHead), logits * (2 * 8 + 4));
}

TEST(AllConvention, RoutersAndSums) {
  ModelConfig config = SmallOfExperts();
  const int64_t routed = kLayers * kRows * 2, of_tokens = kLayers * kRows;
  EXPECT_EQ(Flops(config, OpId::kRouter), of_tokens * 4 * 2 * 8);
  EXPECT_EQ(Flops(config, OpId::kRouting), of_tokens * 4 * 5);  // max; minus; exp; sum; divide
  EXPECT_EQ(Flops(config, OpId::kExpertUp), routed * 6 * 2 * 8);
  EXPECT_EQ(Flops(config, OpId::kExpertCombine), routed * 8 * 2);  // times the weight; added
  EXPECT_EQ(Flops(config, OpId::kSharedCombine), of_tokens * 8);   // added
  config.experts.router_sigmoid = true;                            // negate; exp; plus 1; divide
  config.experts.shared_gate = true;
  EXPECT_EQ(Flops(config, OpId::kRouting), of_tokens * 4 * 4);
  EXPECT_EQ(Flops(config, OpId::kSharedCombine), of_tokens * 8 * 2);
}

int64_t Bytes(const ModelConfig& config, const RunShape& shape, OpId id) {
  for (const Op& op : ForwardOps(config, shape)) {
    if (op.id == id) return OpBytes(config, shape, op);
  }
  ADD_FAILURE() << "no such op";
  return 0;
}

// Thirty routed rows can reach all four experts; a single token reads its two.
TEST(Bytes, OfExpertsAreOfThoseThatCanBeChosen) {
  const ModelConfig config = SmallOfExperts();
  EXPECT_EQ(Bytes(config, Shape(config), OpId::kExpertUp),
            4 * kLayers * (2 * kRows * 8 + 4 * 8 * 6 + 2 * kRows * 6));
  const RunShape token = DecodeStep(WholePass(config, kContext, 1), 0);
  EXPECT_EQ(Bytes(config, token, OpId::kExpertUp), 4 * kLayers * (2 * 8 + 2 * 8 * 6 + 2 * 6));
  EXPECT_EQ(Bytes(config, token, OpId::kSharedUp), 4 * kLayers * (8 + 8 * 10 + 10));
}

// What is done within a product is read by it: the stream that is added onto, or the gate.
TEST(Bytes, OfProductsThatDoMore) {
  ModelConfig config = Small();
  RunShape fused = Shape(config);
  fused.fused_epilogues = true;
  EXPECT_EQ(Bytes(config, fused, OpId::kAttentionOut), 4 * kLayers * (3 * kRows * 8 + 8 * 8));
  EXPECT_EQ(Bytes(config, fused, OpId::kFfnUp), 4 * kLayers * (kRows * 8 + 8 * 20 + kRows * 20));
  config.ffn = Ffn::kSwiglu;
  EXPECT_EQ(Bytes(config, fused, OpId::kFfnUp),
            4 * kLayers * (kRows * 8 + 8 * 20 + 2 * kRows * 20));
}

TEST(Bytes, OfRopeOfPartOfAHead) {
  ModelConfig config = Small();
  config.position = Position::kRope;
  config.rope_dims = 2;  // of four
  EXPECT_EQ(Bytes(config, Shape(config), OpId::kRope),
            4 * kLayers * (2 * kRows * (2 + 2) * 2 + kContext * 2));
}

// Buffers by hand: the stream, the normed rows or attention's output, the widest of the rest.
TEST(Memory, OfBuffers) {
  ModelConfig config = Small();
  RunShape shape = Shape(config);
  // Stream 8, attention's output or the norm 8; in a layer the norm's 8 and the larger of
  // queries, keys, values and scores (24 + 2·5) and the FFN (20).
  EXPECT_EQ(CountMemory(config, shape).activation_bytes, 4 * kRows * (8 + 8 + 8 + 34));
  shape.fused_attention = true;  // no scores
  EXPECT_EQ(CountMemory(config, shape).activation_bytes, 4 * kRows * (8 + 8 + 8 + 24));
  config.ffn = Ffn::kSwiglu;  // the gate beside up
  EXPECT_EQ(CountMemory(config, shape).activation_bytes, 4 * kRows * (8 + 8 + 8 + 40));
  config.block = BlockOrder::kParallel;  // the norm is kept for the other half
  EXPECT_EQ(CountMemory(config, shape).activation_bytes, 4 * kRows * (8 + 8 + 8 + 8 + 40));
  config.position = Position::kRope;  // a table of cosines and sines
  EXPECT_EQ(CountMemory(config, shape).activation_bytes,
            4 * (kRows * (8 + 8 + 8 + 8 + 40) + kContext * 4));
}

// AdamW, a parameter: m 3; v 4; root, sum with ε, quotient, times rate, difference 5; decay 2.
TEST(Training, TheUpdateIsFourteenOperationsAParameter) {
  const ModelConfig config = Small();
  const TrainingFigures training = CountTraining(config, Shape(config), Convention::kMatmul);
  // Table 11·8; a layer: 4·8·8 and 2·8·20 in matrices, two gains of 8; a last gain.
  const int64_t parameters = 88 + kLayers * (256 + 320 + 16) + 8;
  EXPECT_EQ(training.update_flops, 14 * parameters);
  EXPECT_EQ(training.six_nd_flops, 6 * parameters * kRows);
  EXPECT_EQ(training.moment_bytes, 2 * 4 * parameters);
  EXPECT_EQ(training.state_bytes, 4 * 4 * parameters);
}

}  // namespace
}  // namespace flopledger
