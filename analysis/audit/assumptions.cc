// Figures that are right for another model, context or preset than the claim's own.
#include <fmt/format.h>

#include <algorithm>

#include "analysis/audit/slips.h"
#include "analysis/text/table.h"
#include "model/input_error.h"

namespace flopledger {
namespace {

struct Assumption {
  std::string text;
  int cost;
  AuditSetting setting;
};

class AssumptionList {
 public:
  explicit AssumptionList(const AuditSetting& setting) : setting_(setting) {}

  std::vector<Assumption> Near() {
    Parts();
    Sizes();
    return std::move(list_);
  }

  std::vector<Assumption> Far() {
    Contexts();
    OtherPresets();
    return std::move(list_);
  }

 private:
  template <class Change>
  void Add(std::string text, int cost, Change change) {
    AuditSetting other = setting_;
    change(other.model);
    list_.push_back({std::move(text), cost, std::move(other)});
  }

  void Parts() {
    const ModelConfig& model = setting_.model;
    Add(model.has_gate() ? "right for an FFN of two matrices"
                         : "right for SwiGLU's FFN of three matrices",
        kOfPart - 1, [](ModelConfig& m) { m.ffn = m.has_gate() ? Ffn::kGeluTanh : Ffn::kSwiglu; });
    Add(model.tie_embeddings ? "right if the logits' matrix were not tied to the embedding"
                             : "right if the logits' matrix were tied to the embedding",
        kOfPart - 1, [](ModelConfig& m) { m.tie_embeddings = !m.tie_embeddings; });
    Add(model.biases.qkv ? "right for a model without biases" : "right for a model with biases",
        kOfPart, [](ModelConfig& m) { m.biases = Biases::OfBlock(!m.biases.qkv, m.norm); });
    Add(model.final_norm ? "right without the final norm" : "right with a final norm", kOfPart,
        [](ModelConfig& m) { m.final_norm = !m.final_norm; });
    const bool learned = model.position == Position::kLearned;
    Add(learned ? "right without learned positions" : "right with learned positions", kOfPart,
        [](ModelConfig& m) {
          m.position = m.position == Position::kLearned ? Position::kNone : Position::kLearned;
        });
    if (model.num_kv_heads != model.num_heads) {
      Add("right with as many KV heads as heads", kOfPart,
          [](ModelConfig& m) { m.num_kv_heads = m.num_heads; });
    }
    if (setting_.own_positions > 0) {
      Add(fmt::format("right with the model's own {} learned positions",
                      Grouped(setting_.own_positions)),
          kOfPart, [&](ModelConfig& m) { m.context_length = setting_.own_positions; });
    }
    if (model.norm == Norm::kRmsNorm) {
      Add("right with LayerNorm's gain and bias in place of RMSNorm's gain", kOfGroup,
          [](ModelConfig& m) {
            m.norm = Norm::kLayerNorm;
            m.biases = Biases::OfBlock(true, m.norm);
          });
    }
  }

  void Sizes() {
    const int64_t C = setting_.model.d_model;
    const auto with_d_ff = [&](const std::string& text, int64_t d_ff, int cost = kOfPart + 1) {
      if (d_ff < 1 || d_ff == setting_.model.d_ff) return;
      Add(fmt::format("right for d_ff = {} ({})", Grouped(d_ff), text), cost,
          [&](ModelConfig& m) { m.d_ff = d_ff; });
    };
    // The sheets of two years differ in this.
    with_d_ff("4·d_model", 4 * C, kOfPart - 1);
    with_d_ff("8/3·d_model to the nearest 64", (8 * C / 3 + 32) / 64 * 64, kOfPart - 1);
    with_d_ff("8/3·d_model, unrounded, cut off", 8 * C / 3);
    with_d_ff("8/3·d_model, unrounded, rounded up", (8 * C + 2) / 3);
    with_d_ff("8/3·d_model up to a multiple of 64", (8 * C / 3 + 63) / 64 * 64);
    with_d_ff("8/3·d_model down to a multiple of 64", 8 * C / 3 / 64 * 64);
    with_d_ff("8/3·d_model up to a multiple of 256", (8 * C / 3 + 255) / 256 * 256);
    constexpr int64_t kPadded = 50304;  // GPT-2's 50,257 up to a multiple of 64
    if (setting_.model.vocab_size == 50257) {
      Add("right for a vocabulary of 50,304, padded to a multiple of 64", kOfGroup,
          [](ModelConfig& m) { m.vocab_size = kPadded; });
    }
  }

  void Contexts() {
    for (const int64_t context : {512, 1024, 2048, 4096, 8192, 16384, 32768}) {
      if (context == setting_.context) continue;
      AuditSetting other = setting_;
      other.context = context;
      other.model.context_length = std::max(other.model.context_length, context);
      list_.push_back({fmt::format("right at a context of {}", Grouped(context)), kInOnePart,
                       std::move(other)});
    }
  }

  void OtherPresets() {
    for (const ModelConfig& preset : Presets()) {
      if (preset.name == setting_.model.name) continue;
      AuditSetting other = setting_;
      other.model = preset;
      other.model.context_length = std::max(preset.context_length, setting_.context);
      list_.push_back({fmt::format("right for {}", preset.name), kInOnePart + 1, std::move(other)});
    }
  }

  const AuditSetting& setting_;
  std::vector<Assumption> list_;
};

/// d_ff = 8/3·d_model as a fraction, which no model has: F replaced in every term.
void AddUnroundedDff(const Catalogue& catalogue, const Quantity& quantity,
                     std::vector<Hypothesis>& hypotheses) {
  const Exact d_ff = catalogue.S("C").value * 8 / 3;
  Exact sum = 0;
  for (const Term& term : catalogue.Flatten(quantity)) {
    Exact product = 1;
    for (const Factor& factor : term.factors) product *= factor.symbol == "F" ? d_ff : factor.value;
    sum += product;
  }
  const Exact divisor = quantity.per.empty() ? Exact(1) : catalogue.Find(quantity.per)->value;
  const Exact value = catalogue.ValueOf(quantity, sum, divisor);
  if (value == quantity.value) return;
  hypotheses.push_back(
      {{"right for d_ff = 8/3·d_model, unrounded", "F", "model", kOfPart + 1}, value});
}

}  // namespace

std::vector<Hypothesis> AssumptionsIn(const Catalogue& catalogue, const Quantity& quantity,
                                      bool far) {
  std::vector<Hypothesis> hypotheses;
  if (!far) AddUnroundedDff(catalogue, quantity, hypotheses);
  AssumptionList list(catalogue.setting());
  for (const Assumption& assumption : far ? list.Far() : list.Near()) {
    try {
      const Catalogue other(assumption.setting);
      const Quantity* changed = other.Find(quantity.name);
      if (changed == nullptr || changed->value == quantity.value) continue;
      hypotheses.push_back({{assumption.text, "", "model", assumption.cost}, changed->value});
    } catch (const InputError&) {
      continue;  // figures of that model overflow; nobody claimed them
    }
  }
  return hypotheses;
}

}  // namespace flopledger
