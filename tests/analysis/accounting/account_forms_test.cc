// What `account` derives beside the plain accounting: formulas written out, other tools' counting,
// sweeps, training and inference. Expected figures are worked out here by long hand or were
// published.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <map>
#include <numeric>
#include <sstream>

#include "analysis/accounting/inference.h"
#include "analysis/accounting/other_tools.h"
#include "analysis/accounting/sweep.h"
#include "analysis/accounting/training.h"
#include "analysis/audit/explain.h"
#include "model/input_error.h"
#include "tests/support/random_model.h"

namespace flopledger {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

RunShape Whole(const ModelConfig& config) { return WholePass(config, config.context_length, 1); }

// --- other tools

TEST(OtherTools, DifferencesLeadFromOursToTheirsOnRandomModels) {
  std::mt19937 random(16);
  for (int i = 0; i < 200; ++i) {
    const ModelConfig config = RandomModel(random);
    const RunShape shape = WholePass(config, 1 + i % 60, 1 + i % 3);
    const int64_t ours = CountFlops(config, shape, Convention::kMatmul).total;
    for (const OtherTool& tool : OtherTools()) {
      const ToolFigure figure = tool.figure(config, shape);
      int64_t terms = 0, differences = 0;
      for (const NamedCount& term : figure.terms) terms += term.value;
      for (const NamedCount& part : figure.differences) differences += part.value;
      EXPECT_EQ(terms, figure.forward) << tool.name;
      EXPECT_EQ(ours + differences, figure.forward) << tool.name;
    }
  }
}

// Each by its authors' own expression, with GPT-2 XL's sizes put in.
TEST(OtherTools, FiguresForGpt2XlByTheirAuthorsExpressions) {
  const int64_t L = 48, C = 1600, H = 25, Q = 64, T = 1024, V = 50257, N = 1'557'611'200;
  const int64_t products = 3'506'703'564'800, norm_elements = 97 * T * C, gelu = L * T * 4 * C;
  const int64_t scores = L * H * T * T;
  const std::map<std::string_view, std::pair<int64_t, int64_t>> expected{
      // forward, forward and backward (0: it has none)
      {"palm", {(2 * N + 4 * L * H * Q * T) * T, (6 * N + 12 * L * H * Q * T) * T}},
      {"nanogpt",
       {(2 * (N - T * C) + 4 * L * H * Q * T) * T, (6 * (N - T * C) + 12 * L * H * Q * T) * T}},
      {"torchtitan",
       {(2 * (N - V * C - T * C) + 4 * L * H * Q * T) * T,
        (6 * (N - V * C - T * C) + 12 * L * H * Q * T) * T}},
      {"linear-only", {products - 4 * L * T * T * C, 3 * (products - 4 * L * T * T * C)}},
      {"llm.c", {(2 * N + 2 * L * C * T) * T, (6 * N + 6 * L * C * T) * T}},
      {"kaplan",
       {(2 * 12 * L * C * C + 2 * L * T * C) * T, (6 * 12 * L * C * C + 6 * L * T * C) * T}},
      {"chinchilla",
       {2 * T * V * C +
            L * (2 * 3 * T * C * (Q * H) + 2 * T * T * (Q * H) + 3 * H * T * T +
                 2 * T * T * (Q * H) + 2 * T * (Q * H) * C + 2 * T * (C * 4 * C + C * 4 * C)) +
            2 * T * C * V,
        0}},
      {"megatron", {products, 96 * T * L * C * C + 16 * T * T * L * C + 6 * T * C * V}},
      {"flopcounter", {products, 3 * products}},
      {"deepspeed", {products + 5 * norm_elements + gelu, 0}},
      {"calflops", {products + 5 * norm_elements + gelu + scores, 0}},
      {"fvcore", {products / 2 + 5 * norm_elements, 0}},
  };
  ASSERT_EQ(expected.size(), OtherTools().size());
  const ModelConfig config = LoadModel("gpt2-xl");
  for (const OtherTool& tool : OtherTools()) {
    const ToolFigure figure = tool.figure(config, Whole(config));
    const auto& [forward, training] = expected.at(tool.name);
    EXPECT_EQ(figure.forward, forward) << tool.name;
    if (tool.name == "chinchilla") {
      EXPECT_EQ(figure.training, 3 * forward);
    } else {
      EXPECT_EQ(figure.training.value_or(0), training) << tool.name;
    }
  }
}

TEST(OtherTools, TellAnUntiedTableAndGroupedHeads) {
  ModelConfig config = LoadModel("cs336-small");
  const RunShape shape = Whole(config);
  const int64_t palm = FindOtherTool("palm")->figure(config, shape).forward;
  const int64_t llm_c = FindOtherTool("llm.c")->figure(config, shape).forward;
  const int64_t T = 1024, half_square = 2 * 12 * T * 768 * T;
  // llm.c leaves an untied table and half of the square out.
  EXPECT_EQ(palm - llm_c, 2 * T * 50257 * 768 + half_square);
  EXPECT_EQ(FindOtherTool("nobody"), nullptr);
}

// --- training

TEST(Training, TheSheetOf2025) {
  const ModelConfig config = LoadModel("cs336-xl");
  const TrainingFigures training =
      CountTraining(config, WholePass(config, 1024, 1024), Convention::kMatmul);
  EXPECT_EQ(training.sheet_bytes, 15'517'753'344);
  EXPECT_EQ(training.state_bytes, 34'032'921'600);
  EXPECT_EQ(LargestBatch(80'000'000'000, training.state_bytes, training.sheet_bytes), 2);
  EXPECT_EQ(training.step_flops, 13'864'969'804'185'600);
  EXPECT_NEAR(static_cast<double>(training.step_flops) * 400'000 / (19.5e12 / 2) / 86'400, 6583.6,
              0.05);
}

// B·[L·(16·T·d + 2·h·T²) + T·d + 2·T·V] floats where d_ff = 4·d and each head has its keys.
TEST(Training, ActivationsAreTheSheetsExpression) {
  for (const char* name : {"cs336-small", "cs336-medium", "cs336-large", "gpt2", "gpt2-xl"}) {
    const ModelConfig config = LoadModel(name);
    const int64_t T = 777, d = config.d_model, h = config.num_heads, L = config.num_layers,
                  V = 50257;
    const int64_t floats = L * (16 * T * d + 2 * h * T * T) + T * d + 2 * T * V;
    const TrainingFigures training =
        CountTraining(config, WholePass(config, T, 3), Convention::kMatmul);
    EXPECT_EQ(training.sheet_bytes, 4 * floats) << name;
    EXPECT_EQ(training.fused_bytes, 4 * (floats - L * 2 * h * T * T)) << name;
    const bool llama = config.ffn == Ffn::kSwiglu;
    const int64_t besides = L * (llama ? 2 * T * 4 * d + T * 2 * d : 0) + L * 2 * T * d + T * d;
    EXPECT_EQ(training.full_bytes, 4 * (floats + besides)) << name;
  }
}

TEST(Training, ABatchThatDoesNotFitIsZero) {
  EXPECT_EQ(LargestBatch(100, 100, 7), 0);
  EXPECT_EQ(LargestBatch(50, 100, 7), 0);
  EXPECT_EQ(LargestBatch(106, 100, 7), 0);
  EXPECT_EQ(LargestBatch(107, 100, 7), 1);
  EXPECT_EQ(LargestBatch(128, 100, 7), 4);
}

// --- inference

TEST(Inference, OfGpt2XlByHand) {
  const ModelConfig config = LoadModel("gpt2-xl");
  const InferenceFigures figures = CountInference(config, Whole(config), Convention::kMatmul);
  EXPECT_EQ(figures.cache_bytes_per_token, 2 * 4 * 48 * 1600);
  EXPECT_EQ(figures.cache_bytes, 629'145'600);
  EXPECT_EQ(figures.prefill.flops, 3'506'703'564'800);
  const int64_t matrices = 48 * 12 * int64_t{1600} * 1600 + 50257 * 1600;
  EXPECT_EQ(figures.decode.flops, 2 * matrices + int64_t{4} * 48 * 1024 * 1600);
  // The tied table is read whole, one position of 1,024.
  EXPECT_EQ(figures.decode.weight_bytes, 4 * (int64_t{1'557'611'200} - 1023 * 1600));
  EXPECT_EQ(figures.prefill.weight_bytes, 4 * int64_t{1'557'611'200});
  // A hundred positions are read once for both sequences.
  const InferenceFigures two =
      CountInference(config, WholePass(config, 100, 2), Convention::kMatmul);
  EXPECT_EQ(two.prefill.weight_bytes, 4 * (int64_t{1'557'611'200} - 924 * 1600));
}

TEST(Inference, OfAnUntiedGroupedModel) {
  ModelConfig config = LoadModel("cs336-small");
  config.num_kv_heads = 3;  // of 12
  const RunShape shape = WholePass(config, 100, 2);
  const InferenceFigures figures = CountInference(config, shape, Convention::kMatmul);
  EXPECT_EQ(figures.cache_bytes_per_token, 2 * 4 * 12 * 3 * 64);
  EXPECT_EQ(figures.full_cache_bytes, 2 * 1024 * figures.cache_bytes_per_token);
  const int64_t table = 50257 * 768;
  EXPECT_EQ(figures.decode.weight_bytes, 4 * (figures.parameters - table + 2 * 768));
  EXPECT_EQ(figures.prefill.weight_bytes, 4 * (figures.parameters - table + 200 * 768));
  std::vector<int64_t> heads;
  for (const ModelConfig& variant : GroupedVariants(config)) heads.push_back(variant.num_kv_heads);
  EXPECT_THAT(heads, ElementsAre(12, 6, 4, 3, 2, 1));
}

// One token at each position in turn does the work of the causal forward pass.
TEST(Inference, DecodingEveryPositionIsTheCausalPass) {
  std::mt19937 random(5);
  for (int i = 0; i < 50; ++i) {
    const ModelConfig config = RandomModel(random);
    const int64_t T = 1 + i;
    int64_t decoded = 0;
    for (int64_t t = 1; t <= T; ++t) {
      decoded += CountInference(config, WholePass(config, t, 2), Convention::kMatmul).decode.flops;
    }
    EXPECT_EQ(decoded, CountFlops(config, WholePass(config, T, 2), Convention::kCausal).total);
  }
}

// The closed formula here and the list of operations that one more position executes.
TEST(Inference, DecodingIsTheListOfOneMorePosition) {
  std::mt19937 random(50);
  for (int i = 0; i < 50; ++i) {
    const ModelConfig config = RandomModel(random);
    const int64_t T = 1 + i;
    RunShape step = WholePass(config, 1, 2);
    step.fused_attention = true;
    step.past = T - 1;
    int64_t flops = 0;
    for (const Op& op : ForwardOps(config, step)) {
      flops += OpFlops(config, step, op, Convention::kMatmul);
    }
    EXPECT_EQ(CountInference(config, WholePass(config, T, 2), Convention::kMatmul).decode.flops,
              flops);
  }
}

// --- sweeps

TEST(Sweeps, ReadListsAndRanges) {
  const auto values = [](const char* text) { return ParseSweep(text).values; };
  EXPECT_EQ(ParseSweep("context=1").key, "context");
  EXPECT_THAT(values("context=1024:16384:x2"),
              ElementsAre("1024", "2048", "4096", "8192", "16384"));
  EXPECT_THAT(values("context=512-2048*2"), ElementsAre("512", "1024", "2048"));
  EXPECT_THAT(values("num_layers=1:7:+3"), ElementsAre("1", "4", "7"));
  EXPECT_THAT(values("batch=1,4:6:+1,9"), ElementsAre("1", "4", "5", "6", "9"));
  EXPECT_THAT(values("model=gpt2,gpt2-xl"), ElementsAre("gpt2", "gpt2-xl"));
  for (const char* bad : {"context", "=1", "context=", "context=1,,2", "context=8:4:x2",
                          "context=1:9:x1", "context=0:9:x2", "context=1:9:+0",
                          "context=1:99999:+1", "context=1:99999999999999999999:x2"}) {
    EXPECT_THROW(ParseSweep(bad), InputError) << bad;
  }
}

TEST(Sweeps, TakeAnyKeyOfAModel) {
  const auto points = [](const char* sweep, const char* model = "gpt2") {
    return SweepPoints(ParseSweep(sweep), model, {}, 1);
  };
  EXPECT_EQ(points("num_layers=3,5")[1].model.num_layers, 5);
  EXPECT_EQ(points("ffn=gelu,swiglu")[1].model.ffn, Ffn::kSwiglu);
  EXPECT_FALSE(points("bias=true,false")[1].model.biases.qkv);
  EXPECT_EQ(points("num_heads=6")[0].model.num_kv_heads, 6);
  EXPECT_EQ(points("num_kv_heads=1,12")[0].model.num_heads, 12);
  EXPECT_EQ(points("model=gpt2,cs336-xl")[1].model.d_model, 1600);
  EXPECT_EQ(points("context_length=128")[0].context, 128);
  for (const char* bad : {"num_layres=3", "num_layers=many", "num_heads=7", "context=many",
                          "batch=0", "model=gpt3", "bias=3"}) {
    EXPECT_THROW(points(bad), InputError) << bad;
  }
}

TEST(Sweeps, LearnedPositionsGrowWithTheContext) {
  const auto points = SweepPoints(ParseSweep("context=1024,16384"), "gpt2-xl", {}, 1);
  EXPECT_FALSE(points[0].grown);
  EXPECT_TRUE(points[1].grown);
  EXPECT_EQ(CountParameters(points[1].model).total - CountParameters(points[0].model).total,
            (16384 - 1024) * 1600);
}

TEST(Sweeps, BarsAreFullAndTrueToTheirShares) {
  EXPECT_EQ(StackedBar({1, 1, 2}, "abc", 8), "aabbcccc");
  EXPECT_EQ(StackedBar({1, 0, 1}, "abc", 3).size(), 3u);
  std::mt19937 random(9);
  for (int i = 0; i < 200; ++i) {
    std::vector<int64_t> parts(1 + random() % 8);
    for (int64_t& part : parts) part = random() % 1000;
    parts[0] += 1;
    const std::string bar = StackedBar(parts, "abcdefgh", 60);
    ASSERT_EQ(bar.size(), 60u);
    const double whole = std::accumulate(parts.begin(), parts.end(), 0.0);
    for (std::size_t p = 0; p < parts.size(); ++p) {
      const auto cells = std::ranges::count(bar, "abcdefgh"[p]);
      EXPECT_NEAR(static_cast<double>(cells), 60 * static_cast<double>(parts[p]) / whole, 1);
    }
  }
}

// --- explain

/// The value of sums and products such as "48·25·3 + 4 · (2 + max(3, 5))".
class Arithmetic {
 public:
  explicit Arithmetic(std::string text) {
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text.substr(i, 2) == "·") {
        text_ += '*';
        ++i;
      } else if (text[i] == ',' && i + 1 < text.size() && std::isdigit(text[i + 1]) != 0) {
        continue;  // 1,024
      } else if (text[i] != ' ') {
        text_ += text[i];
      }
    }
    // What is written after a number for people only.
    for (std::size_t at; (at = text_.find("anelement")) != std::string::npos;) text_.erase(at, 9);
  }
  int64_t Value() {
    at_ = 0;
    const int64_t value = Sum();
    EXPECT_EQ(at_, text_.size()) << text_;
    return value;
  }

 private:
  bool Take(std::string_view what) {
    if (text_.compare(at_, what.size(), what) != 0) return false;
    at_ += what.size();
    return true;
  }
  int64_t Sum() {
    int64_t sum = Times();
    while (Take("+")) sum += Times();
    return sum;
  }
  int64_t Times() {
    int64_t product = One();
    while (Take("*")) product *= One();
    return product;
  }
  int64_t One() {
    if (Take("max(")) {
      const int64_t first = Sum();
      EXPECT_TRUE(Take(","));
      const int64_t second = Sum();
      EXPECT_TRUE(Take(")"));
      return std::max(first, second);
    }
    if (Take("(")) {
      const int64_t inner = Sum();
      EXPECT_TRUE(Take(")"));
      return inner;
    }
    std::size_t length = 0;
    const int64_t number = std::stoll(text_.substr(at_), &length);
    at_ += length;
    return number;
  }

  std::string text_;
  std::size_t at_ = 0;
};

TEST(Explained, NumbersGiveTheValueOnRandomModels) {
  EXPECT_EQ(Arithmetic("2 · 1,024·(3 + 4) + max(5, 1,000)").Value(), 2 * 1024 * 7 + 1000);
  std::mt19937 random(21);
  for (int i = 0; i < 60; ++i) {
    const ModelConfig config = RandomModel(random);
    RunShape shape = WholePass(config, 1 + i, 1 + i % 3);
    shape.fused_attention = i % 2 == 0;
    for (const Convention convention :
         {Convention::kMatmul, Convention::kCausal, Convention::kAll, Convention::kRuleOfThumb}) {
      const auto sections = Explain(config, shape, convention);
      for (const ExplainedSection& section : sections) {
        int64_t sum = 0;
        for (const ExplainedLine& line : section.lines) {
          if (line.numbers.empty()) {
            EXPECT_EQ(line.value, sum) << line.name;
            continue;
          }
          sum += line.value;
          EXPECT_EQ(Arithmetic(line.numbers).Value(), line.value)
              << line.name << " " << line.numbers;
        }
      }
      EXPECT_EQ(sections.back().lines.back().value, CountFlops(config, shape, convention).total);
    }
    const auto sections = Explain(config, shape, Convention::kMatmul);
    EXPECT_EQ(sections[0].lines.back().value, CountParameters(config).total);
    EXPECT_EQ(sections[1].lines[1].value, CountMemory(config, shape).activation_bytes);
  }
}

TEST(Explained, LettersAreThoseOfTheNumbers) {
  const ModelConfig config = LoadModel("cs336-xl");
  const auto sections = Explain(config, Whole(config), Convention::kMatmul);
  const auto line = [&](std::size_t section, std::string_view name) {
    const auto& lines = sections[section].lines;
    return *std::ranges::find(lines, name, &ExplainedLine::name);
  };
  EXPECT_EQ(line(2, "attention_qkv").letters, "L · B·T · 2 · C · (NH+2·NKV)·HS");
  EXPECT_EQ(line(2, "attention_qkv").numbers, "48 · 1,024 · 2 · 1,600 · 4,800");
  EXPECT_EQ(line(2, "attention_qkv").shape, "[1,024 × 1,600] · [1,600 × 4,800], 48 times");
  EXPECT_EQ(line(2, "attention_scores").letters, "L · B·NH · T · 2 · HS · T");
  EXPECT_EQ(line(2, "attention_values").letters, "L · B·NH · T · 2 · T · HS");
  EXPECT_EQ(line(2, "ffn_down").numbers, "48 · 1,024 · 2 · 6,400 · 1,600");
  EXPECT_EQ(line(2, "lm_head").letters, "B·T · 2 · C · V");
  EXPECT_EQ(line(0, "ffn").numbers, "48·3·1,600·6,400");
  EXPECT_EQ(line(0, "lm_head").letters, "V·C");
}

}  // namespace
}  // namespace flopledger
