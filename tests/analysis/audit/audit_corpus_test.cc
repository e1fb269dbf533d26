// Claims as they stand in course write-ups, notebooks and blog posts, in people's own spellings,
// with the verdict that is right and, of the wrong ones, a word of the slip that was made. Values
// were worked out apart from the program.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

#include "analysis/audit/audit.h"

namespace flopledger {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<Finding> AuditCorpus(const std::string& claims) {
  AuditSetting setting;
  setting.model = LoadModel("gpt2-xl");
  setting.context = setting.model.context_length;
  return Audit(ParseClaimsJson(claims, setting, "corpus"));
}

struct Known {
  const char *model, *quantity, *value;
  const char* cause = "";  // empty: right; else a word of the cause that stands first
  const char* more = "";   // further keys of the claim, as JSON
};

// cs336-xl of 2025, gpt2 and gpt2-xl as published, cs336-2026-xl.
const Known kRight[] = {
    {"cs336-xl", "params.total", "2.127 billion"},
    {"cs336-xl", "params.total", "2,127,057,600 parameters"},
    {"cs336-xl", "params.total", "2.13 × 10^9"},
    {"cs336-xl", "memory.weights", "8.51 GB"},
    {"cs336-xl", "memory.weights", "7.92 GiB"},
    {"cs336-xl", "memory.weights", "8.5 billion bytes"},
    {"cs336-xl", "memory.weights", "8.51B"},
    {"cs336-xl", "memory.weights", "4.25 GB", "", R"("dtype": "bf16")"},
    {"cs336-xl", "memory.weights", "4,254,115,200", "", R"("dtype": "fp16")"},
    {"cs336-xl", "memory.kv_cache", "314,572,800", "", R"("kv_dtype": "bfloat16")"},
    {"cs336-xl", "memory.training_state", "31.7 GiB"},
    {"cs336-xl", "memory.training_activations", "15.5 GB"},
    {"cs336-xl", "memory.training_activations", "19,299,180,544", "", R"("activations": "full")"},
    {"cs336-xl", "flops.total", "4.51 TFLOPs"},
    {"cs336-xl", "flops.total", "roughly 4.5 teraFLOPs"},
    {"cs336-xl", "flops.total", "4513.3 GFLOPs"},
    {"cs336-xl", "flops.total", "4.51e12"},
    {"cs336-xl", "flops.total", "4 513 336 524 800"},
    {"cs336-xl", "flops.total", "2256.7 GMACs"},
    {"cs336-xl", "macs.total", "2.257 TMACs"},
    {"cs336-xl", "flops.total", "149.5 TFLOPs", "", R"("context": 16384)"},
    {"cs336-xl", "growth.flops.total", "33.1x", "", R"("context": 16384)"},
    {"cs336-xl", "growth.flops.attention_products", "256x", "", R"("context": 16384)"},
    {"cs336-xl", "share.flops.attention_products", "55.2 %", "", R"("context": 16384)"},
    {"cs336-xl", "share.flops.projections", "22.3%"},
    {"cs336-xl", "share.flops.attention", "0.294"},
    {"cs336-xl", "share.flops.stack", "96,4 %"},
    {"cs336-xl", "flops.attention_q", "251,658,240,000"},
    {"cs336-xl", "flops.backward", "9.03 TFLOPs"},
    {"cs336-xl", "flops.per_token", "4.41 GFLOPs"},
    {"cs336-xl", "flops.training", "13.54 TFLOPs"},
    {"cs336-xl", "flops.optimizer_update", "29.8 GFLOPs"},
    {"cs336-xl", "batch.largest", "2", "", R"("memory": "80 GB")"},
    {"cs336-xl", "time.training_days", "6583.6 days", "",
     R"("batch": 1024, "peak": "19.5 TFLOP/s", "mfu": "50%", "steps": 400000)"},
    {"cs336-xl", "time.training_days", "18 years", "",
     R"("batch": 1024, "peak": "19.5T", "mfu": 0.5, "steps": "400k")"},
    {"cs336-2026-xl", "time.training_hours", "4,850.06", "",
     R"("batch": 1024, "peak": "495 TFLOP/s", "mfu": "50 %", "steps": 400000)"},
    {"cs336-2026-xl", "time.training_hours", "202 days", "",
     R"("batch": 1024, "peak": "495 TFLOP/s", "mfu": "50 %", "steps": 400000)"},
    {"cs336-2026-xl", "batch.largest", "3", "", R"("memory": "80GB")"},
    {"cs336-2026-xl", "params.total", "1.64B"},
    {"cs336-2026-xl", "memory.training_activations", "16.4 GB"},
    {"cs336-2026-xl", "memory.training_activations", "14,687,281,152", "",
     R"("activations": "2025")"},
    {"cs336-2026-xl", "share.flops.ffn", "0.24", "", R"("context": 16384)"},
    {"cs336-xl", "mfu", "40.1 %", "", R"("peak": "312T", "step_time": "108.2 ms")"},
    {"cs336-xl", "mfu", "0.401", "", R"("peak": "312T", "tokens_per_s": 9464)"},
    {"cs336-xl", "tokens_per_second", "9.46k tokens/s", "", R"("step_time": "108.2 ms")"},
    {"gpt2", "params.total", "124M"},
    {"gpt2", "params.total", "124.4 million parameters"},
    {"gpt2", "params.embeddings", "39,383,808"},
    {"gpt2", "params.non_embedding", "85.1M"},
    {"gpt2", "memory.checkpoint", "1.49 GB"},
    {"gpt2", "flops.total", "291.6 GF"},
    {"gpt2", "memory.kv_cache", "36 MiB", "", R"("dtype": "bf16")"},
    {"gpt2", "memory.weights", "62,219,904", "", R"("dtype": "int4")"},
    {"gpt2", "memory.weights", "64.3 MB", "", R"("dtype": "int4")"},
    {"gpt2-xl", "memory.kv_cache_token", "600 KiB"},
    {"gpt2-xl", "memory.kv_cache.block", "13.1 MB"},
    {"gpt2-xl", "intensity.decode", "0.50 FLOPs/byte"},
    {"gpt2-xl", "flops.decode", "3.42 GFLOPs"},
    {"gpt2-xl", "share.flops.ffn", "24.1%", "", R"("context": 16384)"},
    {"gpt2-xl", "memory.megatron_activations.block", "186.8 MB"},
    {"gpt2-xl", "flops.total", "3.19 TFLOPs", "", R"("convention": "rule-of-thumb")"},
    {"gpt2-xl", "flops.total", "3.51T", "", R"("convention": "flopcounter")"},
    {"gpt2-xl", "flops.total", "3.18 trillion", "", R"("convention": "linear-only")"},
};

const Known kWrong[] = {
    {"cs336-xl", "params.total", "1,635,537,600", "two matrices"},
    {"cs336-xl", "params.total", "1.64B", "two matrices"},
    {"cs336-xl", "params.total", "2.05B", "tied"},
    {"cs336-xl", "params.total", "2,046,646,400", "tied"},
    {"cs336-xl", "params.total", "2,126,902,400", "all norms"},
    {"cs336-xl", "params.total", "2,127,056,000", "final norm"},
    {"cs336-xl", "params.total", "2.12B", "cut off"},  // 2.127
    {"cs336-xl", "memory.weights", "4.25 GB", "2 bytes"},
    {"cs336-xl", "memory.weights", "7.92 GB", "GB against GiB"},
    {"cs336-xl", "memory.weights", "2.13 GB", "bytes of a float"},
    {"cs336-xl", "memory.training_state", "25,524,691,200", "left out"},  // gradients
    {"cs336-xl", "flops.total", "2.26 TFLOPs", "×2 lost"},
    {"cs336-xl", "flops.total", "4.35T", "LM head"},
    {"cs336-xl", "flops.total", "4.19 TFLOPs", "T×T"},
    {"cs336-xl", "flops.total", "4,191,213,977,600", "T×T"},
    {"cs336-xl", "flops.total", "4,026,531,840,000", "LM head"},
    {"cs336-xl", "flops.total", "94,027,844,266.67", "divided by L"},
    {"cs336-xl", "flops.total", "4.51 GFLOPs", "scale too small"},
    {"cs336-xl", "flops.ffn", "2.01 TFLOPs", "two matrices"},
    {"cs336-xl", "flops.lm_head", "82.3 GFLOPs", "×2 lost"},
    {"cs336-xl", "flops.attention_out", "5.24 GFLOPs", "×L"},
    {"cs336-xl", "flops.training", "9.03 TFLOPs", "one forward pass"},
    {"cs336-xl", "flops.training", "18.05 TFLOPs", "recomputed"},
    {"cs336-xl", "share.flops.ffn", "0.669 %", "×100 lost"},
    {"cs336-xl", "share.flops.ffn", "69.44 %", "LM head left out"},
    {"cs336-2026-xl", "params.total", "2.13B", "d_ff = 6,400"},
    {"cs336-2026-xl", "params.total", "1,635,537,600", "unrounded"},
    {"cs336-2026-xl", "memory.training_activations", "14,687,281,152", ""},
    {"gpt2", "params.total", "163M", "not tied"},
    {"gpt2", "params.total", "124,337,664", "biases"},  // without biases of products: 102,144 fewer
    {"gpt2", "memory.kv_cache", "37.7 MB", "2 bytes"},
    {"gpt2-xl", "params.total", "1.48B", "token embedding"},
};

Finding Only(const Known& known) {
  const std::string more = *known.more == '\0' ? "" : fmt::format(", {}", known.more);
  return AuditCorpus(fmt::format(R"({{"model": "{}", "claims": [
      {{"quantity": "{}", "value": "{}"{}}}]}})",
                                 known.model, known.quantity, known.value, more))
      .front();
}

TEST(Corpus, RightClaimsAreRight) {
  for (const Known& known : kRight) {
    const Finding finding = Only(known);
    EXPECT_EQ(finding.verdict, Verdict::kRight)
        << known.model << " " << known.quantity << " " << known.value << " (derived "
        << Show(finding.derived) << "): " << finding.Remark();
  }
}

TEST(Corpus, WrongClaimsAreWrongAndTheirSlipComesFirst) {
  for (const Known& known : kWrong) {
    const Finding finding = Only(known);
    EXPECT_EQ(finding.verdict, Verdict::kWrong) << known.quantity << " " << known.value;
    const std::string first = finding.causes.empty() ? "" : finding.causes.front().text;
    EXPECT_THAT(first, HasSubstr(known.cause))
        << known.model << " " << known.quantity << " " << known.value << ": " << finding.Remark();
  }
}

// --- chains

struct Chain {
  const char* claims;
  std::vector<std::string> verdicts;
  std::vector<std::string> last_follows;
};

TEST(Corpus, ClaimsFollowThroughSharesSumsAndRoundedParts) {
  const Chain chains[] = {
      // A share of a wrong part and of a wrong total.
      {R"([{"id": "ffn", "quantity": "flops.ffn", "value": "2.013T"},
           {"id": "total", "quantity": "flops.total", "value": "3.507T"},
           {"id": "share", "quantity": "share.flops.ffn", "value": "57.4%"}])",
       {"wrong", "follows", "follows"},
       {"ffn"}},
      // A rounded wrong part in a sum of the model's parts.
      {R"([{"id": "attention", "quantity": "flops.attention", "value": "1.17T"},
           {"id": "total", "quantity": "flops.total", "value": "4.35T"}])",
       {"wrong", "follows"},
       {"attention"}},
      // Through attention of a block, times the layers.
      {R"([{"id": "scores", "quantity": "flops.attention_scores.block", "value": "5,242,880,000"},
           {"id": "stack", "quantity": "flops.stack", "value": "4,439,251,353,600"}])",
       {"wrong", "follows"},
       {"scores"}},
      // Weights in half precision, and the state and a checkpoint made of them.
      {R"([{"id": "weights", "quantity": "memory.weights", "value": "4,254,115,200"},
           {"id": "state", "quantity": "memory.training_state", "value": "17,016,460,800"}])",
       {"wrong", "follows"},
       {"weights"}},
      // 6·N·D of a wrong N, which was said of another batch.
      {R"([{"id": "N", "quantity": "params.total", "value": "1.64B"},
           {"id": "6ND", "quantity": "flops.6nd", "batch": 4, "value": "4.03e13"}])",
       {"wrong", "follows"},
       {"N"}},
      // Two wrong parts in one total.
      {R"([{"id": "ffn", "quantity": "flops.ffn", "value": "2,013,265,920,000"},
           {"id": "head", "quantity": "flops.lm_head", "value": "82,341,068,800"},
           {"id": "total", "quantity": "flops.total", "value": "3,424,362,496,000"}])",
       {"wrong", "wrong", "follows"},
       {"ffn", "head"}},
      // A part that is wrong does not excuse a total that is wrong otherwise.
      {R"([{"id": "head", "quantity": "flops.lm_head", "value": "82,341,068,800"},
           {"id": "total", "quantity": "flops.total", "value": "4,191,213,977,600"}])",
       {"wrong", "wrong"},
       {}},
  };
  for (const Chain& chain : chains) {
    SCOPED_TRACE(chain.claims);
    const auto findings =
        AuditCorpus(fmt::format(R"({{"model": "cs336-xl", "claims": {}}})", chain.claims));
    ASSERT_EQ(findings.size(), chain.verdicts.size());
    for (std::size_t i = 0; i < findings.size(); ++i) {
      EXPECT_EQ(NameOf(findings[i].verdict), chain.verdicts[i])
          << findings[i].claim.id << ": " << findings[i].Remark();
    }
    EXPECT_EQ(findings.back().follows, chain.last_follows);
  }
}

TEST(Corpus, AFigureWorkedOutFromARoundedOneSaysSo) {
  const auto findings = AuditCorpus(R"({"model": "cs336-xl", "claims": [
      {"id": "P", "quantity": "params.total", "value": "2.13B"},
      {"id": "M", "quantity": "memory.weights", "value": "8.52 GB"}]})");
  EXPECT_EQ(findings[0].verdict, Verdict::kRight);
  EXPECT_EQ(findings[1].verdict, Verdict::kWrong);
  EXPECT_EQ(findings[1].causes.at(0).kind, "rounding") << findings[1].Remark();
}

TEST(Corpus, TwoSlipsAtOnceAreNamedWhereNoSingleOneExplains) {
  const Finding finding =
      Only({"gpt2-xl", "params.total", "1,475,561,600", "", ""});  // neither tables nor positions
  EXPECT_EQ(finding.verdict, Verdict::kWrong);
  const Finding pair = Only({"cs336-xl", "flops.total", "4,026,531,840,000", "", ""});
  EXPECT_THAT(pair.causes.at(0).text, ::testing::AllOf(HasSubstr("LM head"), HasSubstr("T×T")));
}

TEST(Corpus, NoMoreThanFourCausesAreShownAndTheOthersCounted) {
  const Finding finding = Only({"cs336-xl", "flops.total", "4.35 TFLOPs", "", ""});
  EXPECT_EQ(finding.causes.size(), 4u);
  EXPECT_GT(finding.more_causes, 0u);
  EXPECT_THAT(finding.Remark(), HasSubstr(fmt::format("and {} more", finding.more_causes)));
}

}  // namespace
}  // namespace flopledger
