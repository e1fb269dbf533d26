// Slips made in an accounting that is done here by hand, apart from the catalogue of analysis/:
// the hand's own sums of products, its own slips in them, and what the audit then says.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <functional>
#include <iostream>
#include <map>

#include "analysis/audit/audit.h"
#include "analysis/audit/quantities.h"
#include "tests/support/random_model.h"
#include "tests/support/random_setting.h"

namespace flopledger {
namespace {

using ::testing::HasSubstr;

/// A product of sizes: the symbol of each, and its value.
using Product = std::vector<std::pair<std::string, int64_t>>;

struct HandMade {
  std::string quantity;
  std::vector<Product> terms;
  std::string summed;  // the inner dimension, where it is one matrix product
};

Exact ValueOf(const Product& product) {
  Exact value = 1;
  for (const auto& [symbol, size] : product) value *= size;
  return value;
}

Exact ValueOf(const std::vector<Product>& terms) {
  Exact value = 0;
  for (const Product& term : terms) value += ValueOf(term);
  return value;
}

std::vector<Product> Join(std::initializer_list<std::vector<Product>> parts) {
  std::vector<Product> all;
  for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

std::vector<Product> Each(const std::pair<std::string, int64_t>& factor,
                          std::vector<Product> terms) {
  for (Product& term : terms) term.insert(term.begin(), factor);
  return terms;
}

/// The whole accounting of a model, as a person with a pencil would do it.
std::vector<HandMade> ByHand(const AuditSetting& setting) {
  const ModelConfig& m = setting.model;
  using Sized = std::pair<std::string, int64_t>;
  const Sized B{"B", setting.batch}, T{"T", setting.context}, L{"L", m.num_layers},
      C{"C", m.d_model}, NH{"NH", m.num_heads}, NKV{"NKV", m.num_kv_heads},
      HS{"HS", m.d_model / m.num_heads}, F{"F", m.d_ff}, V{"V", m.vocab_size},
      places{"context_length", m.context_length}, two{"2", 2}, three{"3", 3}, four{"4", 4};
  const bool grouped = m.num_kv_heads != m.num_heads;
  const auto if_bias = [&](std::vector<Product> terms) {
    return m.bias ? terms : std::vector<Product>{};
  };

  const std::vector<Product> qkv_head = Join({{{three, C, HS}}, if_bias({{three, HS}})});
  const std::vector<Product> qkv =
      grouped ? Join({{{NH, C, HS}, {two, NKV, C, HS}}, if_bias({{NH, HS}, {two, NKV, HS}})})
              : Each(NH, qkv_head);
  const std::vector<Product> out = Join({{{C, C}}, if_bias({{C}})});
  const bool gate = m.ffn == Ffn::kSwiglu;
  const std::vector<Product> ffn = Join({{gate ? Product{three, C, F} : Product{two, C, F}},
                                         if_bias({gate ? Product{two, F} : Product{F}, {C}})});
  const bool norm_bias = m.bias && m.norm == Norm::kLayerNorm;
  const std::vector<Product> norms{norm_bias ? Product{two, two, C} : Product{two, C}};
  const std::vector<Product> block = Join({qkv, out, ffn, norms});
  std::vector<Product> params = Join({{{V, C}}, Each(L, block)});
  if (m.position == Position::kLearned) params.push_back({places, C});
  if (m.final_norm) params.push_back(norm_bias ? Product{two, C} : Product{C});
  if (!m.tie_embeddings) params.push_back({V, C});

  const std::vector<Product> q_flops{{two, B, T, C, HS}};
  const std::vector<Product> qkv_flops =
      grouped ? Join({Each(NH, q_flops), Each(two, Each(NKV, q_flops))})
              : Each(NH, Each(three, q_flops));
  const std::vector<Product> scores{{two, B, T, T, HS}};
  const std::vector<Product> out_flops{{two, B, T, C, C}};
  const std::vector<Product> ffn_matrix{{two, B, T, C, F}};
  const std::vector<Product> ffn_flops = Each(gate ? three : two, ffn_matrix);
  const std::vector<Product> block_flops =
      Join({qkv_flops, Each(NH, scores), Each(NH, scores), out_flops, ffn_flops});
  const std::vector<Product> logits{{two, B, T, C, V}};
  const std::vector<Product> total = Join({Each(L, block_flops), logits});
  const std::vector<Product> cache{{two, four, L, NKV, HS}};

  return {
      {"params.token_embedding.model", {{V, C}}, ""},
      {"params.attention_matrix.head", {{C, HS}}, ""},
      {"params.attention_qkv.head", qkv_head, ""},
      {"params.attention_qkv.block", qkv, ""},
      {"params.attention_out.block", out, ""},
      {"params.ffn_matrix.block", {{C, F}}, ""},
      {"params.ffn.block", ffn, ""},
      {"params.norms.block", norms, ""},
      {"params.total.block", block, ""},
      {"params.attention_qkv.model", Each(L, qkv), ""},
      {"params.ffn.model", Each(L, ffn), ""},
      {"params.stack.model", Each(L, block), ""},
      {"params.total.model", params, ""},
      {"memory.weights.model", Each(four, params), ""},
      {"memory.gradients.model", Each(four, params), ""},
      {"memory.kv_cache_token.model", cache, ""},
      {"memory.kv_cache.model", Each(B, Each(T, cache)), ""},
      {"flops.attention_matrix.head", q_flops, "C"},
      {"flops.attention_qkv.head", Each(three, q_flops), ""},
      {"flops.attention_scores.head", scores, "HS"},
      {"flops.attention_values.head", scores, "T"},
      {"flops.attention_qkv.block", qkv_flops, ""},
      {"flops.attention_scores.block", Each(NH, scores), "HS"},
      {"flops.attention_values.block", Each(NH, scores), "T"},
      {"flops.attention_heads.block", Join({qkv_flops, Each(NH, scores), Each(NH, scores)}), ""},
      {"flops.attention_out.block", out_flops, "C"},
      {"flops.attention.block", Join({qkv_flops, Each(NH, scores), Each(NH, scores), out_flops}),
       ""},
      {"flops.ffn_matrix.block", ffn_matrix, "C"},
      {"flops.ffn.block", ffn_flops, ""},
      {"flops.total.block", block_flops, ""},
      {"flops.attention_scores.model", Each(L, Each(NH, scores)), "HS"},
      {"flops.attention_out.model", Each(L, out_flops), "C"},
      {"flops.stack.model", Each(L, block_flops), ""},
      {"flops.lm_head.model", logits, "C"},
      {"flops.total.model", total, ""},
      {"flops.training.model", Each(three, total), ""},
  };
}

Finding AuditOne(const AuditSetting& setting, const std::string& quantity, const Exact& value) {
  Claim claim{.id = "1", .text = "", .quantity = quantity, .figure = {}, .setting = setting};
  claim.figure = {"", value, value, value, 0};
  return Audit({claim}).front();
}

TEST(Quantities, AreWhatAHandMakesOfThemOnRandomModels) {
  std::mt19937 random(61);
  for (int i = 0; i < 200; ++i) {
    const AuditSetting setting{
        .model = RandomModel(random), .context = 1 + i % 50, .batch = 1 + i % 3};
    const Catalogue catalogue(setting.model,
                              WholePass(setting.model, setting.context, setting.batch),
                              Convention::kMatmul);
    for (const HandMade& hand : ByHand(setting)) {
      const Quantity* quantity = catalogue.Find(hand.quantity);
      ASSERT_NE(quantity, nullptr) << hand.quantity;
      EXPECT_EQ(quantity->value, ValueOf(hand.terms)) << hand.quantity;
    }
  }
}

/// One slip: what the hand then claims, and what the audit ought to name.
struct Slip {
  Exact value;
  std::string kind, factor;            // an empty factor: any
  std::string other_kind, other_name;  // the same slip by another name, if it has one
};

/// A slip of one kind in one quantity; nullopt where it cannot be made there.
using Slipping =
    std::function<std::optional<Slip>(const HandMade&, const AuditSetting&, std::mt19937&)>;

template <class List>
const auto& AnyOf(const List& list, std::mt19937& random) {
  return list[random() % list.size()];
}

Product Without(const Product& product, const std::string& symbol) {
  Product rest = product;
  rest.erase(std::ranges::find(rest, symbol, &std::pair<std::string, int64_t>::first));
  return rest;
}

bool Has(const Product& product, const std::string& symbol) {
  return std::ranges::count(product, symbol, &std::pair<std::string, int64_t>::first) > 0;
}

/// `all`: in every term, else in one of several.
Slipping FactorSlip(bool all, bool lost) {
  return
      [=](const HandMade& hand, const AuditSetting&, std::mt19937& random) -> std::optional<Slip> {
        if (!all && hand.terms.size() < 2) return {};
        const std::size_t chosen = random() % hand.terms.size();
        const auto [symbol, size] = AnyOf(hand.terms[chosen], random);
        if (size == 1) return {};
        Exact value = 0;
        for (std::size_t i = 0; i < hand.terms.size(); ++i) {
          if (all && !Has(hand.terms[i], symbol)) return {};
          const bool here = all || i == chosen;
          const Exact ratio = !here ? Exact(1) : lost ? Exact(1) / size : Exact(size);
          value += ValueOf(hand.terms[i]) * ratio;
        }
        Slip slip{value, lost ? "lost" : "extra", symbol, "", ""};
        if (!all && !lost && symbol == "2") slip.other_kind = "twice";  // the whole term
        return slip;
      };
}

Slipping TermSlip(bool dropped) {
  return
      [=](const HandMade& hand, const AuditSetting&, std::mt19937& random) -> std::optional<Slip> {
        if (hand.terms.size() < 2) return {};
        const Exact term = ValueOf(AnyOf(hand.terms, random));
        const Exact whole = ValueOf(hand.terms);
        return Slip{dropped ? Exact(whole - term) : Exact(whole + term),
                    dropped ? "forgotten" : "twice", "", "", ""};
      };
}

std::optional<Slip> HeadSizeForWidth(const HandMade& hand, const AuditSetting& setting,
                                     std::mt19937& random) {
  const std::size_t chosen = random() % hand.terms.size();
  if (!Has(hand.terms[chosen], "C")) return {};
  Product slipped = Without(hand.terms[chosen], "C");
  slipped.emplace_back("HS", setting.model.head_size());
  Slip slip{ValueOf(hand.terms) - ValueOf(hand.terms[chosen]) + ValueOf(slipped), "replaced", "C",
            "", ""};
  if (Has(slipped, "NH")) {  // d_model is NH·d_k
    slip.other_kind = "lost";
    slip.other_name = "NH";
  }
  return slip;
}

std::optional<Slip> Elementwise(const HandMade& hand, const AuditSetting&, std::mt19937&) {
  if (hand.summed.empty()) return {};
  return Slip{ValueOf(Without(Without(hand.terms.front(), hand.summed), "2")), "elementwise",
              hand.summed, "", ""};
}

std::optional<Slip> Stranger(const HandMade& hand, const AuditSetting& setting,
                             std::mt19937& random) {
  const std::vector<std::pair<std::string, int64_t>> all{{"T", setting.context},
                                                         {"L", setting.model.num_layers},
                                                         {"NH", setting.model.num_heads},
                                                         {"B", setting.batch},
                                                         {"2", 2},
                                                         {"3", 3},
                                                         {"4", 4}};
  const auto& [symbol, size] = AnyOf(all, random);
  if (size == 1 || std::ranges::any_of(hand.terms, [&, name = symbol](const Product& term) {
        return Has(term, name);
      })) {
    return {};
  }
  return Slip{ValueOf(hand.terms) * size, "extra", symbol, "", ""};
}

/// What the hand would get if it counted only the T(T+1)/2 pairs that the mask keeps: no slip.
Exact Causal(const HandMade& hand) {
  Exact value = 0;
  for (const Product& term : hand.terms) {
    const Product rest = Has(term, "T") ? Without(term, "T") : term;
    if (!Has(rest, "T")) {
      value += ValueOf(term);
    } else {
      const Product once = Without(rest, "T");
      const Exact t = ValueOf(rest) / ValueOf(once);
      value += ValueOf(once) * t * (t + 1) / 2;
    }
  }
  return value;
}

TEST(Audit, NamesTheSlipsOfAnAccountingMadeByHand) {
  const std::map<std::string, Slipping> kinds{
      {"a factor lost", FactorSlip(true, true)},
      {"a factor twice", FactorSlip(true, false)},
      {"a factor lost in one term", FactorSlip(false, true)},
      {"a factor twice in one term", FactorSlip(false, false)},
      {"a term forgotten", TermSlip(true)},
      {"a term twice", TermSlip(false)},
      {"d_k for d_model", HeadSizeForWidth},
      {"elementwise", Elementwise},
      {"a factor that is none of the formula's", Stranger},
  };
  constexpr int kOfEachKind = 60;
  std::mt19937 random(666);
  int made = 0, named_first = 0;
  for (const auto& [name, slip_in] : kinds) {
    int of_kind = 0, named = 0, listed = 0;
    while (of_kind < kOfEachKind) {
      AuditSetting setting = RandomSetting(random);
      if (setting.model.num_heads % 5 == 0)
        setting.model.num_kv_heads = setting.model.num_heads / 5;
      const HandMade hand = AnyOf(ByHand(setting), random);
      const std::optional<Slip> slip = slip_in(hand, setting, random);
      if (!slip || slip->value == ValueOf(hand.terms) || denominator(slip->value) != 1) continue;
      if (slip->value == Causal(hand)) continue;
      ++of_kind;
      const Finding finding = AuditOne(setting, hand.quantity, slip->value);
      EXPECT_EQ(finding.verdict, Verdict::kWrong) << name << " in " << hand.quantity;
      const auto is_it = [&](const Cause& cause) {
        const bool other = cause.kind == slip->other_kind &&
                           (slip->other_name.empty() || cause.factor == slip->other_name);
        return other ||
               (cause.kind == slip->kind && (slip->factor.empty() || cause.factor == slip->factor));
      };
      named += !finding.causes.empty() && is_it(finding.causes.front());
      listed += std::ranges::any_of(finding.causes, is_it);
      if (finding.causes.empty() || !is_it(finding.causes.front())) {
        std::cout << name << " (" << slip->factor << ") in " << hand.quantity << ": "
                  << finding.Remark() << '\n';
      }
    }
    std::cout << name << ": named first " << named << ", listed " << listed << " of " << of_kind
              << '\n';
    EXPECT_GE(named, of_kind * 3 / 4) << name;
    made += of_kind;
    named_first += named;
  }
  EXPECT_GE(named_first, made * 9 / 10);
}

// Bytes divided by 2^30 and called GB, as a calculator's user does.
TEST(Audit, NamesGigabytesThatAreGibibytes) {
  std::mt19937 random(1024);
  for (int i = 0; i < 30; ++i) {
    const AuditSetting setting = RandomSetting(random);
    const Catalogue catalogue(setting.model,
                              WholePass(setting.model, setting.context, setting.batch),
                              Convention::kMatmul);
    const double bytes = catalogue.Find("memory.weights")->value.convert_to<double>();
    const auto audit = [&](const std::string& value) {
      const std::string claims =
          fmt::format(R"([{{"quantity": "memory.weights", "value": "{}"}}])", value);
      return Audit(ParseClaimsJson(claims, setting, "test")).front();
    };
    const Finding wrong = audit(fmt::format("{:.2f} GB", bytes / 0x1p30));
    EXPECT_EQ(wrong.verdict, Verdict::kWrong);
    ASSERT_FALSE(wrong.causes.empty());
    EXPECT_EQ(wrong.causes.front().kind, "unit") << wrong.Remark();
    EXPECT_THAT(wrong.Remark(), HasSubstr("GB against GiB"));
    EXPECT_EQ(audit(fmt::format("{:.2f} GiB", bytes / 0x1p30)).verdict, Verdict::kRight);
    EXPECT_EQ(audit(fmt::format("{:.2f} GB", bytes / 1e9)).verdict, Verdict::kRight);
  }
}

}  // namespace
}  // namespace flopledger
