// The exact counting run against the closed formulas of `executed`.
#include "kernels/counted.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <nlohmann/json.hpp>

#include <random>

#include "analysis/accounting/executed.h"
#include "bench/counting/counting.h"
#include "bench/machine/interrupt.h"
#include "model/forward.h"
#include "tests/support/random_model.h"

namespace flopledger {
namespace {

using Scalar = Counted<float>;

/// Counts each op's FLOPs, all threads together.
struct CountingObserver {
  std::vector<std::pair<Op, int64_t>> counts;

  void Before(const Op&, int64_t, const Operands<Scalar>&) { ResetTallies(); }
  void After(const Op& op, int64_t, const Operands<Scalar>&) {
    counts.emplace_back(op, SumTallies().flops());
  }
};

TEST(Counted, EveryOpOfRandomModelsExecutesItsFormulaExactly) {
  std::mt19937 random(1);
  for (int i = 0; i < 240; ++i) {
    const ModelConfig config = RandomComputedModel(random);
    const auto& matmul = MatmulBackends<Scalar>()[static_cast<std::size_t>(i % 4)];
    const RunShape shape{
        .context = i % 8 == 0 ? 1 : 1 + static_cast<int64_t>(random() % kLongestRandomContext),
        .batch = 1 + static_cast<int64_t>(random() % 2),
        .num_layers = config.num_layers,
        .fused_attention = i % 3 != 0,
        .fused_epilogues = matmul.fuses_epilogues};
    const KernelFacts facts = FactsOf(
        matmul.name, shape.fused_attention ? AttentionKernel::kFused : AttentionKernel::kReference);
    SCOPED_TRACE(ToJson(config).dump() + " T=" + std::to_string(shape.context) +
                 " B=" + std::to_string(shape.batch) + " " + facts.matmul + " " + facts.attention);
    omp_set_num_threads(1 + i % 3);
    const auto weights = SeededWeights<Scalar>(config, config.num_layers, 7, matmul.packs_weights);
    Forward<Scalar> forward(config, weights, shape, matmul);
    const std::vector<int32_t> tokens(static_cast<std::size_t>(shape.batch * shape.context), 0);
    CountingObserver observer;
    forward.Run(tokens, observer);
    for (const Op& op : forward.ops()) {
      int64_t counted = 0;
      for (const auto& [seen, flops] : observer.counts) counted += seen == op ? flops : 0;
      EXPECT_EQ(counted, ExecutedFlops(config, shape, op, facts)) << op.name();
    }
    if (HasFailure()) return;
  }
}

TEST(Counted, StopsAfterTheOperationInWhichItIsInterrupted) {
  std::ostream nowhere(nullptr);
  Progress silent(nowhere, false);
  std::mt19937 random(1);
  const CountRequest request{.model = RandomComputedModel(random), .context = 4, .kernels = {}};
  EXPECT_FALSE(CountOneLayer(request, silent).empty());
  interrupted = true;
  EXPECT_THROW(CountOneLayer(request, silent), Interrupted);
  interrupted = false;
}

TEST(Counted, TalliesEachKindOfOperation) {
  const Scalar two(2.0f), three(3.0f);
  omp_set_num_threads(1);
  ResetTallies();
  EXPECT_EQ((two + three).value, 5);
  EXPECT_EQ((two - three).value, -1);
  EXPECT_EQ((two * three).value, 6);
  EXPECT_EQ((two / three).value, 2.0f / 3.0f);
  EXPECT_EQ(fma(two, three, two).value, 8);
  EXPECT_EQ(sqrt(two).value, std::sqrt(2.0f));
  EXPECT_EQ(exp(two).value, std::exp(2.0f));
  EXPECT_EQ(tanh(two).value, std::tanh(2.0f));
  EXPECT_EQ(erf(two).value, std::erf(2.0f));
  EXPECT_EQ(max(two, three).value, 3);
  EXPECT_EQ((-two).value, -2);
  EXPECT_TRUE(two < three);
  const Tally expected{.add = 2,
                       .mul = 1,
                       .fma = 1,
                       .div = 1,
                       .sqrt = 1,
                       .exp = 1,
                       .tanh = 1,
                       .erf = 1,
                       .max = 1,
                       .negate = 1,
                       .compare = 1};
  EXPECT_EQ(SumTallies(), expected);
  Tally twice = expected;
  twice += expected;
  EXPECT_EQ(twice.flops(), 2 * expected.flops());
  EXPECT_EQ(twice.compare, 2);
  EXPECT_EQ(SumTallies().flops(), 12);
}

TEST(Counted, SumsTheTalliesOfAllThreads) {
  omp_set_num_threads(3);
  ResetTallies();
#pragma omp parallel
  thread_tally.add += 1 + omp_get_thread_num();
  EXPECT_EQ(SumTallies().add, 6);
}

}  // namespace
}  // namespace flopledger
