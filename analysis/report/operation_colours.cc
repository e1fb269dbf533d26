#include <algorithm>
#include <string_view>
#include <utility>

#include "analysis/report/html_page.h"

namespace flopledger {
namespace {

/// By role: an expert's product has the colour of the FFN's. What is not here and none of another
/// model's products takes little time in any model.
constexpr std::pair<std::string_view, int> kColourOf[] = {
    {"attention_qkv", 1},    {"query_down", 1},        {"query_up", 1},    {"attention", 2},
    {"attention_scores", 2}, {"attention_out", 3},     {"ffn_up", 4},      {"expert_up", 4},
    {"shared_up", 4},        {"ffn_down", 5},          {"expert_down", 5}, {"shared_down", 5},
    {"lm_head", 6},          {"head_projection", 6},   {"score_head", 6},  {"attention_values", 7},
    {"ffn_activation", 7},   {"expert_activation", 7}, {"kv_down", 7},     {"kv_up", 7},
    {"ffn_gate", 8},         {"expert_gate", 8},       {"shared_gate", 8}};
constexpr std::string_view kSmall[] = {"embedding",      "embedding_projection",
                                       "rope",           "attention_softmax",
                                       "router",         "routing",
                                       "shared_scale",   "shared_activation",
                                       "expert_combine", "shared_combine"};

bool TakesLittle(std::string_view op) {
  return op.ends_with("_norm") || op.ends_with("_residual") ||
         std::ranges::find(kSmall, op) != std::end(kSmall);
}

}  // namespace

std::string ColourOf(std::string_view op) {
  std::size_t colour = 0;
  for (const auto& [name, its] : kColourOf) {
    if (name == op) colour = static_cast<std::size_t>(its);
  }
  if (colour == 0 && !TakesLittle(op)) {
    for (const char c : op) colour = colour * 31 + static_cast<unsigned char>(c);
    colour = 1 + colour % kColours;  // any, as long as it is always the same
  }
  return "c" + std::to_string(colour);
}

}  // namespace flopledger
