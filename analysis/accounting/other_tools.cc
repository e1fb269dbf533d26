#include "analysis/accounting/other_tools.h"

#include <algorithm>

#include "model/checked.h"

namespace flopledger {
namespace {

constexpr int64_t kTwo = 2;

/// The sizes that all formulas are made of, for one forward pass.
struct Sizes {
  int64_t L, C, NH, F, V, T;
  int64_t tokens;       // B·T
  int64_t qkv;          // (NH + 2·NKV)·HS
  int64_t ffn;          // matrices of the FFN: 3 with a gate
  int64_t table, head;  // parameters: token embedding; the logits' own matrix, 0 where tied
  int64_t positions, biases, norms;
  int64_t blocks;       // parameters of the blocks' matrices
  int64_t half_square;  // FLOPs of one of attention's two products: 2·B·L·T²·C

  int64_t logits() const { return CheckedMul(kTwo, tokens, C, V); }
  /// 2·parameters·tokens.
  int64_t Touched(int64_t parameters) const { return CheckedMul(kTwo, parameters, tokens); }
};

Sizes SizesOf(const ModelConfig& config, const RunShape& shape) {
  if (const auto keys = KeysBeyondPlain(config); !keys.empty()) {
    throw InputError(config.name +
                     ": other tools' formulas are given for the blocks of GPT-2 and "
                     "Llama, and this model has '" +
                     keys.front() + "'");
  }
  Sizes s{};
  s.L = config.num_layers;
  s.C = config.d_model;
  s.NH = config.num_heads;
  s.F = config.d_ff;
  s.V = config.vocab_size;
  s.T = shape.context;
  s.tokens = CheckedMul(shape.batch, shape.context);
  s.qkv = CheckedMul(CheckedAdd(config.num_heads, kTwo * config.num_kv_heads), config.head_size());
  s.ffn = config.has_gate() ? 3 : 2;
  s.table = CheckedMul(s.V, s.C);
  s.head = config.tie_embeddings ? 0 : s.table;
  s.positions =
      config.position == Position::kLearned ? CheckedMul(config.context_length, s.C) : int64_t{0};
  const int64_t outputs = CheckedAdd(s.qkv, s.C, CheckedMul(s.ffn - 1, s.F), s.C);
  s.biases = config.biases.qkv ? CheckedMul(s.L, outputs) : 0;
  const int64_t vectors = config.has_norm_bias() ? 2 : 1;
  s.norms = CheckedMul(CheckedAdd(kTwo * s.L, int64_t{config.final_norm}), vectors, s.C);
  s.blocks = CheckedMul(s.L, s.C, CheckedAdd(s.qkv, s.C, CheckedMul(s.ffn, s.F)));
  s.half_square = CheckedMul(kTwo, s.tokens, s.L, s.T, s.C);
  return s;
}

ToolFigure Sum(std::vector<NamedCount> terms, std::vector<NamedCount> differences,
               bool threefold = true) {
  ToolFigure figure{std::move(terms), 0, std::nullopt, std::move(differences)};
  for (const NamedCount& term : figure.terms) {
    figure.forward = CheckedAdd(figure.forward, term.value);
  }
  if (threefold) figure.training = CheckedMul(int64_t{3}, figure.forward);
  std::erase_if(figure.differences, [](const NamedCount& part) { return part.value == 0; });
  return figure;
}

/// 2N + 4·L·C·T a token, where N is every parameter but those named; attention times `halves`/2.
ToolFigure ByParameters(const Sizes& s, bool positions, bool untied_table, int64_t halves) {
  const int64_t matrices = CheckedAdd(s.blocks, s.table);  // one table is the logits' product
  const int64_t spare = s.head > 0 && untied_table ? s.table : 0;
  const int64_t counted_positions = positions ? s.positions : 0;
  const int64_t n = CheckedAdd(matrices, spare, counted_positions, CheckedAdd(s.biases, s.norms));
  return Sum({{"2·N·B·T", s.Touched(n)},
              {halves == 2 ? "4·L·C·T·B·T" : "2·L·C·T·B·T", CheckedMul(halves, s.half_square)}},
             {{"token table looked up, counted as a product", s.Touched(spare)},
              {"position table, counted as a product", s.Touched(counted_positions)},
              {"biases, counted as matrices", s.Touched(s.biases)},
              {"norms' vectors, counted as matrices", s.Touched(s.norms)},
              {"half of attention's square left out (causal)", (halves - 2) * s.half_square}});
}

ToolFigure Palm(const ModelConfig& config, const RunShape& shape) {
  return ByParameters(SizesOf(config, shape), true, true, 2);
}
ToolFigure NanoGpt(const ModelConfig& config, const RunShape& shape) {
  return ByParameters(SizesOf(config, shape), false, true, 2);
}
/// 2·(N − N_emb) + 4·L·C·T a token; N_emb is every table that is looked up, so that of a tied head
/// nothing is left.
ToolFigure TorchTitan(const ModelConfig& config, const RunShape& shape) {
  const Sizes s = SizesOf(config, shape);
  const int64_t tied_head = s.head > 0 ? 0 : s.logits();
  const int64_t n = CheckedAdd(s.blocks, s.head, s.biases, s.norms);
  return Sum(
      {{"2·(N − N_emb)·B·T", s.Touched(n)}, {"4·L·NH·HS·T·B·T", CheckedMul(kTwo, s.half_square)}},
      {{"logits of a tied table left out", -tied_head},
       {"biases, counted as matrices", s.Touched(s.biases)},
       {"norms' vectors, counted as matrices", s.Touched(s.norms)}});
}

ToolFigure LlmC(const ModelConfig& config, const RunShape& shape) {
  return ByParameters(SizesOf(config, shape), true, false, 1);
}

ToolFigure Kaplan(const ModelConfig& config, const RunShape& shape) {
  const Sizes s = SizesOf(config, shape);
  return Sum({{"2·N·B·T", s.Touched(s.blocks)}, {"2·L·T·C·B·T", s.half_square}},
             {{"no logits", -s.logits()}, {"one of attention's two products", -s.half_square}});
}

ToolFigure Chinchilla(const ModelConfig& config, const RunShape& shape) {
  const Sizes s = SizesOf(config, shape);
  const int64_t softmax = CheckedMul(int64_t{3}, s.tokens, s.L, CheckedMul(s.NH, s.T));
  return Sum({{"embedding 2·B·T·V·C", s.logits()},
              {"blocks' matrices 2·N·B·T", s.Touched(s.blocks)},
              {"attention 4·L·C·T·B·T", CheckedMul(kTwo, s.half_square)},
              {"softmax 3·L·NH·T·B·T", softmax},
              {"logits 2·B·T·C·V", s.logits()}},
             {{"token table looked up, counted as a product", s.logits()},
              {"softmax, 3 a score", softmax}});
}

/// 96·B·T·L·C²·(1 + T/6C + V/16LC): forward, backward and a forward again, of MHA and d_ff = 4·C.
ToolFigure Megatron(const ModelConfig& config, const RunShape& shape) {
  const Sizes s = SizesOf(config, shape);
  const int64_t square = CheckedMul(s.tokens, s.L, CheckedMul(s.C, s.C));
  const int64_t attention = CheckedMul(kTwo, s.half_square);
  const int64_t qkv_as_mha = CheckedMul(kTwo, s.tokens, s.L, CheckedMul(s.C, 3 * s.C - s.qkv));
  const int64_t ffn_as_4c =
      CheckedAdd(CheckedMul(int64_t{16}, square),
                 -CheckedMul(kTwo, s.tokens, s.L, CheckedMul(s.ffn, s.C, s.F)));
  ToolFigure figure = Sum({{"24·B·T·L·C²", CheckedMul(int64_t{24}, square)},
                           {"4·L·C·T·B·T", attention},
                           {"2·B·T·C·V", s.logits()}},
                          {{"keys and values of every head assumed", qkv_as_mha},
                           {"an FFN of two C×4C matrices assumed", ffn_as_4c}},
                          false);
  figure.training = CheckedAdd(CheckedMul(int64_t{96}, square), CheckedMul(int64_t{4}, attention),
                               CheckedMul(int64_t{3}, s.logits()));
  return figure;
}

/// 2·B·T·(weights) and attention's two products.
std::vector<NamedCount> Products(const Sizes& s) {
  return {{"linear layers", CheckedAdd(s.Touched(s.blocks), s.logits())},
          {"attention's products", CheckedMul(kTwo, s.half_square)}};
}

ToolFigure FlopCounter(const ModelConfig& config, const RunShape& shape) {
  return Sum(Products(SizesOf(config, shape)), {});
}

/// A counter that sees the linear layers and not what fused attention does.
ToolFigure LinearOnly(const ModelConfig& config, const RunShape& shape) {
  const Sizes s = SizesOf(config, shape);
  return Sum({{"linear layers", CheckedAdd(s.Touched(s.blocks), s.logits())}},
             {{"attention's products not seen", -CheckedMul(kTwo, s.half_square)}});
}

/// Elements that go through LayerNorm in one pass; RMSNorm is no function that these know.
int64_t NormedElements(const ModelConfig& config, const Sizes& s) {
  if (config.norm != Norm::kLayerNorm) return 0;
  return CheckedMul(CheckedAdd(kTwo * s.L, int64_t{config.final_norm}), s.tokens, s.C);
}

ToolFigure WithElementwise(const ModelConfig& config, const RunShape& shape, bool softmax) {
  const Sizes s = SizesOf(config, shape);
  const int64_t norms = CheckedMul(int64_t{5}, NormedElements(config, s));
  const int64_t activation = CheckedMul(s.tokens, s.L, s.F);
  const int64_t scores = softmax ? CheckedMul(s.tokens, s.L, CheckedMul(s.NH, s.T)) : 0;
  std::vector<NamedCount> terms = Products(s);
  const std::vector<NamedCount> besides{{"LayerNorm, 5 an element", norms},
                                        {"activation, 1 an element", activation},
                                        {"softmax, 1 a score", scores}};
  for (const NamedCount& part : besides) {
    if (part.value > 0) terms.push_back(part);
  }
  return Sum(std::move(terms), besides, false);
}

ToolFigure DeepSpeed(const ModelConfig& config, const RunShape& shape) {
  return WithElementwise(config, shape, false);
}
ToolFigure CalFlops(const ModelConfig& config, const RunShape& shape) {
  return WithElementwise(config, shape, true);
}

ToolFigure FvCore(const ModelConfig& config, const RunShape& shape) {
  const Sizes s = SizesOf(config, shape);
  const int64_t norms = CheckedMul(int64_t{5}, NormedElements(config, s));
  std::vector<NamedCount> terms = Products(s);
  int64_t macs = 0;
  for (NamedCount& term : terms) {
    term.value /= 2;
    macs = CheckedAdd(macs, term.value);
  }
  if (norms > 0) terms.push_back({"LayerNorm, 5 an element", norms});
  return Sum(std::move(terms),
             {{"a multiply-add counted as one", -macs}, {"LayerNorm, 5 an element", norms}}, false);
}

constexpr OtherTool kTools[] = {
    {"palm", "PaLM, appendix B", "(6·N + 12·L·NH·HS·T) a token, forward and backward",
     "N is every parameter; attention over the full square; a third of it is the forward pass",
     "Chowdhery et al. 2022, appendix B, arXiv:2204.02311", false, Palm},
    {"nanogpt", "nanoGPT, estimate_mfu", "(6·N + 12·L·NH·HS·T) a token, forward and backward",
     "PaLM's formula; N without the position table",
     "github.com/karpathy/nanoGPT, model.py, estimate_mfu and get_num_params", false, NanoGpt},
    {"torchtitan", "torchtitan", "(6·(N − N_emb) + 12·L·NH·HS·T) a token, forward and backward",
     "N is every parameter, N_emb what is looked up: the tables of tokens and positions; attention "
     "over the full square",
     "github.com/pytorch/torchtitan, get_nparams_and_flops", false, TorchTitan},
    {"llm.c", "llm.c, gpt2_estimate_mfu", "(6·N + 6·L·C·T) a token, forward and backward",
     "N is every parameter (an untied token table left out); half of attention's square",
     "github.com/karpathy/llm.c, train_gpt2.cu, gpt2_estimate_mfu", false, LlmC},
    {"kaplan", "Kaplan et al., scaling laws", "(2·N + 2·L·T·C) a token, forward",
     "N is the matrices of the blocks; no logits, one of attention's two products",
     "Kaplan et al. 2020, section 2.1 and table 1, arXiv:2001.08361", false, Kaplan},
    {"chinchilla", "Chinchilla, appendix F",
     "2·T·V·C + L·(2·T·C·qkv + 4·T²·C + 3·NH·T² + 2·T·C² + 2·T·ffn) + 2·T·C·V a sequence, forward",
     "the embedding counts as a product, the softmax 3 a score; the FFN as this model has it",
     "Hoffmann et al. 2022, appendix F, arXiv:2203.15556", false, Chinchilla},
    {"megatron", "Megatron-LM", "96·B·T·L·C²·(1 + T/(6·C) + V/(16·L·C)) with recomputation",
     "every GPT as MHA with d_ff = 4·C; training runs the blocks' forward pass twice",
     "Narayanan et al. 2021, section 5.1, arXiv:2104.04473", false, Megatron},
    {"flopcounter", "PyTorch, FlopCounterMode",
     "2·M·N·K for mm, addmm, bmm and the fused attention",
     "attention over the full square, causal or not; nothing elementwise, no biases. Fused "
     "attention "
     "on CPU has been counted as 0 (pytorch#195460)",
     "github.com/pytorch/pytorch, torch/utils/flop_counter.py", false, FlopCounter},
    {"linear-only", "a counter that misses fused attention", "2·M·N·K for the linear layers",
     "attention's two products run inside one fused function that the counter does not know",
     "pytorch#195460; fvcore and calflops on F.scaled_dot_product_attention", false, LinearOnly},
    {"deepspeed", "DeepSpeed, flops profiler",
     "2·M·N·K for F.linear and F.scaled_dot_product_attention, 5 an element of F.layer_norm, 1 of "
     "F.gelu, F.silu, F.relu",
     "a model of nn.Linear, nn.LayerNorm and fused attention; sums and products written as + and * "
     "and RMSNorm written out are not seen",
     "github.com/deepspeedai/DeepSpeed, deepspeed/profiling/flops_profiler/profiler.py", false,
     DeepSpeed},
    {"calflops", "calflops",
     "as DeepSpeed's, with torch.matmul for attention, and 1 a score for "
     "F.softmax",
     "attention written out with torch.matmul and F.softmax; it does not see fused attention, nor "
     "the operator @",
     "github.com/MrYxJ/calculate-flops.pytorch, calflops/pytorch_ops.py", false, CalFlops},
    {"fvcore", "fvcore, FlopCountAnalysis",
     "M·N·K for linear, addmm, bmm, matmul; 5 an element of "
     "layer_norm",
     "a multiply-add is one; attention written out (fused attention is not counted)",
     "github.com/facebookresearch/fvcore, fvcore/nn/flop_count.py and jit_handles.py", true,
     FvCore},
};

}  // namespace

std::span<const OtherTool> OtherTools() { return kTools; }

const OtherTool* FindOtherTool(std::string_view name) {
  const auto found = std::ranges::find(kTools, name, &OtherTool::name);
  return found == std::end(kTools) ? nullptr : &*found;
}

}  // namespace flopledger
