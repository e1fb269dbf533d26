// Decoding with a key/value cache: against a textbook pass over all positions, against the formulas
// of what is executed, and every op against its operands.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <omp.h>

#include <nlohmann/json.hpp>

#include "analysis/accounting/accounting.h"
#include "analysis/accounting/executed.h"
#include "bench/counting/kernel_choice.h"
#include "bench/run/verify.h"
#include "kernels/counted.h"
#include "model/forward.h"
#include "tests/support/random_model.h"
#include "tests/support/reference.h"

namespace flopledger {
namespace {

/// A random model, a prompt and what is decoded after it.
struct Case {
  explicit Case(std::mt19937& random) : config(RandomComputedModel(random)) {
    prompt = {.context = 1 + static_cast<int64_t>(random() % 30),
              .batch = 1 + static_cast<int64_t>(random() % 3),
              .num_layers = config.num_layers,
              .fused_attention = random() % 2 == 0};
    steps = 1 + static_cast<int64_t>(random() % 6);
    // Beyond it dynamic scaling and LongRoPE turn what is in the cache by other angles than a pass
    // over all positions does.
    config.rope_scaling.original_context = length();
    for (int64_t i = 0; i < prompt.batch * length(); ++i) {
      tokens.push_back(static_cast<int32_t>(random() % static_cast<uint64_t>(config.vocab_size)));
    }
  }

  int64_t length() const { return prompt.context + steps; }
  /// Positions [begin, end) of every sequence.
  std::vector<int32_t> Slice(int64_t begin, int64_t end) const {
    std::vector<int32_t> slice;
    for (int64_t b = 0; b < prompt.batch; ++b) {
      const auto sequence = tokens.begin() + b * length();
      slice.insert(slice.end(), sequence + begin, sequence + end);
    }
    return slice;
  }

  ModelConfig config;
  RunShape prompt;
  int64_t steps = 0;
  std::vector<int32_t> tokens;  // [B, length]
};

template <class Scalar, class Observer, class Visit>
void Decode(const Case& c, const Weights<Scalar>& weights, const MatmulBackend<Scalar>& matmul,
            Observer& observer, Visit&& visit) {
  KvCache<Scalar> cache(c.config, c.config.num_layers, c.prompt.batch, c.length());
  Forward<Scalar> prefill(c.config, weights, c.prompt, matmul, &cache);
  NoObserver nobody;
  prefill.Run(c.Slice(0, c.prompt.context), nobody);
  Forward<Scalar> decode(c.config, weights, DecodeStep(c.prompt, 0), matmul, &cache);
  for (int64_t i = 0; i < c.steps; ++i) {
    const int64_t position = c.prompt.context + i;
    decode.MoveTo(position);
    decode.Run(c.Slice(position, position + 1), observer);
    visit(i, decode);
  }
}

TEST(Decode, AgreesWithATextbookPassOverAllPositions) {
  std::mt19937 random(11);
  for (int i = 0; i < 100; ++i) {
    Case c(random);
    const auto backends = MatmulBackends<float>();
    const auto& matmul = backends[random() % backends.size()];
    c.prompt.fused_epilogues = matmul.fuses_epilogues;
    omp_set_num_threads(static_cast<int>(1 + random() % 3));
    SCOPED_TRACE(fmt::format("{} T={} B={} steps={} {}", ToJson(c.config).dump(), c.prompt.context,
                             c.prompt.batch, c.steps, matmul.name));
    const auto weights =
        SeededWeights<float>(c.config, c.config.num_layers, 3, matmul.packs_weights);
    const reference::Table expected = reference::Logits(c.config, weights, c.length(), c.tokens);
    double largest = 0;
    for (const double value : expected.values) largest = std::max(largest, std::abs(value));
    const int64_t size = std::max({c.config.d_model, c.config.d_ff, c.length()});
    const double tolerance = 12 * static_cast<double>(c.config.num_layers) *  // as in forward_test
                             std::sqrt(static_cast<double>(size)) * 0x1p-24 * largest;
    NoObserver nobody;
    Decode<float>(c, weights, matmul, nobody, [&](int64_t step, Forward<float>& decode) {
      for (int64_t b = 0; b < c.prompt.batch; ++b) {
        const int64_t row = b * c.length() + c.prompt.context + step;
        for (int64_t v = 0; v < c.config.vocab_size; ++v) {
          ASSERT_NEAR(decode.logits()(b, v), expected(row, v), tolerance) << "step " << step;
        }
      }
    });
    if (HasFatalFailure()) return;
  }
}

struct TallyObserver {
  std::vector<std::pair<Op, int64_t>> counts;

  void Before(const Op&, int64_t, const Operands<Counted<float>>&) { ResetTallies(); }
  void After(const Op& op, int64_t, const Operands<Counted<float>>&) {
    counts.emplace_back(op, SumTallies().flops());
  }
};

TEST(Decode, EveryOpExecutesItsFormulaExactly) {
  std::mt19937 random(12);
  for (int i = 0; i < 60; ++i) {
    Case c(random);
    const auto& matmul = MatmulBackends<Counted<float>>()[static_cast<std::size_t>(i % 4)];
    c.prompt.fused_epilogues = matmul.fuses_epilogues;
    const KernelFacts facts = FactsOf(matmul.name, AttentionKernel::kFused);
    omp_set_num_threads(1 + i % 2);
    SCOPED_TRACE(fmt::format("{} T={} B={} {}", ToJson(c.config).dump(), c.prompt.context,
                             c.prompt.batch, matmul.name));
    const auto weights =
        SeededWeights<Counted<float>>(c.config, c.config.num_layers, 3, matmul.packs_weights);
    TallyObserver tallies;
    Decode<Counted<float>>(
        c, weights, matmul, tallies, [&](int64_t step, Forward<Counted<float>>& decode) {
          const RunShape shape = DecodeStep(c.prompt, step);
          const auto executed = ForwardOps(c.config, shape);
          ASSERT_EQ(std::vector<Op>(decode.ops().begin(), decode.ops().end()), executed);
          for (const Op& op : executed) {
            int64_t counted = 0;
            for (const auto& [seen, flops] : tallies.counts) counted += seen == op ? flops : 0;
            EXPECT_EQ(counted, ExecutedFlops(c.config, shape, op, facts)) << op.name();
          }
          tallies.counts.clear();
        });
    if (HasFailure()) return;
  }
}

TEST(Decode, EveryOpIsVerified) {
  std::mt19937 random(13);
  for (int i = 0; i < 40; ++i) {
    Case c(random);
    const auto& matmul = *FindMatmul<float>("packed");
    const auto weights = SeededWeights<float>(c.config, c.config.num_layers, 3, true);
    KvCache<float> cache(c.config, c.config.num_layers, c.prompt.batch, c.length());
    Forward<float> prefill(c.config, weights, c.prompt, matmul, &cache);
    NoObserver nobody;
    prefill.Run(c.Slice(0, c.prompt.context), nobody);
    Forward<float> decode(c.config, weights, DecodeStep(c.prompt, 0), matmul, &cache);
    const std::vector<int32_t> tokens = c.Slice(c.prompt.context, c.prompt.context + 1);
    OpVerifier verifier(decode, tokens);
    decode.Run(tokens, verifier);
    EXPECT_TRUE(verifier.result().ok()) << verifier.result().first_failure;
    EXPECT_GT(verifier.result().checked, 0);
  }
}

// A position that attends to S keys: 4·S·HS FLOPs a head, whatever the convention of the mask, and
// the cache read once, written at one position.
TEST(Decode, AccountingOfAStepAreThoseOfOnePosition) {
  const ModelConfig config = LoadModel("gpt2-xl");
  const RunShape step = DecodeStep({.context = 1000, .num_layers = 48}, 23);
  EXPECT_EQ(step.past, 1023);
  for (const Op& op : ForwardOps(config, step)) {
    if (op.id != OpId::kAttention) continue;
    EXPECT_EQ(OpFlops(config, step, op, Convention::kMatmul), int64_t{4} * 1024 * 64 * 25 * 48);
    EXPECT_EQ(OpFlops(config, step, op, Convention::kCausal), int64_t{4} * 1024 * 64 * 25 * 48);
    // q, out; 1,024 keys and values read; one of each written.
    EXPECT_EQ(OpBytes(config, step, op), int64_t{4} * 48 * 1600 * (2 + 2 * 1024 + 2));
  }
}

}  // namespace
}  // namespace flopledger
