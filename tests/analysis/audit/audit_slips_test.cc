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

/// The letters of a setting, as a person with a pencil would write them down.
struct Letters {
  using Sized = std::pair<std::string, int64_t>;
  explicit Letters(const AuditSetting& setting)
      : m(setting.model), B{"B", setting.batch}, T{"T", setting.context} {}

  bool grouped() const { return m.num_kv_heads != m.num_heads; }
  bool gate() const { return m.ffn == Ffn::kSwiglu; }

  const ModelConfig& m;
  Sized B, T, L{"L", m.num_layers}, C{"C", m.d_model}, NH{"NH", m.num_heads},
      NKV{"NKV", m.num_kv_heads}, HS{"HS", m.d_model / m.num_heads}, F{"F", m.d_ff},
      V{"V", m.vocab_size}, places{"context_length", m.context_length}, two{"2", 2}, three{"3", 3},
      four{"4", 4};
};

std::vector<HandMade> ParametersByHand(const Letters& l) {
  [[maybe_unused]] const auto& [m, B, T, L, C, NH, NKV, HS, F, V, places, two, three, four] = l;
  const bool bias = m.biases.qkv, norm_bias = bias && m.norm == Norm::kLayerNorm;
  const auto if_bias = [&](std::vector<Product> terms) {
    return bias ? terms : std::vector<Product>{};
  };
  const std::vector<Product> qkv_head = Join({{{three, C, HS}}, if_bias({{three, HS}})});
  const std::vector<Product> qkv =
      l.grouped() ? Join({{{NH, C, HS}, {two, NKV, C, HS}}, if_bias({{NH, HS}, {two, NKV, HS}})})
                  : Each(NH, qkv_head);
  const std::vector<Product> out = Join({{{C, C}}, if_bias({{C}})});
  const std::vector<Product> ffn = Join({{l.gate() ? Product{three, C, F} : Product{two, C, F}},
                                         if_bias({l.gate() ? Product{two, F} : Product{F}, {C}})});
  const std::vector<Product> norms{norm_bias ? Product{two, two, C} : Product{two, C}};
  const std::vector<Product> block = Join({qkv, out, ffn, norms});
  std::vector<Product> params = Join({{{V, C}}, Each(L, block)});
  if (m.position == Position::kLearned) params.push_back({places, C});
  if (m.final_norm) params.push_back(norm_bias ? Product{two, C} : Product{C});
  if (!m.tie_embeddings) params.push_back({V, C});
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
  };
}

std::vector<HandMade> FlopsByHand(const Letters& l) {
  [[maybe_unused]] const auto& [m, B, T, L, C, NH, NKV, HS, F, V, places, two, three, four] = l;
  const std::vector<Product> q{{two, B, T, C, HS}};
  const std::vector<Product> qkv =
      l.grouped() ? Join({Each(NH, q), Each(two, Each(NKV, q))}) : Each(NH, Each(three, q));
  const std::vector<Product> scores{{two, B, T, T, HS}};
  const std::vector<Product> out{{two, B, T, C, C}};
  const std::vector<Product> ffn_matrix{{two, B, T, C, F}};
  const std::vector<Product> ffn = Each(l.gate() ? three : two, ffn_matrix);
  const std::vector<Product> heads = Join({qkv, Each(NH, scores), Each(NH, scores)});
  const std::vector<Product> block = Join({heads, out, ffn});
  const std::vector<Product> logits{{two, B, T, C, V}};
  const std::vector<Product> total = Join({Each(L, block), logits});
  return {
      {"flops.attention_matrix.head", q, "C"},
      {"flops.attention_qkv.head", Each(three, q), ""},
      {"flops.attention_scores.head", scores, "HS"},
      {"flops.attention_values.head", scores, "T"},
      {"flops.attention_qkv.block", qkv, ""},
      {"flops.attention_scores.block", Each(NH, scores), "HS"},
      {"flops.attention_values.block", Each(NH, scores), "T"},
      {"flops.attention_heads.block", heads, ""},
      {"flops.attention_out.block", out, "C"},
      {"flops.attention.block", Join({heads, out}), ""},
      {"flops.ffn_matrix.block", ffn_matrix, "C"},
      {"flops.ffn.block", ffn, ""},
      {"flops.total.block", block, ""},
      {"flops.attention_scores.model", Each(L, Each(NH, scores)), "HS"},
      {"flops.attention_out.model", Each(L, out), "C"},
      {"flops.stack.model", Each(L, block), ""},
      {"flops.lm_head.model", logits, "C"},
      {"flops.total.model", total, ""},
      {"flops.training.model", Each(three, total), ""},
  };
}

/// The whole accounting of a model, as a person with a pencil would do it.
std::vector<HandMade> ByHand(const AuditSetting& setting) {
  const Letters letters(setting);
  std::vector<HandMade> all = ParametersByHand(letters);
  for (HandMade& hand : FlopsByHand(letters)) all.push_back(std::move(hand));
  return all;
}

Finding AuditOne(const AuditSetting& setting, const std::string& quantity, const Figure& figure) {
  Claim claim;
  claim.id = "1";
  claim.quantity = quantity;
  claim.setting = setting;
  claim.figure = figure;
  return Audit({claim}).front();
}

/// `value` as it is (0 digits) or as one writes it with so many.
Figure Written(const Exact& value, int digits) {
  if (digits == 0) return {"", value, value, value};
  return ParseFigure(fmt::format("{:.{}e}", value.convert_to<double>(), digits - 1), Unit::kFlops,
                     "test");
}

TEST(Quantities, AreWhatAHandMakesOfThemOnRandomModels) {
  std::mt19937 random(61);
  for (int i = 0; i < 200; ++i) {
    AuditSetting setting;
    setting.model = RandomModel(random);
    setting.context = 1 + i % 50;
    setting.batch = 1 + i % 3;
    const Catalogue catalogue(setting);
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

/// Every slip of one kind that can be made in one quantity.
using Slipping = std::function<std::vector<Slip>(const HandMade&, const AuditSetting&)>;

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
  return [=](const HandMade& hand, const AuditSetting&) {
    std::vector<Slip> slips;
    if (!all && hand.terms.size() < 2) return slips;
    for (std::size_t chosen = 0; chosen < hand.terms.size(); ++chosen) {
      for (const auto& [symbol, size] : hand.terms[chosen]) {
        const bool everywhere = std::ranges::all_of(
            hand.terms, [&, name = symbol](const Product& term) { return Has(term, name); });
        if (size == 1 || (all && !everywhere)) continue;
        Exact value = 0;
        for (std::size_t i = 0; i < hand.terms.size(); ++i) {
          const bool here = all || i == chosen;
          const Exact ratio = !here ? Exact(1) : lost ? Exact(1) / size : Exact(size);
          value += ValueOf(hand.terms[i]) * ratio;
        }
        Slip slip{value, lost ? "lost" : "extra", symbol, "", ""};
        if (!all && !lost && symbol == "2") slip.other_kind = "counted_twice";  // the whole term
        slips.push_back(slip);
      }
    }
    return slips;
  };
}

Slipping TermSlip(bool dropped) {
  return [=](const HandMade& hand, const AuditSetting&) {
    std::vector<Slip> slips;
    if (hand.terms.size() < 2) return slips;
    const Exact whole = ValueOf(hand.terms);
    for (const Product& product : hand.terms) {
      const Exact term = ValueOf(product);
      slips.push_back({dropped ? Exact(whole - term) : Exact(whole + term),
                       dropped ? "forgotten" : "counted_twice", "", "", ""});
    }
    return slips;
  };
}

std::vector<Slip> HeadSizeForWidth(const HandMade& hand, const AuditSetting& setting) {
  std::vector<Slip> slips;
  for (const Product& term : hand.terms) {
    if (!Has(term, "C")) continue;
    Product slipped = Without(term, "C");
    slipped.emplace_back("HS", setting.model.head_size());
    Slip slip{ValueOf(hand.terms) - ValueOf(term) + ValueOf(slipped), "replaced", "C", "", ""};
    if (Has(slipped, "NH")) {  // d_model is NH·d_k
      slip.other_kind = "lost";
      slip.other_name = "NH";
    }
    slips.push_back(slip);
  }
  return slips;
}

std::vector<Slip> Elementwise(const HandMade& hand, const AuditSetting&) {
  if (hand.summed.empty()) return {};
  return {{ValueOf(Without(Without(hand.terms.front(), hand.summed), "2")), "elementwise",
           hand.summed, "", ""}};
}

std::vector<Slip> UnrelatedFactor(const HandMade& hand, const AuditSetting& setting) {
  const std::vector<std::pair<std::string, int64_t>> all{{"T", setting.context},
                                                         {"L", setting.model.num_layers},
                                                         {"NH", setting.model.num_heads},
                                                         {"B", setting.batch},
                                                         {"2", 2},
                                                         {"3", 3},
                                                         {"4", 4}};
  std::vector<Slip> slips;
  for (const auto& [symbol, size] : all) {
    const bool related = std::ranges::any_of(
        hand.terms, [&, name = symbol](const Product& term) { return Has(term, name); });
    if (size == 1 || related) continue;
    slips.push_back({ValueOf(hand.terms) * size, "extra", symbol, "", ""});
  }
  return slips;
}

const std::map<std::string, Slipping>& Kinds() {
  static const std::map<std::string, Slipping> kKinds{
      {"a factor lost", FactorSlip(true, true)},
      {"a factor twice", FactorSlip(true, false)},
      {"a factor lost in one term", FactorSlip(false, true)},
      {"a factor twice in one term", FactorSlip(false, false)},
      {"a term forgotten", TermSlip(true)},
      {"a term twice", TermSlip(false)},
      {"d_k for d_model", HeadSizeForWidth},
      {"elementwise", Elementwise},
      {"a factor that is none of the formula's", UnrelatedFactor},
  };
  return kKinds;
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

/// Whether the written digits stand for the truth or for another slip of these kinds as well.
bool Ambiguous(const HandMade& hand, const AuditSetting& setting, const Slip& slip,
               const Figure& figure) {
  if (figure.Covers(ValueOf(hand.terms)) || figure.Covers(Causal(hand))) return true;
  for (const auto& [name, slips_in] : Kinds()) {
    for (const Slip& other : slips_in(hand, setting)) {
      if (other.value != slip.value && figure.Covers(other.value)) return true;
    }
  }
  return false;
}

struct Tally {
  int made = 0, named_first = 0, called_right = 0;
};

/// Makes `count` slips of a kind in random settings, each written with so many digits (0: exact),
/// and counts how often the audit names the slip first.
Tally MakeSlips(const Slipping& slips_in, int count, int digits, std::mt19937& random) {
  Tally tally;
  while (tally.made < count) {
    AuditSetting setting = RandomSetting(random);
    if (setting.model.num_heads % 5 == 0) setting.model.num_kv_heads = setting.model.num_heads / 5;
    const HandMade hand = AnyOf(ByHand(setting), random);
    const std::vector<Slip> slips = slips_in(hand, setting);
    if (slips.empty()) continue;
    const Slip slip = AnyOf(slips, random);
    if (slip.value == ValueOf(hand.terms) || denominator(slip.value) != 1) continue;
    const Figure figure = Written(slip.value, digits);
    if (digits == 0 ? slip.value == Causal(hand) : Ambiguous(hand, setting, slip, figure)) continue;
    ++tally.made;
    const Finding finding = AuditOne(setting, hand.quantity, figure);
    tally.called_right += finding.verdict != Verdict::kWrong;
    const auto is_it = [&](const Cause& cause) {
      const bool other = cause.kind == slip.other_kind &&
                         (slip.other_name.empty() || cause.factor == slip.other_name);
      return other ||
             (cause.kind == slip.kind && (slip.factor.empty() || cause.factor == slip.factor));
    };
    const bool first = !finding.causes.empty() && is_it(finding.causes.front());
    tally.named_first += first;
    if (!first) {
      std::cout << slip.kind << " (" << slip.factor << ") in " << hand.quantity << ": "
                << finding.Remark() << '\n';
    }
  }
  return tally;
}

class SlipsWithDigits : public ::testing::TestWithParam<int> {};

TEST_P(SlipsWithDigits, AreNamedFirst) {
  const int digits = GetParam();
  constexpr int kOfEachKind = 60;
  std::mt19937 random(666);
  Tally all;
  for (const auto& [name, slips_in] : Kinds()) {
    const Tally tally = MakeSlips(slips_in, kOfEachKind, digits, random);
    std::cout << name << ": named first " << tally.named_first << " of " << tally.made << '\n';
    if (digits == 0) {
      EXPECT_GE(tally.named_first, tally.made * 3 / 4) << name;
    }
    EXPECT_EQ(tally.called_right, 0) << name;
    all.made += tally.made;
    all.named_first += tally.named_first;
  }
  std::cout << "all, with " << digits << " digits (0: exact): " << all.named_first << " of "
            << all.made << '\n';
  EXPECT_GE(all.named_first, digits == 0 ? all.made * 9 / 10 : all.made * 8 / 10);
}

INSTANTIATE_TEST_SUITE_P(Digits, SlipsWithDigits, ::testing::Values(0, 4, 3, 2));

// Bytes divided by 2^30 and called GB, as a calculator's user does.
TEST(Audit, NamesGigabytesThatAreGibibytes) {
  std::mt19937 random(1024);
  for (int i = 0; i < 30; ++i) {
    const AuditSetting setting = RandomSetting(random);
    const Catalogue catalogue(setting);
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
